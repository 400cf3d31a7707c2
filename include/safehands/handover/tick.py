"""What is due today in every open hand-over. Runs end; windows wait in the store."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text

from safehands.errors import GateClosed, HandoverRefused
from safehands.handover.answers import close_window
from safehands.handover.approvals import approve_due, decisions, needed
from safehands.handover.opening import known
from safehands.handover.state import following
from safehands.installation import Installation

__all__ = ["tick", "unapproved"]


def tick(inst: Installation, day: date, now: datetime) -> dict[str, int]:
    """Make the transitions that are due; return how many hand-overs moved, wait or are blocked."""
    found = {"moved": 0, "waiting": 0, "blocked": 0}
    with inst.store.begin() as connection:
        rows = connection.execute(text(_OPEN)).all()
    for handover_id, mode, state in rows:
        found[_one(inst, handover_id, following(mode, state), day, now)] += 1
    return found


def unapproved(inst: Installation, day: date) -> list[UUID]:
    """Return the hand-overs whose next state is ``approved`` and that lack somebody's yes.

    Not those that a party refused: who said no is not asked again until that answer lapses, unless
    somebody starts the approval by hand.
    """
    with inst.store.begin() as connection:
        rows = connection.execute(text(_OPEN)).all()
    waiting = []
    for handover_id, mode, state in rows:
        if following(mode, state) == "approved":
            _, asked = known(inst, handover_id)
            standing = decisions(inst, handover_id, day)
            said = {standing.get(party, {}).get("decision") for party in needed(asked)}
            if "refuse" not in said and said != {"approve"}:
                waiting.append(handover_id)
    return waiting


def _one(inst: Installation, handover_id: UUID, due: object, day: date, now: datetime) -> str:
    try:
        if due == "answered":
            return "moved" if close_window(inst, handover_id, day, now) else "waiting"
        if due == "approved":
            return "moved" if approve_due(inst, handover_id, day, now) else "waiting"
    except GateClosed:
        return "blocked"
    except HandoverRefused:
        return "waiting"
    return "waiting"


_OPEN = (
    "SELECT handover_id, mode, state FROM handover WHERE state NOT IN ('certified', 'aborted')"
    " ORDER BY opened_at, handover_id"
)
