"""Incidents as reported, and what was found and done about them: append-only, counts only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from safehands import journal
from safehands.errors import AccessRefused
from safehands.incidents.book import IncidentBook
from safehands.store.register import Owner
from safehands.vault.access import check_staff

__all__ = ["EVENTS", "Case", "Event", "Scope", "case", "cases", "note", "open_case"]

EVENTS = frozenset(
    (
        *("assessed", "kept", "proposed", "done", "contained", "drafted", "reported_postal"),
        *("reported_cac", "informed", "summarised", "handled", "lesson", "responsible", "closed"),
    )
)


@dataclass(frozen=True)
class Scope:
    """How far an incident reaches. ``copied``: the moment of the backup that got away."""

    stations: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    agreements: tuple[str, ...] = ()
    staff: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    parcels: bool = False
    everybody: bool = False
    copied: str = ""


@dataclass(frozen=True)
class Event:
    """Something found or done: kind, name (an action, a clock, a reference), counts."""

    kind: str
    name: str
    at: datetime
    by: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One incident with its events."""

    number: int
    kind: str
    drill: bool
    discovered_at: datetime
    discovered_by: str
    began_at: datetime
    ended_at: datetime
    scope: Scope
    events: tuple[Event, ...]

    def first(self, kind: str) -> Event | None:
        """Return the first event of a kind."""
        return next((event for event in self.events if event.kind == kind), None)

    def last(self, kind: str) -> Event | None:
        """Return the last event of a kind."""
        return next((event for event in reversed(self.events) if event.kind == kind), None)


def open_case(
    connection: Connection,
    book: IncidentBook,
    owner: Owner,
    kind: str,
    times: tuple[datetime, datetime, datetime],
    discovered_by: str,
    scope: Scope,
    by: str,
    now: datetime,
    *,
    drill: bool = False,
) -> int:
    """Open an incident and return its number. ``times``: discovered, began, ended.

    As the officer bound to ``owner``. Raises ``AccessRefused`` for an unknown kind, for times in
    the wrong order or in the future, and for a scope that reaches nothing.
    """
    check_staff(by)
    discovered, began, ended = times
    if kind not in book.kinds:
        raise AccessRefused("incident.unknown_kind", known=", ".join(book.kinds))
    if not began <= ended or discovered > now or began > discovered:
        raise AccessRefused("incident.times")
    if scope == Scope(stations=scope.stations, systems=scope.systems):
        raise AccessRefused("incident.no_scope")
    values = {
        "owner": owner.id,
        "kind": kind,
        "drill": drill,
        "discovered": discovered,
        "by_first": discovered_by,
        "began": began,
        "ended": ended,
        "scope": json.dumps(asdict(scope), ensure_ascii=False),
        "now": now,
        "by": by,
    }
    number = int(connection.execute(text(_OPEN), values).scalar_one())
    body = {"controller": owner.code, "incident": number, "kind": kind, "drill": drill, "by": by}
    journal.append(connection, "incident", f"incident-{number}", now, body)
    return number


def note(
    connection: Connection,
    owner: Owner,
    number: int,
    kind: str,
    by: str,
    now: datetime,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to an incident and the ledger. Raises ``AccessRefused`` for an unknown one."""
    check_staff(by)
    if kind not in EVENTS:
        raise AccessRefused("incident.unknown_event", known=", ".join(sorted(EVENTS)))
    found = case(connection, number)
    if found.first("closed"):
        raise AccessRefused("incident.closed", number=number)
    told = json.dumps(dict(facts or {}), ensure_ascii=False, default=str)
    values = {
        "owner": owner.id,
        "number": number,
        "kind": kind,
        "name": name,
        "now": now,
        "by": by,
        "facts": told,
    }
    connection.execute(text(_NOTE), values)
    body = {
        "controller": owner.code,
        "incident": number,
        "event": kind,
        "name": name,
        "drill": found.drill,
        "by": by,
        "facts": json.loads(told),
    }
    journal.append(connection, "incident", f"incident-{number}", now, body)


def case(connection: Connection, number: int) -> Case:
    """Return the bound owner's incident. Raises ``AccessRefused`` when there is none."""
    found = [one for one in cases(connection) if one.number == number]
    if not found:
        raise AccessRefused("incident.no_such", number=number)
    return found[0]


def cases(connection: Connection) -> list[Case]:
    """Return the bound owner's incidents, oldest first."""
    events: dict[int, list[Event]] = {}
    for row in connection.execute(text(_EVENTS)):
        events.setdefault(row[0], []).append(Event(*row[1:]))
    return [_case(row, events) for row in connection.execute(text(_CASES))]


def _scope(stored: Mapping[str, Any]) -> Scope:
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return Scope(**given)


def _case(row: Row[Any], events: Mapping[int, list[Event]]) -> Case:
    known = row._mapping
    return Case(
        known["id"],
        known["kind"],
        known["drill"],
        known["discovered_at"],
        known["discovered_by"],
        known["began_at"],
        known["ended_at"],
        _scope(known["scope"]),
        tuple(events.get(known["id"], ())),
    )


_OPEN = (
    "INSERT INTO incident (controller_id, kind, drill, discovered_at, discovered_by, began_at,"
    " ended_at, scope, opened_at, by_whom) VALUES (:owner, :kind, :drill, :discovered, :by_first,"
    " :began, :ended, CAST(:scope AS jsonb), :now, :by) RETURNING id"
)
_NOTE = (
    "INSERT INTO incident_event (incident_id, controller_id, kind, name, at, by_whom, facts)"
    " VALUES (:number, :owner, :kind, :name, :now, :by, CAST(:facts AS jsonb))"
)
_EVENTS = "SELECT incident_id, kind, name, at, by_whom, facts FROM incident_event ORDER BY id"
_CASES = (
    "SELECT id, kind, drill, discovered_at, discovered_by, began_at, ended_at, scope"
    " FROM incident ORDER BY id"
)
