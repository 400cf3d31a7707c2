"""Is it really them? A one-time code to the number in question, or a check by a person.

A code is sent to a number that was typed in and has to lead to whom the request is about. The store
keeps its keyed digest, how long it counts and how often somebody tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import erasure
from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.keys import KeyRing
from safehands.messages import LANGUAGES, say
from safehands.rights.book import RightsBook
from safehands.rights.requests import Request, check_reference, find, step
from safehands.store.register import Owner, owners
from safehands.vault.access import OFFICER, check_staff, officer_ring

__all__ = ["FileSender", "Sender", "confirm", "send_code", "verify_code"]


class Sender(Protocol):
    """Whatever brings a text to a phone: a gateway with an agreement in force."""

    def send(self, phone: str, message: str) -> None:
        """Hand over one message. Raises what it likes; nothing was promised to the person then."""


class FileSender:
    """A sender for trying things out: writes the message to a file that only its owner can read.

    The file is overwritten by the next one and holds no number. It sends nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def send(self, phone: str, message: str) -> None:  # noqa: ARG002 - a file has no number
        """Write ``message`` with mode 0600."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(message + "\n")


def send_code(
    inst: Installation,
    book: RightsBook,
    request: str,
    phone: str,
    sender: Sender,
    by: str,
    draw: Callable[[int], int],
) -> None:
    """Send a fresh code for ``request`` to ``phone``.

    ``draw(n)`` gives a random number below n. Raises ``AccessRefused`` when the number does not
    lead to whom the request is about, or the request is past that.
    """
    check_staff(by)
    found, owner = _waiting(inst, request)
    holders, _ = erasure.find_subjects(inst.store, owner, phone, every_holder=True)
    if found.subject not in holders:
        raise AccessRefused("rights.other_number")
    code = str(draw(10**book.code.digits)).zfill(book.code.digits)
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        token = _token(officer_ring(connection, inst.store.provider, owner), request, code)
        until = now + timedelta(minutes=book.code.minutes)
        values = {"id": request, "code": token, "until": until}
        connection.execute(text(_CODE), values)
        step(connection, owner, request, "code_sent", by, now)
    parts = [say("rights.code", lang, code=code, minutes=book.code.minutes) for lang in LANGUAGES]
    sender.send(phone, "\n".join(parts))


def verify_code(inst: Installation, book: RightsBook, request: str, code: str, by: str) -> None:
    """Take a code that the person read out.

    Raises ``AccessRefused`` for a wrong one, after too many tries, and when its time is over.
    """
    check_staff(by)
    _, owner = _waiting(inst, request)
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        row = connection.execute(text(_TRY), {"id": request}).one()
        wanted, until, tries = row
        token = _token(officer_ring(connection, inst.store.provider, owner), request, code.strip())
        good = wanted == token and until is not None and now <= until and tries <= book.code.tries
        if good:
            _identified(connection, owner, request, "code", by, now)
    if not good:
        raise AccessRefused("rights.wrong_code", left=max(0, book.code.tries - tries))


def confirm(
    inst: Installation, book: RightsBook, request: str, how: str, evidence: str, by: str
) -> None:
    """Record that a person checked who it is. Raises ``AccessRefused`` for an unknown way."""
    check_staff(by)
    check_reference(evidence)
    if how not in book.checks or how == "code":
        known = ", ".join(name for name in book.checks if name != "code")
        raise AccessRefused("rights.unknown_check", known=known)
    if book.checks[how].evidence and not evidence:
        raise AccessRefused("rights.proof_missing")
    _, owner = _waiting(inst, request)
    with inst.store.begin(OFFICER, owner.id) as connection:
        _identified(connection, owner, request, how, by, inst.clock())


def _waiting(inst: Installation, request: str) -> tuple[Request, Owner]:
    found = find(inst.store, request)
    if found.state != "registered" or found.subject is None:
        raise AccessRefused("rights.wrong_state", request=request, state=found.state)
    return found, owners(inst.store)[found.controller]


def _identified(
    connection: Connection, owner: Owner, request: str, how: str, by: str, now: datetime
) -> None:
    connection.execute(text(_IDENTIFIED), {"id": request, "how": how, "at": now})
    step(connection, owner, request, "identified", by, now, how=how)


def _token(ring: KeyRing, request: str, code: str) -> UUID:
    return UUID(bytes=ring.lookups("request-code", [f"{request}/{code}"]).tolist()[0])


_CODE = (
    "UPDATE subject_request SET code = :code, code_until = :until, code_tries = 0"
    " WHERE request = :id AND state = 'registered'"
)
_TRY = (
    "UPDATE subject_request SET code_tries = code_tries + 1 WHERE request = :id"
    " RETURNING code, code_until, code_tries"
)
_IDENTIFIED = (
    "UPDATE subject_request SET state = 'identified', identified_at = :at, identified_how = :how,"
    " code = NULL WHERE request = :id AND state = 'registered'"
)
