"""Reading evidence for a page: the connection, the newest night, and fragments that pages share.

The connection is one of ``safehands_auditor``, which can read no person's record. Bound to an
owner it sees that owner's evidence; backups and the ledger belong to the installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

__all__ = ["BROUGHT", "NIGHTS", "OF_OWNER", "OWNER_NAME", "SCORE", "Asking", "score"]

NIGHTS = 90
"""How many nights a trend shows."""

SCORE = (
    "CASE WHEN sum(evaluated) > 0 THEN"
    " (sum(evaluated - failed) * 10000 / sum(evaluated))::int END AS score"
)
"""Share of passed checks in hundredths of a percent, rounded down: a single bad row shows."""

BROUGHT = "suite <> 'pseudonymised'"
"""The checks of the pseudonymised tables judge our own work and not what stations bring."""

OF_OWNER = (
    "(:owner = '' OR shard = :owner OR"
    " (starts_with(shard, :owner || '-') AND substr(shard, length(:owner) + 2) ~ '^[0-9]+$'))"
)
"""A shard is named after its owner and numbered; what concerns the whole store has another name."""

OWNER_NAME = "CASE kind WHEN 'company' THEN name || ' (' || code || ')' ELSE code END"
"""How an owner is shown: a sole trader's name is a person's, so their code stands."""


@dataclass(frozen=True)
class Asking:
    """One look at the evidence. ``day``: the newest night's business date, ``None`` before any.
    ``owner``: code of the owner the connection is bound to, empty for all."""

    connection: Connection
    day: date | None
    owner: str = ""

    @classmethod
    def of(cls, connection: Connection, owner: str = "") -> Asking:
        """Find the newest night."""
        day = connection.execute(text(_DAY)).scalar_one()
        return cls(connection, day, owner)

    def rows(self, query: str, **more: Any) -> list[dict[str, Any]]:
        """Return what ``query`` finds; it may use ``:day``, ``:since`` and ``:owner``."""
        assert self.day is not None, "nothing is asked before the first night"
        values = {"day": self.day, "since": self.day - timedelta(days=NIGHTS), "owner": self.owner}
        used = {k: v for k, v in {**values, **more}.items() if f":{k}" in query}
        found = self.connection.execute(text(query), used)
        names = list(found.keys())
        # Fetched at once: one by one costs a page of a thousand stations a third of its time.
        return [dict(zip(names, row, strict=True)) for row in found.all()]

    def one(self, query: str, **more: Any) -> dict[str, Any]:
        """Return the one row of ``query``."""
        [row] = self.rows(query, **more)
        return row


def score(evaluated: int, failed: int) -> int | None:
    """Return hundredths of a percent, rounded down; ``None`` without a check."""
    return (evaluated - failed) * 10_000 // evaluated if evaluated else None


_DAY = "SELECT max(business_date) FROM step_result"
