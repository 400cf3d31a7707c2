"""Figures of the rule book counted from what was in fact packaged, received and left behind.

The names in the package are compared with the names of those who have a basis, which come from the
answers and not from the listing that the package was made from. Each count is recorded in the
transaction of the step it is about, for the hand-over as scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands.handover import state
from safehands.handover.measures import movable
from safehands.keys.pairing import PairKey
from safehands.night import SHANGHAI
from safehands.rulebook.from_register import record_count
from safehands.store.register import Owner
from safehands.transfer.reconcile import PARCELS_ENTRUSTED

__all__ = ["RECORDED", "of_cut", "of_package", "of_receipt"]

RECORDED = (
    "transfer.without_basis",
    "transfer.silent_included",
    "transfer.dormant_included",
    "transfer.cctv_files",
    "transfer.count_difference",
    "transfer.digest_difference",
    "transfer.entrusted_residue",
)
"""What is recorded here; names of ``figures.yaml``."""

DORMANT_DAYS = 365
"""Our policy (TRF-07): the transfer policy may ask for less, never for more."""


def of_package(
    connection: Connection,
    seller: Owner,
    handover: UUID,
    names: PairKey,
    tables: Mapping[str, pa.Table],
    members: int,
    now: datetime,
) -> dict[str, int]:
    """Count the package's people against the answers, and what is in it beside its tables.

    ``members``: files in the container that are no table and not its manifest.
    """
    found = state.load(connection, handover)
    allowed = movable(connection, handover, found.mode, _until(connection, handover))
    packed = tables["person"]["person"].combine_chunks()
    with_basis, answered = _in(names, packed, allowed["basis"], allowed["answered"])
    asks = found.mode == "asset_deal"
    day = now.astimezone(SHANGHAI).date()
    counts = {
        "transfer.without_basis": len(packed) - with_basis,
        "transfer.silent_included": len(packed) - answered if asks else 0,
        "transfer.dormant_included": _dormant(tables, day - timedelta(days=DORMANT_DAYS)),
        "transfer.cctv_files": members,
    }
    _record(connection, seller, handover, counts, day, "package, consent_event")
    return counts


def of_receipt(
    connection: Connection,
    seller: Owner,
    handover: UUID,
    packed: Mapping[str, Any],
    told: Mapping[str, Any],
    now: datetime,
) -> dict[str, int]:
    """Count in how many rows and in how many tables the buyer's receipt differs.

    ``packed`` and ``told``: ``counts`` and ``digests`` per table of the package and the receipt. A
    receipt by hand tells no digest of a table that differs from the manifest it was printed from.
    """
    counts, digests = packed["counts"], packed.get("digests", {})
    found = {
        "transfer.count_difference": sum(
            abs(int(counts[table]) - sum(told["received"].get(table, {}).values()))
            for table in counts
        ),
        "transfer.digest_difference": sum(
            told["digests"].get(table) != digest for table, digest in digests.items()
        ),
    }
    _record(connection, seller, handover, found, now.astimezone(SHANGHAI).date(), "receipt")
    return found


def of_cut(
    connection: Connection, seller: Owner, handover: UUID, stations: list[int], now: datetime
) -> int:
    """Count entrusted rows that are left at the stations although no law holds them."""
    values = {"stations": stations, "id": handover}
    left = int(connection.execute(text(_RESIDUE), values).scalar_one())
    day = now.astimezone(SHANGHAI).date()
    found = {"transfer.entrusted_residue": left}
    _record(connection, seller, handover, found, day, "parcel, record_set")
    return left


def _in(names: PairKey, packed: pa.Array, *groups: set[UUID]) -> list[int]:
    """Return for each group how many of the package's names are names of its people."""
    everybody = list(set().union(*groups))
    known = names.names("person", [one.bytes for one in everybody]).tolist()
    inside = pc.index_in(packed, pa.array(known, packed.type)).drop_null().to_pylist()
    return [sum(everybody[i] in group for i in inside) for group in groups]


def _dormant(tables: Mapping[str, pa.Table], since: date) -> int:
    people = tables["person"]
    edge = pa.scalar(datetime(since.year, since.month, since.day, tzinfo=SHANGHAI))
    old = people.filter(pc.less(people["last_seen"], edge.cast(people["last_seen"].type)))
    waiting = tables["custody"]["person"].drop_null().combine_chunks()
    kept = int(pc.sum(pc.is_in(old["person"], waiting)).as_py() or 0)
    return int(old.num_rows) - kept


def _until(connection: Connection, handover: UUID) -> date:
    for one in state.events(connection, handover, "state"):
        if one["key"] == "noticed" and "until" in one["facts"]:
            return date.fromisoformat(one["facts"]["until"])
    return date.max


def _record(
    connection: Connection,
    seller: Owner,
    handover: UUID,
    counts: Mapping[str, int],
    day: date,
    source: str,
) -> None:
    for name, number in counts.items():
        record_count(
            connection,
            seller,
            name,
            number,
            day=day,
            run=f"handover-{handover}",
            source=source,
            scope=str(handover),
        )


_RESIDUE = (
    "SELECT count(*) FROM parcel p WHERE p.station_id = ANY (:stations)"
    f" AND {PARCELS_ENTRUSTED.format(':id')}"
    " AND coalesce((SELECT l.class FROM handover_subject l WHERE l.handover_id = :id"
    " AND l.subject_id = p.subject_id), '') NOT IN ('kept_by_law', 'restricted')"
    " AND NOT EXISTS (SELECT FROM legal_hold l WHERE l.controller_id = p.controller_id"
    " AND l.ended_at IS NULL AND (l.scope = 'controller' OR l.waybill = p.waybill))"
)
