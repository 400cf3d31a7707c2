"""The freeze: a station that changes hands takes nothing new in.

From the freeze on a night leaves the station's exports in the landing folder and says so. What
came before it and is not loaded yet is taken in by a *last load*: the freeze is lifted for one
night and set again, and the final delta carries what that night brought. After the cut-over the
freeze stays: what arrives then is the buyer's. People's own rights (withdrawal, correction,
erasure, restriction) are honoured throughout; the delta carries them too.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.vault.access import check_staff

__all__ = ["freeze", "frozen", "is_frozen", "last_load"]


def freeze(
    store: Store,
    seller: Owner,
    handover: UUID,
    stations: tuple[str, ...],
    by: str,
    now: datetime,
) -> bool:
    """Freeze the stations of a hand-over; return whether they were not frozen before.

    Raises ``HandoverRefused`` before approval and when the hand-over was aborted.
    """
    return _turn(store, seller, handover, stations, "frozen", by, now)


def last_load(
    store: Store,
    seller: Owner,
    handover: UUID,
    stations: tuple[str, ...],
    by: str,
    now: datetime,
) -> bool:
    """Lift the freeze for the last load; ``freeze`` sets it again. Not after the cut-over."""
    return _turn(store, seller, handover, stations, "last_load", by, now)


def frozen(store: Store) -> frozenset[str]:
    """Return the codes of all stations that are frozen now."""
    with store.begin() as connection:
        rows = connection.execute(text(_LAST)).all()
    return frozenset(code for kind, codes in rows if kind == "frozen" for code in codes)


def is_frozen(connection: Connection, handover: UUID) -> bool:
    """Say whether the stations of one hand-over are frozen."""
    turns = state.events(connection, handover, "freeze")
    return bool(turns) and turns[-1]["facts"]["turn"] == "frozen"


def _turn(
    store: Store,
    seller: Owner,
    handover: UUID,
    stations: tuple[str, ...],
    turn: str,
    by: str,
    now: datetime,
) -> bool:
    check_staff(by)
    with store.begin(controller=seller.id) as connection:
        # A night that loads this owner's shards ends first.
        lock(connection, f"safehands.controller.{seller.id}")
        known = state.load(connection, handover, lock=True)
        turns = state.events(connection, handover, "freeze")
        if bool(turns) and turns[-1]["facts"]["turn"] == turn:
            return False
        if known.state not in _WHEN[turn]:
            raise HandoverRefused("transfer.no_freeze_now", state=known.state)
        facts = {"turn": turn, "stations": sorted(stations), "by": by}
        return state.note(connection, handover, "freeze", str(len(turns) + 1), facts, now)


_MOVING = ("approved", "packaged", "received", "reconciled")
_WHEN = {"frozen": (*_MOVING, "cut_over"), "last_load": _MOVING}
_LAST = (
    "SELECT DISTINCT ON (e.handover_id) e.facts ->> 'turn', ARRAY(SELECT"
    " jsonb_array_elements_text(e.facts -> 'stations')) FROM handover_event e"
    " JOIN handover h USING (handover_id) WHERE e.kind = 'freeze' AND h.state <> 'aborted'"
    " ORDER BY e.handover_id, e.id DESC"
)
