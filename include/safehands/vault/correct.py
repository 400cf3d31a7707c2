"""Put a field of a person's record right and keep what it was (PIPL 8, 46).

The correction is sealed into the record with who, when, which field and the old value. It stands
against the source: see :func:`safehands.vault.record.settled`, which the load applies.

A phone number is what a record is found by. Correcting it makes the lookup and what is wrapped
beside the salt anew, in the same transaction; exports that still show the old number find the same
person (:mod:`safehands.vault.numbers`). A number that leads to somebody else already is refused:
two records are never joined here, also where both are one person's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import AccessRefused
from safehands.keys import KeyRing
from safehands.masking import mask_phone
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access, covered, find_owner, note, officer_ring
from safehands.vault.numbers import take_back
from safehands.vault.record import KIND, MASKED, Record, as_bytes, corrected, masked, opened

__all__ = ["CORRECTABLE", "correct"]

CORRECTABLE = ("name", "address", "phone")

_LONGEST = 200
_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")


def correct(
    store: Store,
    policy: Policy,
    access: Access,
    now: datetime,
    *,
    subject: UUID,
    field: str,
    value: str,
) -> bool:
    """Set ``field`` (``name``, ``address`` or ``phone``) of ``subject``; keep the old value.

    A ``phone`` is a mainland mobile number; blanks, hyphens and +86 may stand in it. Return false,
    and record nothing, when the field says so already. Nothing is shown.

    Raises ``AccessRefused`` for a field that can't be corrected here or that the purpose doesn't
    cover, for an empty or overlong value, for nobody, a restricted person, for a name or address of
    somebody whose contact policy has masked already (nothing in full is left), and for a number
    that leads to somebody else; ``KeyProblem`` when keys don't fit. Then nothing has changed.
    """
    if field not in CORRECTABLE:
        raise AccessRefused("vault.not_correctable", field=field)
    wanted = _checked(field, value)
    if field not in covered(policy, access):
        raise AccessRefused("vault.field_not_covered", field=field, purpose=access.purpose)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        # A load of the same owner reads the record and writes it back.
        lock(connection, f"safehands.controller.{owner.id}")
        row = connection.execute(text(_SUBJECT), {"subject": subject}).first()
        if row is None:
            raise AccessRefused("vault.nobody_to_correct")
        ring = officer_ring(connection, store.provider, owner)
        found = _open(ring, subject, row)
        work = _Correction(connection, ring, owner, access, now, found)
        done = _renumber(work, wanted) if field == "phone" else _rewrite(work, field, wanted)
        if done:
            note(connection, owner, subject, "correct", access, [field], now)
    return done


def _checked(field: str, value: str) -> str:
    wanted = value.strip()
    if not wanted or len(wanted) > _LONGEST or not wanted.isprintable():
        raise AccessRefused("vault.bad_value", field=field, longest=_LONGEST)
    if field != "phone":
        return wanted
    number = _MOBILE.fullmatch(re.sub(r"[\s-]", "", wanted))
    if number is None:
        raise AccessRefused("vault.not_a_mobile")
    return number[1]


@dataclass(frozen=True)
class _Found:
    """A record as it lies in the store, opened. ``secret``: salt and tombstone token."""

    subject: UUID
    secret: bytes
    record: Record
    masked: bool


@dataclass(frozen=True)
class _Correction:
    connection: Connection
    ring: KeyRing
    owner: Owner
    access: Access
    now: datetime
    found: _Found

    def sealed(self, field: str, value: str) -> bytes:
        """Return the record with ``field`` set and its history, sealed."""
        found = self.found
        after = corrected(found.record, field, value, _micros(self.now), self.access.by)
        plain = as_bytes(masked(after) if found.masked else after)
        (fresh,) = self.ring.seal(KIND, [found.subject.bytes], [found.secret[:16]], [plain])
        return fresh


def _open(ring: KeyRing, subject: UUID, row: Sequence[Any]) -> _Found:
    wrapped, sealed, detail = row
    (secret,) = ring.unwrap_salts([subject.bytes], [wrapped])
    (plain,) = ring.unseal(KIND, [subject.bytes], [secret[:16]], [sealed])
    return _Found(subject, secret, opened(plain), detail == MASKED)


def _rewrite(work: _Correction, field: str, value: str) -> bool:
    found = work.found
    if found.masked:
        raise AccessRefused("vault.masked_already")
    if found.record[field] == value:
        return False
    values = {"subject": found.subject, "sealed": work.sealed(field, value)}
    work.connection.execute(text(_UPDATE), values)
    return True


def _renumber(work: _Correction, phone: str) -> bool:
    found, ring = work.found, work.ring
    token, old = ring.tombstones("mobile", [phone]).tolist()[0], found.secret[16:]
    if token == old and found.record["phone"] in {phone, mask_phone(phone)}:
        return False
    (wrapped,) = ring.wrap_salts([found.subject.bytes], [found.secret[:16] + token])
    values = {
        "subject": found.subject,
        "lookup": UUID(bytes=ring.lookups("mobile", [phone]).tolist()[0]),
        "wrapped": wrapped,
        "sealed": work.sealed("phone", phone),
    }
    if not work.connection.execute(text(_RENUMBER), values).scalar_one():
        raise AccessRefused("vault.number_taken")
    if token != old:
        place = (work.connection, ring, work.owner, found.subject)
        take_back(*place, old, token, work.now, work.access.by)
    return True


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


_SUBJECT = "SELECT wrapped_salt, sealed, detail FROM subject WHERE subject_id = :subject FOR UPDATE"
_RENUMBER = "SELECT renumber_subject(:subject, :lookup, :wrapped, :sealed)"
_UPDATE = "UPDATE subject SET sealed = :sealed WHERE subject_id = :subject"
