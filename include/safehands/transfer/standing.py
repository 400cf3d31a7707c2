"""What a buyer holds of a hand-over by the seller's account: the package and its deltas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.transfer.package import packaged

__all__ = ["deltas", "gone", "moved", "unanswered"]


def deltas(connection: Connection, handover: UUID) -> list[dict[str, Any]]:
    """Return the facts of all deltas, oldest first."""
    return [one["facts"] for one in state.events(connection, handover, "delta")]


def unanswered(connection: Connection, handover: UUID) -> list[str]:
    """Return the numbers of deltas for which the buyer's receipt was not taken yet."""
    answered = {one["key"] for one in state.events(connection, handover, "delta_receipt")}
    made = [one["key"] for one in state.events(connection, handover, "delta")]
    return [number for number in made if number not in answered]


def moved(connection: Connection, handover: UUID) -> dict[str, int] | None:
    """Return rows per table of the package as they stand after its last delta; None before it."""
    made = packaged(connection, handover)
    if made is None:
        return None
    later = deltas(connection, handover)
    return dict(later[-1]["now"]) if later else made.counts


def gone(moved_rows: Mapping[str, int], classes: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return rows per table that were handed over and that the seller no longer holds.

    Raises ``HandoverRefused`` when there are more than were handed over: they came since.
    """
    left: dict[str, int] = {}
    for table, packed in (("subject", "person"), ("parcel",) * 2, ("custody",) * 2):
        left[table] = int(moved_rows[packed]) - classes[table].get("transferred", 0)
        if left[table] < 0:
            raise HandoverRefused("transfer.came_since", table=table, rows=-left[table])
    return left
