"""The dangerous door: open one person's record.

The only public function of the package that hands a person's data to a caller. It wants a staff id
and a purpose of policy, works as the database role ``safehands_officer``, gives only the fields
that the purpose covers, and returns nothing before the ledger entry is committed. Nothing in the
nightly chain imports this module; a test walks the import graph.

Not promised: what the caller does with the answer, and that nobody looks over a shoulder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NoReturn
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import AccessRefused
from safehands.keys import KeyRing
from safehands.policy import Policy
from safehands.store import Store
from safehands.vault.access import OFFICER, Access, covered, find_owner, note, officer_ring
from safehands.vault.many import alert, check_reason, count_lately, refuse
from safehands.vault.record import KIND, MASKED, opened

__all__ = ["Revealed", "reveal"]

_MOBILE = re.compile(r"1[3-9]\d{9}")


@dataclass(frozen=True)
class Revealed:
    """One person, for the eyes of whoever asked. ``repr`` shows no value; it can't be pickled.

    ``fields`` holds what the purpose covers; ``masked`` says that policy has masked the record
    already; ``generation`` counts the holders of the number from 0, ``holders`` says how many the
    store knows (a number is re-issued; one holder is never shown another's record).
    """

    subject: UUID
    generation: int
    holders: int
    masked: bool
    first_seen: date
    last_seen: date
    fields: dict[str, str] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a revealed record does not leave the process")


def reveal(
    store: Store,
    policy: Policy,
    access: Access,
    now: datetime,
    *,
    subject: UUID | None = None,
    phone: str | None = None,
    reason: str = "",
) -> Revealed:
    """Open the record of the subject ``subject``, or of the newest holder of ``phone``.

    ``phone`` is a whole mainland mobile number, eleven digits. One of the two is given. ``reason``
    is asked for when more were opened lately than policy allows (:mod:`safehands.vault.many`).

    Raises ``AccessRefused`` without a staff id, for a purpose that policy doesn't know or that
    covers nothing, for nobody, for a restricted person (PIPL 47 ¶2), and above the limit without a
    reason; ``KeyProblem`` when keys or ciphertext don't fit. Whenever it raises, nothing was
    opened, and nothing recorded but a refusal above the limit.
    """
    if (subject is None) == (phone is None):
        raise AccessRefused("vault.token_or_phone")
    if phone is not None and not _MOBILE.fullmatch(phone):
        raise AccessRefused("vault.not_a_mobile")
    fields = covered(policy, access)
    check_reason(policy, reason)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        many = count_lately(connection, policy, owner, now)
        if many.too_many and not reason:
            raise refuse(store, policy, owner, access, many, now)
        ring = officer_ring(connection, store.provider, owner)
        row = _by_phone(connection, ring, phone) if phone else _by_subject(connection, subject)
        if row is None:
            _refuse(connection, ring, subject, phone)
        found = _open(ring, row, fields)
        how = "phone" if phone else "subject"
        note(connection, owner, found.subject, "reveal", access, found.fields, now, found_by=how)
        if many.too_many:
            alert(connection, owner, access, many, reason, now)
    # Only here: what was not recorded is not shown.
    return found


def _by_subject(connection: Connection, subject: UUID | None) -> tuple[object, ...] | None:
    row = connection.execute(text(_SUBJECT), {"subject": subject}).first()
    return None if row is None else tuple(row)


def _by_phone(connection: Connection, ring: KeyRing, phone: str) -> tuple[object, ...] | None:
    lookup = UUID(bytes=ring.lookups("mobile", [phone]).tolist()[0])
    row = connection.execute(text(_LOOKUP), {"lookup": lookup}).first()
    return None if row is None else tuple(row)


def _refuse(
    connection: Connection, ring: KeyRing, subject: UUID | None, phone: str | None
) -> NoReturn:
    seek = UUID(bytes=ring.lookups("mobile", [phone]).tolist()[0]) if phone else None
    values = {"who": subject, "seek": seek}
    row = connection.execute(text(_RESTRICTED), values).first()
    if row is None:
        raise AccessRefused("vault.nobody")
    raise AccessRefused("vault.restricted", since=row[0].isoformat(), reason=row[1])


def _open(ring: KeyRing, row: tuple[object, ...], fields: tuple[str, ...]) -> Revealed:
    subject, wrapped, sealed, detail, generation, first, last, holders = row
    assert isinstance(subject, UUID)
    assert isinstance(wrapped, bytes)
    assert isinstance(sealed, bytes)
    (secret,) = ring.unwrap_salts([subject.bytes], [wrapped])
    (plain,) = ring.unseal(KIND, [subject.bytes], [secret[:16]], [sealed])
    record = opened(plain)
    return Revealed(
        subject=subject,
        generation=int(str(generation)),
        holders=int(str(holders)),
        masked=detail == MASKED,
        first_seen=_date(first),
        last_seen=_date(last),
        fields={name: record[name] for name in fields},
    )


def _date(value: object) -> date:
    assert isinstance(value, date)
    return value


_COLUMNS = (
    "SELECT s.subject_id, s.wrapped_salt, s.sealed, s.detail, s.generation,"
    " (s.first_seen AT TIME ZONE 'Asia/Shanghai')::date,"
    " (s.last_seen AT TIME ZONE 'Asia/Shanghai')::date,"
    " (SELECT count(*) FROM subject o WHERE o.lookup = s.lookup) FROM subject s"
)
_SUBJECT = f"{_COLUMNS} WHERE s.subject_id = :subject"
_LOOKUP = (
    f"{_COLUMNS} WHERE s.lookup = :lookup ORDER BY s.last_seen DESC, s.generation DESC LIMIT 1"
)
_RESTRICTED = (
    "SELECT (restricted_at AT TIME ZONE 'Asia/Shanghai')::date, reason"
    " FROM restriction_of(CAST(:who AS uuid), CAST(:seek AS uuid))"
)
