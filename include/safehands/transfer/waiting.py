"""Parcels that wait and may not move: collected or returned before anything is cut over.

Nothing becomes uncollectable. Whose parcel waits and who objected, is a minor without a guardian,
or stays with the seller by law, is served first: they collect it, or it goes back to the courier.
What is entrusted goes on under the courier's or platform's written confirmation. Where nothing
moves at all (a closure), that holds for every parcel at the counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection

from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.transfer.papers import require
from safehands.transfer.reconcile import SLIPS_OF, held_by_class
from safehands.vault.access import check_staff

__all__ = ["check_waiting", "outstanding", "settle"]

_BY_HAND = "settled_parcels"


def outstanding(known: state.Handover, custody: Mapping[str, int]) -> dict[str, int]:
    """Return the parcels, by class, that must be collected or returned first.

    ``custody``: slips by class. Entrusted ones are the courier's, who confirms in writing.
    """
    if known.mode == "closure":
        return {name: count for name, count in sorted(custody.items()) if count}
    return {name: custody[name] for name in SLIPS_OF if name != "entrusted" and custody.get(name)}


def settle(
    store: Store,
    seller: Owner,
    handover: UUID,
    stations: tuple[str, ...],
    by: str,
    on: date,
    now: datetime,
) -> dict[str, int]:
    """Keep that somebody says: these parcels were collected or returned, though rows still wait.

    For what the station's software did not report; the counts are those of now. Return them.
    """
    check_staff(by)
    numbers = [seller.stations[code] for code in stations]
    with store.begin(controller=seller.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        known = state.load(connection, handover)
        slips = held_by_class(connection, handover, numbers, "custody")["custody"]
        left = outstanding(known, slips)
        said = state.events(connection, handover, _BY_HAND)
        if left and (not said or said[-1]["facts"]["parcels"] != left):
            facts = {"parcels": left, "by": by, "on": on.isoformat()}
            state.note(connection, handover, _BY_HAND, str(len(said) + 1), facts, now)
    return left


def check_waiting(
    connection: Connection, known: state.Handover, custody: Mapping[str, int]
) -> dict[str, int]:
    """Return what was settled by hand. Raises ``HandoverRefused`` while a parcel waits."""
    if custody.get("entrusted") or known.mode == "entrusted_processor_change":
        require(connection, known, "handler_confirmation")
    left = outstanding(known, custody)
    said = state.events(connection, known.id, _BY_HAND)
    settled: dict[str, int] = dict(said[-1]["facts"]["parcels"]) if said else {}
    if left and left != settled:
        counts = ", ".join(f"{name} {count}" for name, count in left.items())
        raise HandoverRefused("transfer.parcels_wait", counts=counts)
    return left
