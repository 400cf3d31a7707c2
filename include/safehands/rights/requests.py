"""Requests as they stand: registered, identified, granted or refused, done.

A request has an id that may be shown and typed into a form; whom it is about is a subject id that
goes when the person is erased.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import names_a_person
from safehands.errors import AccessRefused
from safehands.night import SHANGHAI
from safehands.rights.book import RightsBook
from safehands.store import Store, lock
from safehands.store.register import Owner, owners
from safehands.vault.access import OFFICER, check_staff, find_owner

__all__ = [
    "OPEN",
    "Request",
    "check_reference",
    "find",
    "list_requests",
    "open_requests",
    "register",
    "step",
]

OPEN = ("registered", "identified", "granted")
"""States in which somebody still waits for an answer."""

_REFERENCE = re.compile(r"[\w()（）〔〕\[\] ./#:-]{0,80}")


@dataclass(frozen=True)
class Request:
    """One request as it may be shown. ``subject``: whom it is about, None once erased."""

    request: str
    controller: str
    kind: str
    behalf: str
    channel: str
    state: str
    requested_at: datetime
    target: date
    latest: date
    purpose: str
    identified_how: str
    reason: str
    conditions: tuple[str, ...]
    decided_by: str
    done_at: datetime | None
    outcome: dict[str, Any] | None
    subject: UUID | None

    def late(self, day: date) -> bool:
        """Say whether it is still open after its latest day."""
        return self.state in OPEN and day > self.latest


def register(
    store: Store,
    book: RightsBook,
    controller: str,
    kind: str,
    subject: UUID,
    by: str,
    now: datetime,
    random: bytes,
    *,
    behalf: str = "self",
    channel: str = "counter",
    evidence: str = "",
    purpose: str = "",
) -> tuple[str, bool]:
    """Register a request about ``subject``; return its id and whether it is new.

    The same person's open request of the same kind is returned instead of a second one. The clock
    starts now: ``target_days``, ``latest_days``. ``random`` gives four bytes for the id.

    Raises ``AccessRefused`` for a kind that is unknown or not for whom it is asked, for missing
    proof of standing for somebody else, and for references that look like a person's number.
    """
    check_staff(by)
    _check(book, kind, behalf, evidence, purpose)
    for reference in (channel, evidence):
        check_reference(reference)
    owner = find_owner(store, controller)
    with store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.requests.{owner.id}")
        values = {"who": subject, "kind": kind, "purpose": purpose, "open": list(OPEN)}
        known = connection.execute(text(_SAME), values).scalar()
        if known is not None:
            return str(known), False
        if not connection.execute(text(_THERE), values).scalar():
            raise AccessRefused("vault.nobody")
        today = now.astimezone(SHANGHAI).date()
        request = f"R-{now.astimezone(SHANGHAI):%Y%m%d}-{random[:4].hex()}"
        row = {
            **values,
            "request": request,
            "controller": owner.id,
            "behalf": behalf,
            "channel": channel,
            "now": now,
            "target": today + timedelta(days=book.target_days),
            "latest": today + timedelta(days=book.latest_days),
            "evidence": evidence,
            "by": by,
        }
        connection.execute(text(_REGISTER), row)
        step(connection, owner, request, "registered", by, now, kind=kind, behalf=behalf)
    return request, True


def find(store: Store, request: str) -> Request:
    """Return one request. Raises ``AccessRefused`` when there is none of that id."""
    for owner in owners(store).values():
        with store.begin(OFFICER, owner.id) as connection:
            row = connection.execute(text(f"{_ROWS} WHERE request = :id"), {"id": request}).first()
        if row is not None:
            return _request(owner, row)
    raise AccessRefused("rights.unknown", request=request[:40])


def list_requests(store: Store, controller: str | None = None) -> list[Request]:
    """Return all requests, or one owner's, those that are due first."""
    found = []
    for owner in owners(store).values():
        if controller in (None, owner.code):
            with store.begin(OFFICER, owner.id) as connection:
                rows = connection.execute(text(f"{_ROWS} ORDER BY latest, request"))
                found += [_request(owner, row) for row in rows]
    return sorted(found, key=lambda one: (one.state not in OPEN, one.latest, one.request))


def open_requests(connection: Connection, controller_id: int) -> list[tuple[str, str, date]]:
    """Return id, kind and latest day of what is still open, for a hand-over's plan."""
    values = {"c": controller_id, "open": list(OPEN)}
    return [(row[0], row[1], row[2]) for row in connection.execute(text(_OPEN), values)]


def step(
    connection: Connection,
    owner: Owner,
    request: str,
    state: str,
    by: str,
    now: datetime,
    **facts: Any,
) -> None:
    """Write what happened to a request into the ledger; nobody is named."""
    body = {"controller": owner.code, "request": request, "state": state, "by": by, **facts}
    journal.append(connection, "request", request, now, body)


def check_reference(reference: str) -> None:
    """Raise ``AccessRefused`` for a reference that is too long or looks like somebody's number."""
    if not _REFERENCE.fullmatch(reference) or names_a_person(reference):
        raise AccessRefused("consent.reference")


def _check(book: RightsBook, kind: str, behalf: str, evidence: str, purpose: str) -> None:
    if kind not in book.kinds:
        raise AccessRefused("rights.unknown_kind", known=", ".join(book.kinds))
    if behalf not in book.behalf or kind not in book.behalf[behalf].kinds:
        raise AccessRefused("rights.not_for_them", known=", ".join(book.behalf))
    if book.behalf[behalf].evidence and not evidence:
        raise AccessRefused("rights.proof_missing")
    if (kind == "withdraw") != bool(purpose):
        raise AccessRefused("rights.purpose_missing")


def _request(owner: Owner, row: Any) -> Request:
    values = row._mapping
    conditions = tuple(name for name in values["conditions"].split(",") if name)
    names = Request.__dataclass_fields__.keys() - {"controller", "conditions", "subject"}
    plain = {name: values[name] for name in names}
    return Request(
        **plain, controller=owner.code, conditions=conditions, subject=values["subject_id"]
    )


_SAME = (
    "SELECT request FROM subject_request WHERE subject_id = :who AND kind = :kind"
    " AND purpose = :purpose AND state = ANY (:open) ORDER BY requested_at LIMIT 1"
)
_THERE = (
    "SELECT EXISTS (SELECT FROM subject WHERE subject_id = :who)"
    " OR EXISTS (SELECT FROM restriction WHERE subject_id = :who)"
)
_REGISTER = (
    "INSERT INTO subject_request (request, controller_id, kind, behalf, channel, subject_id, state,"
    " requested_at, target, latest, evidence, purpose, by_whom) VALUES (:request, :controller,"
    " :kind, :behalf, :channel, :who, 'registered', :now, :target, :latest, :evidence, :purpose,"
    " :by)"
)
_ROWS = (
    "SELECT request, kind, behalf, channel, state, requested_at, target, latest, purpose,"
    " identified_how, reason, conditions, decided_by, done_at, outcome, subject_id"
    " FROM subject_request"
)
_OPEN = (
    "SELECT request, kind, latest FROM subject_request"
    " WHERE controller_id = :c AND state = ANY (:open) ORDER BY latest, request"
)
