"""The identity to the row: held by the seller = the sum of disjoint classes, per table.

A row of nobody known (masked or virtual number) counts as ``unreachable``, in a closure as
``expired``. A parcel that waits at the counter counts as ``transferred`` unless its person refused,
or it is entrusted, restricted or held: without its person where that one does not move. Where the
owner's parcels are entrusted, none of them moves, whoever of the people does. Stored parcels stay,
whoever moves: as ``restricted`` with their person, else as ``kept_by_law``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import HandoverRefused

__all__ = [
    "PARCELS_ENTRUSTED",
    "SLIPS_OF",
    "SLIP_STAYS",
    "Identity",
    "check_receipt_counts",
    "held_by_class",
    "totals",
]

PARCELS_ENTRUSTED = (
    "EXISTS (SELECT FROM handover d LEFT JOIN record_set r ON r.controller_id = d.controller_id"
    " AND r.dataset = 'parcels' AND r.role = 'entrusted' WHERE d.handover_id = {0}"
    " AND (r.role IS NOT NULL OR d.mode = 'entrusted_processor_change'))"
)
"""Whether the parcels of a hand-over's seller are a courier's or platform's: they are returned or
deleted, and never passed on, whoever of the people moves (PIPL 21 ¶2). It names no row of a parcel,
so that a million parcels ask once."""

SLIPS_OF = ("refused", "entrusted", "restricted", "kept_by_law", "minors")
"""Whose waiting parcels are collected or given back first; all others' go along."""
SLIP_STAYS = "('" + "', '".join(SLIPS_OF) + "')"
"""The same for a query."""

Identity = dict[str, dict[str, int]]
"""table → class → rows."""


def held_by_class(
    connection: Connection, handover: UUID, stations: Sequence[int], *only: str
) -> Identity:
    """Return rows per table and class (all tables, or ``only`` these); ``stations``: seller's ids.

    The sum of each table is compared with a count of its own that knows no class. Raises
    ``HandoverRefused`` for a row whose person is in no class, or when the two differ.
    """
    values = {"id": handover, "stations": list(stations)}
    found: Identity = {}
    for table in only or _BY_CLASS:
        rows = connection.execute(text(_BY_CLASS[table]), values).all()
        found[table] = {str(name): int(count) for name, count in rows}
        unlisted = found[table].get("unlisted", 0)
        if unlisted:
            raise HandoverRefused("transfer.unlisted", table=table, rows=unlisted)
        whole = int(connection.execute(text(_WHOLE[table]), values).scalar_one())
        if whole != sum(found[table].values()):
            total = sum(found[table].values())
            raise HandoverRefused("transfer.identity", table=table, held=whole, classes=total)
    return found


def totals(identity: Identity) -> dict[str, int]:
    """Return what the seller holds per table."""
    return {table: sum(classes.values()) for table, classes in identity.items()}


def check_receipt_counts(
    packaged: Mapping[str, int], received: Mapping[str, Mapping[str, int]]
) -> None:
    """Compare what was packaged with what the buyer says became of it, per table.

    ``received``: table → ``new``, ``joined``, ``kept_out``. Raises ``HandoverRefused``.
    """
    for table, count in packaged.items():
        told = sum(received.get(table, {}).values())
        if told != count:
            raise HandoverRefused("transfer.receipt_differs", table=table, sent=count, told=told)


_LISTED = (
    " LEFT JOIN handover_subject h ON h.handover_id = :id AND h.controller_id = {0}.controller_id"
    " AND h.subject_id = {0}.subject_id"
)
_CLOSES = "EXISTS (SELECT FROM handover d WHERE d.handover_id = :id AND d.mode = 'closure')"
_CLASS = (
    "CASE WHEN {0}.subject_id IS NOT NULL AND h.class IS NULL THEN 'unlisted'"
    f" WHEN {_CLOSES} THEN coalesce(h.class, 'expired')"
    " WHEN coalesce(h.class, '') NOT IN ('restricted', 'kept_by_law') AND {2} THEN 'entrusted'"
    f" WHEN coalesce(h.class, '') NOT IN {SLIP_STAYS} AND {{1}} THEN 'transferred'"
    " ELSE coalesce(h.class, 'unreachable') END"
)
_WAITS = "c.waybill IS NOT NULL"
_OF = "EXISTS (SELECT FROM handover_subject l WHERE l.handover_id = :id AND l.subject_id = {0})"
_ENTRUSTED = PARCELS_ENTRUSTED.format(":id")
_PARCEL = _CLASS.format("p", _WAITS, _ENTRUSTED)
_SLIP = _CLASS.format("c", "true", _ENTRUSTED)
_SLIPS = "custody c JOIN parcel p USING (controller_id, waybill, arrived_at)"
_BY_CLASS = {
    "subject": (
        "SELECT h.class, count(*) FROM handover_subject h"
        " JOIN subject s USING (controller_id, subject_id) WHERE h.handover_id = :id GROUP BY 1"
    ),
    "parcel": (
        f"SELECT {_PARCEL}, count(*) FROM parcel p{_LISTED.format('p')}"
        " LEFT JOIN custody c ON c.controller_id = p.controller_id AND c.waybill = p.waybill"
        " AND c.arrived_at = p.arrived_at"
        " WHERE p.station_id = ANY(:stations) GROUP BY 1"
    ),
    "parcel_held": (
        "SELECT CASE WHEN h.class = 'restricted' THEN 'restricted' ELSE 'kept_by_law' END,"
        " sum(t.parcels) FROM stored_at(:stations) t"
        " LEFT JOIN handover_subject h ON h.handover_id = :id AND h.subject_id = t.subject_id"
        " GROUP BY 1"
    ),
    "custody": (
        f"SELECT {_SLIP}, count(*) FROM {_SLIPS}{_LISTED.format('c')}"
        " WHERE p.station_id = ANY(:stations) GROUP BY 1"
    ),
    "preference": (
        "SELECT h.class, count(*) FROM handover_subject h"
        " JOIN preference f USING (controller_id, subject_id) WHERE h.handover_id = :id GROUP BY 1"
    ),
}
_WHOLE = {
    "subject": f"SELECT count(*) FROM subject s WHERE {_OF.format('s.subject_id')}",
    "parcel": "SELECT count(*) FROM parcel WHERE station_id = ANY(:stations)",
    "parcel_held": "SELECT coalesce(sum(parcels), 0) FROM stored_at(:stations)",
    "custody": (
        "SELECT count(*) FROM custody WHERE (waybill, arrived_at) IN"
        " (SELECT waybill, arrived_at FROM parcel WHERE station_id = ANY(:stations))"
    ),
    "preference": f"SELECT count(*) FROM preference f WHERE {_OF.format('f.subject_id')}",
}
