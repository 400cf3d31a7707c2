"""The state machine of a hand-over. The store holds the state; who calls only says what is due.

Transitions are data (``PATHS``): each mode has one path, and ``aborted`` leaves it at any state
before cut-over. Every transition is one row of ``handover_event`` and one entry of the ledger, in
the caller's transaction with the effect it records. The same transition twice is one; the same
transition with other evidence is refused. Nothing here decides whether evidence is good enough:
that is checked by whoever makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.ledger import canonical_json

__all__ = [
    "ABORTABLE",
    "CLASSES",
    "MODES",
    "PATHS",
    "STATES",
    "Handover",
    "Mode",
    "State",
    "abort",
    "advance",
    "events",
    "following",
    "load",
    "note",
]

State = Literal[
    "drafted",
    "assessed",
    "noticed",
    "answered",
    "approved",
    "packaged",
    "received",
    "reconciled",
    "cut_over",
    "certified",
    "aborted",
]
Mode = Literal[
    "share_deal", "statutory_succession", "asset_deal", "entrusted_processor_change", "closure"
]
SubjectClass = Literal[
    "transferred",
    "expired",
    "refused",
    "silent",
    "unreachable",
    "minors",
    "dormant",
    "entrusted",
    "quarantined",
    "restricted",
    "served_elsewhere",
    "kept_by_law",
]
STATES: tuple[State, ...] = get_args(State)
MODES: tuple[Mode, ...] = get_args(Mode)
CLASSES: tuple[SubjectClass, ...] = get_args(SubjectClass)

_WHOLE: tuple[State, ...] = STATES[:-1]
_NOTHING_MOVES: tuple[State, ...] = (
    "drafted",
    "assessed",
    "noticed",
    "approved",
    "cut_over",
    "certified",
)
PATHS: dict[Mode, tuple[State, ...]] = {
    "asset_deal": _WHOLE,
    "statutory_succession": _WHOLE,
    # The handler stays who it is: only notices change.
    "share_deal": ("drafted", "assessed", "noticed", "approved", "certified"),
    # The courier or platform supplies afresh; the old station returns or deletes (PIPL 21).
    "entrusted_processor_change": _NOTHING_MOVES,
    "closure": _NOTHING_MOVES,
}
"""The one path of each mode. Data, so that tests and docs can go through it."""

ABORTABLE: frozenset[State] = frozenset(_WHOLE[: _WHOLE.index("cut_over")])
"""States from which a hand-over can still be given up; from cut-over on it cannot."""


@dataclass(frozen=True)
class Handover:
    """One hand-over as it stands. ``controller``: id of the seller."""

    id: UUID
    controller: int
    mode: Mode
    state: State
    request: Mapping[str, Any]
    digest: str


def load(connection: Connection, handover_id: UUID, *, lock: bool = False) -> Handover:
    """Return a hand-over; ``lock``: nobody else changes it until the transaction ends.

    Raises ``HandoverRefused`` when the caller's owner has no such hand-over.
    """
    row = connection.execute(text(_LOAD + (_LOCK if lock else "")), {"id": handover_id}).first()
    if row is None:
        raise HandoverRefused("handover.unknown")
    return Handover(*row)


def following(mode: Mode, state: State) -> State | None:
    """Return the state after ``state`` on the mode's path; ``None`` at an end."""
    path = PATHS[mode]
    place = path.index(state) + 1 if state in path else len(path)
    return path[place] if place < len(path) else None


def advance(
    connection: Connection,
    handover_id: UUID,
    to: State,
    evidence: Mapping[str, Any],
    at: datetime,
) -> bool:
    """Take the hand-over to the state ``to`` and keep ``evidence`` (counts, digests, staff ids).

    Return ``False`` when it was taken there before, with the same evidence: nothing is written.
    Raises ``HandoverRefused`` for a state that is not next on the mode's path, and for other
    evidence of a transition that was made.
    """
    known = load(connection, handover_id, lock=True)
    if _is_kept(connection, known, "state", to, evidence):
        return False
    allowed = to == "aborted" and known.state in ABORTABLE
    if not allowed and to != following(known.mode, known.state):
        raise HandoverRefused("handover.not_next", state=known.state, to=to)
    _keep(connection, known, "state", to, evidence, at)
    connection.execute(text(_ADVANCE), {"id": handover_id, "state": to, "at": at})
    return True


def abort(connection: Connection, handover_id: UUID, reason: str, by: str, at: datetime) -> bool:
    """Give the hand-over up. Raises ``HandoverRefused`` from cut-over on.

    A buyer who received a package already signs a deletion: the facts say whether one is owed.
    """
    known = load(connection, handover_id, lock=True)
    if known.state == "aborted":
        return False
    passed = {row["key"] for row in events(connection, handover_id, "state")}
    facts = {
        "from": known.state,
        "reason": reason,
        "by": by,
        "buyer_deletes": bool(passed & {"packaged", "received", "reconciled"}),
    }
    return advance(connection, handover_id, "aborted", facts, at)


def note(
    connection: Connection,
    handover_id: UUID,
    kind: str,
    key: str,
    facts: Mapping[str, Any],
    at: datetime,
) -> bool:
    """Keep an event that changes no state, once per kind and key; say whether it is new.

    Raises ``HandoverRefused`` when the same event was kept with other facts.
    """
    known = load(connection, handover_id, lock=True)
    if _is_kept(connection, known, kind, key, facts):
        return False
    _keep(connection, known, kind, key, facts, at)
    return True


def events(connection: Connection, handover_id: UUID, kind: str = "") -> list[dict[str, Any]]:
    """Return what happened, oldest first: kind, key, facts, at."""
    rows = connection.execute(text(_EVENTS), {"id": handover_id, "kind": kind})
    return [dict(row) for row in rows.mappings()]


def _is_kept(
    connection: Connection, known: Handover, kind: str, key: str, facts: Mapping[str, Any]
) -> bool:
    values = {"id": known.id, "kind": kind, "key": key}
    before = connection.execute(text(_BEFORE), values).first()
    if before is None:
        return False
    if canonical_json(before[0]) != canonical_json(dict(facts)):
        raise HandoverRefused("handover.other_evidence", what=f"{kind}/{key}")
    return True


def _keep(
    connection: Connection,
    known: Handover,
    kind: str,
    key: str,
    facts: Mapping[str, Any],
    at: datetime,
) -> None:
    body = canonical_json(dict(facts))
    values = {
        "id": known.id,
        "controller": known.controller,
        "kind": kind,
        "key": key,
        "facts": body.decode(),
        "at": at,
    }
    connection.execute(text(_KEEP), values)
    entry = {"kind": kind, "key": key, "evidence": hashlib.sha256(body).hexdigest()}
    journal.append(connection, "handover", f"handover-{known.id}", at, entry)


_LOAD = (
    "SELECT handover_id, controller_id, mode, state, request, digest FROM handover"
    " WHERE handover_id = :id"
)
_LOCK = " FOR UPDATE"
_ADVANCE = "UPDATE handover SET state = :state, changed_at = :at WHERE handover_id = :id"
_BEFORE = "SELECT facts FROM handover_event WHERE handover_id = :id AND kind = :kind AND key = :key"
_KEEP = (
    "INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at)"
    " VALUES (:id, :controller, :kind, :key, CAST(:facts AS jsonb), :at)"
)
_EVENTS = (
    "SELECT kind, key, facts, at FROM handover_event WHERE handover_id = :id"
    " AND (kind = :kind OR :kind = '') ORDER BY id"
)
