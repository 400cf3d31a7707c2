"""Put a field of a person's record right and keep what it was (PIPL 8, 46).

The correction is sealed into the record with who, when, which field and the old value. It stands
against the source: see :func:`safehands.vault.record.settled`, which the load applies.

A phone number is what a record is found by and can't be corrected here: it is corrected at the
source, whose next export opens a record under the right number, and the wrong one is restricted or
erased.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from safehands.errors import AccessRefused
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.vault.access import OFFICER, Access, covered, find_owner, note, officer_ring
from safehands.vault.record import KIND, MASKED, as_bytes, corrected, opened

__all__ = ["CORRECTABLE", "correct"]

CORRECTABLE = ("name", "address")

_LONGEST = 200


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
    """Set ``field`` (``name`` or ``address``) of ``subject`` to ``value``; keep the old value.

    Return false, and record nothing, when the field says so already. Nothing is shown.

    Raises ``AccessRefused`` for a field that can't be corrected here or that the purpose doesn't
    cover, for an empty or overlong value, for nobody, a restricted person, and somebody whose
    contact policy has masked already (nothing in full is left); ``KeyProblem`` when keys don't fit.
    """
    text_value = value.strip()
    if field not in CORRECTABLE:
        raise AccessRefused("vault.not_correctable", field=field)
    if not text_value or len(text_value) > _LONGEST or not text_value.isprintable():
        raise AccessRefused("vault.bad_value", field=field, longest=_LONGEST)
    if field not in covered(policy, access):
        raise AccessRefused("vault.field_not_covered", field=field, purpose=access.purpose)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        # A load of the same owner reads the record and writes it back.
        lock(connection, f"safehands.controller.{owner.id}")
        row = connection.execute(text(_SUBJECT), {"subject": subject}).first()
        if row is None:
            raise AccessRefused("vault.nobody_to_correct")
        wrapped, sealed, detail = row
        if detail == MASKED:
            raise AccessRefused("vault.masked_already")
        ring = officer_ring(connection, store.provider, owner)
        (secret,) = ring.unwrap_salts([subject.bytes], [wrapped])
        (plain,) = ring.unseal(KIND, [subject.bytes], [secret[:16]], [sealed])
        record = opened(plain)
        if record[field] == text_value:
            return False
        after = corrected(record, field, text_value, _micros(now), access.by)
        (fresh,) = ring.seal(KIND, [subject.bytes], [secret[:16]], [as_bytes(after)])
        connection.execute(text(_UPDATE), {"subject": subject, "sealed": fresh})
        note(connection, owner, subject, "correct", access, [field], now)
    return True


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


_SUBJECT = "SELECT wrapped_salt, sealed, detail FROM subject WHERE subject_id = :subject FOR UPDATE"
_UPDATE = "UPDATE subject SET sealed = :sealed WHERE subject_id = :subject"
