"""The generations that the store knows, for whoever shows them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from safehands.store import Store

__all__ = ["listing"]


def listing(store: Store) -> list[dict[str, Any]]:
    """Return the generations that were not pruned, the newest first, as plain data.

    ``date``, ``manifest``, ``digest``, ``created_at`` (ISO 8601), ``rows``, ``bytes``, ``parts``
    and ``proved``: when it was last restored and compared (ISO 8601), empty if never.
    """
    with store.begin() as connection:
        return [_plain(dict(row)) for row in connection.execute(text(_LISTING)).mappings()]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    proved = row["proved"]
    return {
        "date": row["business_date"].isoformat(),
        "manifest": row["manifest"],
        "digest": row["digest"],
        "created_at": row["created_at"].isoformat(timespec="seconds"),
        "rows": int(row["rows"]),
        "bytes": int(row["bytes"]),
        "parts": int(row["parts"]),
        "proved": proved.isoformat(timespec="seconds") if proved else "",
    }


_LISTING = (
    "SELECT b.business_date, b.manifest, b.facts ->> 'manifest_digest' AS digest, b.created_at,"
    " (b.facts ->> 'rows')::bigint AS rows, (b.facts ->> 'bytes')::bigint AS bytes,"
    " (b.facts ->> 'parts')::int AS parts,"
    " (SELECT max(p.proved_at) FROM generation_proof p"
    " WHERE p.manifest_digest = b.facts ->> 'manifest_digest') AS proved"
    " FROM backup b WHERE b.prune_id IS NULL ORDER BY b.id DESC"
)
