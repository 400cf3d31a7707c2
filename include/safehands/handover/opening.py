"""Opening a hand-over: the request is checked against the store and kept as ``drafted``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import HandoverRefused
from safehands.handover.classify import Scope
from safehands.handover.request import HandoverRequest, lane
from safehands.handover.state import Handover, Mode, load
from safehands.installation import Installation
from safehands.ledger import canonical_json
from safehands.store import lock
from safehands.store.register import Owner, owners

__all__ = ["Asked", "ask", "asked_of", "known", "open_handover", "people", "scope_of"]

_SPACE = UUID("5b0a8f5e-6d0c-5e0f-9a43-6d1f5c0f9b17")


@dataclass(frozen=True)
class Asked:
    """A request that fits the store: its seller, the mode that holds and why (a message key)."""

    id: UUID
    request: HandoverRequest
    seller: Owner
    kind: str
    mode: Mode
    why: str
    roles: Mapping[str, str]

    @property
    def handler(self) -> frozenset[str]:
        """Datasets for which the seller decides itself, or jointly."""
        return frozenset(d for d, role in self.roles.items() if role in ("handler", "joint"))


def ask(inst: Installation, request: HandoverRequest) -> Asked:
    """Compare a request with the store; write nothing.

    The id follows from the request, so that the same request is the same hand-over. Raises
    ``HandoverRefused`` for an owner or station that doesn't fit, and for a record set whose role is
    unknown: who is the handler decides everything else (LAW.md 0b).
    """
    known = owners(inst.store)
    seller = known.get(request.seller)
    if seller is None:
        raise HandoverRefused("handover.no_station", station="*", owner=request.seller)
    for station in request.stations:
        if station not in seller.stations:
            raise HandoverRefused("handover.no_station", station=station, owner=seller.code)
    if request.buyer and request.buyer not in known:
        raise HandoverRefused("handover.bad_request", where="buyer", why="unknown owner")
    for purpose in request.buyer_purposes:
        if purpose not in inst.policy.purposes:
            raise HandoverRefused("handover.bad_request", where="buyer_purposes", why="unknown")
    with inst.store.begin(controller=seller.id) as connection:
        kind = str(connection.execute(text(_KIND), {"id": seller.id}).scalar_one())
        found = connection.execute(text(_ROLES), {"id": seller.id}).all()
    roles = {str(row[0]): str(row[1]) for row in found}
    unknown = sorted(name for name, role in roles.items() if role == "unknown")
    if unknown or not roles:
        raise HandoverRefused("handover.role_unknown", what=", ".join(unknown) or "*")
    mode, why = lane(request, kind)
    return Asked(uuid5(_SPACE, request.digest), request, seller, kind, mode, why, roles)


def open_handover(inst: Installation, asked: Asked, by: str, now: datetime) -> UUID:
    """Keep the request as ``drafted``, once; the same request again is the same hand-over.

    Raises ``HandoverRefused`` for a rehearsal, and while another hand-over of one of the stations
    is open.
    """
    if asked.request.dry_run:
        raise HandoverRefused("handover.dry_run")
    body = {**asked.request.model_dump(mode="json"), "why": asked.why}
    values = {
        "id": asked.id,
        "seller": asked.seller.id,
        "mode": asked.mode,
        "request": canonical_json(body).decode(),
        "digest": asked.request.digest,
        "now": now,
        "stations": list(asked.request.stations),
    }
    with inst.store.begin(controller=asked.seller.id) as connection:
        if connection.execute(text(_KNOWN), values).scalar():
            return asked.id
        if connection.execute(text(_OTHER), values).scalar():
            raise HandoverRefused("handover.other_open")
        connection.execute(text(_OPEN), values)
        facts = {
            "kind": "state",
            "key": "drafted",
            "mode": asked.mode,
            "request": asked.request.digest,
            "by": by,
        }
        journal.append(connection, "handover", f"handover-{asked.id}", now, facts)
    return asked.id


def asked_of(inst: Installation, handover: Handover) -> Asked:
    """Return what was asked for in a hand-over that stands in the store; in the mode kept."""
    body = {key: value for key, value in handover.request.items() if key != "why"}
    again = ask(inst, HandoverRequest.model_validate(body))
    why = str(handover.request.get("why", ""))
    return Asked(
        handover.id, again.request, again.seller, again.kind, handover.mode, why, again.roles
    )


def scope_of(asked: Asked, inst: Installation, day: date) -> Scope:
    """Return what is classified on ``day``."""
    stations = asked.seller.stations
    ours = set(inst.policy.purposes) - {"handover"}
    return Scope(
        handover=asked.id,
        controller=asked.seller.id,
        stations=tuple(stations[code] for code in asked.request.stations),
        whole=set(stations) == set(asked.request.stations),
        mode=asked.mode,
        same_purposes=set(asked.request.buyer_purposes) <= ours,
        handler=asked.handler,
        day=day,
        until=_until(inst, asked),
    )


def _until(inst: Installation, asked: Asked) -> date:
    """Return the last day of the window, once people have been told."""
    with inst.store.begin(controller=asked.seller.id) as connection:
        told = connection.execute(text(_NOTICED), {"id": asked.id}).scalar()
    return date.fromisoformat(told) if told else date.max


def known(inst: Installation, handover_id: UUID) -> tuple[Handover, Asked]:
    """Return a hand-over and what was asked for. Raises ``HandoverRefused`` if there is none."""
    with inst.store.begin() as connection:
        handover = load(connection, handover_id)
    return handover, asked_of(inst, handover)


@contextmanager
def people(inst: Installation, asked: Asked) -> Iterator[Connection]:
    """Open a transaction that counts the seller's people, restricted ones too, one at a time.

    Nobody's record is opened in it: who is stored only is counted, and stays.
    """
    with inst.store.begin(controller=asked.seller.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{asked.seller.id}")
        yield connection


_KIND = "SELECT kind FROM controller WHERE id = :id"
_ROLES = "SELECT dataset, role FROM record_set WHERE controller_id = :id"
_KNOWN = "SELECT EXISTS (SELECT FROM handover WHERE handover_id = :id)"
_NOTICED = (
    "SELECT facts ->> 'until' FROM handover_event"
    " WHERE handover_id = :id AND kind = 'state' AND key = 'noticed'"
)
_OTHER = (
    "SELECT EXISTS (SELECT FROM handover WHERE controller_id = :seller"
    " AND state NOT IN ('certified', 'aborted')"
    " AND request -> 'stations' ?| CAST(:stations AS text[]))"
)
_OPEN = (
    "INSERT INTO handover (handover_id, controller_id, mode, state, request, digest, opened_at,"
    " changed_at) VALUES (:id, :seller, :mode, 'drafted', CAST(:request AS jsonb), :digest, :now,"
    " :now)"
)
