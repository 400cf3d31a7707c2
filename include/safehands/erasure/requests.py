"""Requests to erase somebody: registered, looked up, and opened with the epoch key.

A request has an id that may be shown and printed. Whom it is about is sealed under the epoch key,
bound to the request: tombstone token (16 bytes) and subject ids (16 bytes each). In clear it would
lead, together with the tombstone that is written at the same moment, from a phone number to the
pseudonymous rows in older backups.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import names_a_person
from safehands.errors import PolicyError
from safehands.keys import KeyRing
from safehands.store import Store, lock
from safehands.store.register import Owner, open_ring

__all__ = [
    "REASONS",
    "Request",
    "canonical_number",
    "find_subjects",
    "has_subject",
    "list_requests",
    "new_request_id",
    "open_reference",
    "register",
    "seal_reference",
    "subjects_of",
]

REASONS = ("purpose", "ended", "withdrawn", "unlawful", "law")
"""PIPL 47 ¶1 items 1 to 5: purpose achieved, service or term ended, consent withdrawn, handled
unlawfully, another case of the law."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{2,63}")
_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")


@dataclass(frozen=True)
class Request:
    """One request as it may be shown. ``epoch``: the one that was opened for it, once it was."""

    request: str
    controller: str
    state: str
    reason: str
    requested_at: datetime
    erased_at: datetime | None
    counts: dict[str, int]
    epoch: int | None
    certificate: dict[str, Any] | None


def new_request_id(now: datetime, random: bytes) -> str:
    """Return a fresh id, e.g. ``E-20261124-1f0c9a7b``; ``random`` gives at least four bytes."""
    return f"E-{now:%Y%m%d}-{random[:4].hex()}"


def find_subjects(
    store: Store, owner: Owner, phone: str, *, every_holder: bool = False
) -> tuple[list[UUID], int]:
    """Return whom a mobile number leads to, and how many holders of it the store knows.

    A number is re-issued: without ``every_holder`` only its newest holder is returned.

    Raises ``PolicyError`` for something that is no mainland mobile number, without repeating it.
    """
    number = canonical_number(phone)
    with store.begin(controller=owner.id, storage=True) as connection:
        ring = open_ring(connection, store.provider, owner)
        lookup = UUID(bytes=ring.lookups("mobile", [number]).tolist()[0])
        rows = connection.execute(text(_HOLDERS), {"lookup": lookup}).all()
    holders = [row[0] for row in rows]
    return (holders if every_holder else holders[:1]), len(holders)


def register(
    store: Store,
    owner: Owner,
    request: str,
    subjects: Sequence[UUID],
    reason: str,
    now: datetime,
) -> bool:
    """Register a request to erase ``subjects``, who share one number; return whether it is new.

    A second registration under the same id changes nothing. Nobody is erased yet.

    Raises ``PolicyError`` for an id or reason that cannot be used, for nobody, and for subjects
    that the owner does not have or that have different numbers.
    """
    if not _ID.fullmatch(request) or names_a_person(request) or reason not in REASONS:
        raise PolicyError("erasure.bad_request", reasons=", ".join(REASONS))
    with store.begin(controller=owner.id, storage=True) as connection:
        # A new epoch seals all references again: none may be written under the old one meanwhile.
        lock(connection, f"safehands.controller.{owner.id}")
        values = {"request": request, "controller": owner.id, "reason": reason, "at": now}
        if connection.execute(text(_KNOWN), values).scalar():
            return False
        ring = open_ring(connection, store.provider, owner)
        token = _common_token(connection, ring, subjects)
        wrapped = seal_reference(ring, request, token, subjects)
        connection.execute(text(_REGISTER), values)
        reference = {**values, "epoch": ring.epoch, "wrapped": wrapped}
        connection.execute(text(_REFER), reference)
        facts = {"controller": owner.code, "request": request, "reason": reason}
        journal.append(connection, "erasure", request, now, {**facts, "state": "requested"})
    return True


def list_requests(
    store: Store, owners: Sequence[Owner], request: str | None = None
) -> list[Request]:
    """Return all requests of these owners by time, or the one called ``request``."""
    found: list[Request] = []
    for owner in owners:
        with store.begin(controller=owner.id) as connection:
            rows = connection.execute(text(_REQUESTS), {"request": request})
            found += [Request(row[0], owner.code, *row[1:]) for row in rows]
    return sorted(found, key=lambda one: (one.requested_at, one.request))


def canonical_number(phone: str) -> str:
    """Return eleven digits of a mainland mobile number, however it was typed.

    Raises ``PolicyError`` for something else, without repeating it.
    """
    found = _MOBILE.fullmatch(re.sub(r"[\s-]", "", phone))
    if found is None:
        raise PolicyError("erasure.not_a_number")
    return found[1]


def has_subject(store: Store, owner: Owner, subject: UUID) -> bool:
    """Say whether the owner has this subject."""
    with store.begin(controller=owner.id, storage=True) as connection:
        return connection.execute(text(_SECRETS), {"who": [subject]}).first() is not None


def subjects_of(store: Store, owner: Owner, request: str) -> list[UUID]:
    """Return whom an open request is about; nobody once they are erased."""
    with store.begin(controller=owner.id) as connection:
        query = text("SELECT wrapped FROM erasure_subject WHERE request = :request")
        wrapped = connection.execute(query, {"request": request}).scalar()
        if wrapped is None:
            return []
        return open_reference(open_ring(connection, store.provider, owner), request, wrapped)[1]


def seal_reference(ring: KeyRing, request: str, token: bytes, subjects: Sequence[UUID]) -> bytes:
    """Return whom a request is about, sealed under the ring's epoch key."""
    plain = token + b"".join(subject.bytes for subject in subjects)
    return ring.wrap_salts([_bound_to(request)], [plain])[0]


def open_reference(ring: KeyRing, request: str, wrapped: bytes) -> tuple[bytes, list[UUID]]:
    """Return tombstone token and subjects of a request. Raises ``KeyProblem``."""
    (plain,) = ring.unwrap_salts([_bound_to(request)], [wrapped])
    ids = [UUID(bytes=plain[at : at + 16]) for at in range(16, len(plain), 16)]
    return plain[:16], ids


def _bound_to(request: str) -> bytes:
    return hashlib.sha256(b"safehands/erasure/1/" + request.encode()).digest()


def _common_token(connection: Connection, ring: KeyRing, subjects: Sequence[UUID]) -> bytes:
    rows = connection.execute(text(_SECRETS), {"who": list(subjects)}).all()
    if not subjects or len(rows) != len(set(subjects)):
        raise PolicyError("erasure.nobody")
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    tokens = {secret[16:] for secret in secrets}
    if len(tokens) != 1:
        raise PolicyError("erasure.several_numbers")
    return tokens.pop()


_HOLDERS = (
    "SELECT subject_id FROM subject WHERE lookup = :lookup"
    " ORDER BY last_seen DESC, generation DESC, subject_id"
)
_SECRETS = "SELECT subject_id, wrapped_salt FROM subject WHERE subject_id = ANY (:who)"
_KNOWN = "SELECT EXISTS (SELECT FROM erasure WHERE request = :request)"
_REGISTER = (
    "INSERT INTO erasure (request, controller_id, state, reason, requested_at)"
    " VALUES (:request, :controller, 'requested', :reason, :at)"
)
_REFER = "INSERT INTO erasure_subject VALUES (:request, :controller, :epoch, :wrapped)"
_REQUESTS = (
    "SELECT request, state, reason, requested_at, erased_at, counts, epoch, certificate"
    " FROM erasure WHERE CAST(:request AS text) IS NULL OR request = :request"
)
