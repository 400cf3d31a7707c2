"""Who asks for a person's record, in which role, for which purpose, and what that covers.

The database role is ``safehands_officer`` throughout: it sees one controller, no restricted person,
and may write nothing but the ledger, the access log and a sealed record. What the access log and
the ledger hold are field names, purposes and staff ids, never a value (PIPL 9, 51(2), 54).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import AccessRefused
from safehands.keys import KeyProvider, KeyRing
from safehands.policy import Policy
from safehands.store import Store
from safehands.store.register import Owner, open_ring
from safehands.vault.record import FIELDS

__all__ = [
    "OFFICER",
    "Access",
    "check_access",
    "check_open",
    "check_staff",
    "covered",
    "find_owner",
    "note",
    "officer_ring",
]

OFFICER = "safehands_officer"
"""The database role of the person in charge (PIPL 51(4), 52)."""

_STAFF = re.compile(r"[A-Za-z][A-Za-z0-9._@-]{1,63}")
_LONG_NUMBER = re.compile(r"\d{7}")
_SOURCE_FIELDS = {"name": "receiver_name", "phone": "receiver_phone", "address": "receiver_address"}


@dataclass(frozen=True)
class Access:
    """One request to touch a person's record.

    ``controller``: the owner's code. ``by``: a staff id (letters, digits, ``. _ @ -``), no name
    and no phone number. ``purpose``: one of policy's purposes.
    """

    controller: str
    by: str
    purpose: str


def covered(policy: Policy, access: Access) -> tuple[str, ...]:
    """Return the fields of a record that the purpose covers, after the purpose × field matrix.

    Raises ``AccessRefused`` when the staff id is none, when policy does not know the purpose, and
    when the purpose covers no field of a person's record (PIPL 6: nothing beyond the purpose).
    """
    check_access(policy, access)
    fields = tuple(name for name in FIELDS if _serves(policy, name, access.purpose))
    if not fields:
        raise AccessRefused("vault.purpose_covers_nothing", purpose=access.purpose)
    return fields


def check_access(policy: Policy, access: Access) -> None:
    """Raise ``AccessRefused`` without a staff id, or for a purpose that policy does not know."""
    check_staff(access.by)
    if access.purpose not in policy.purposes:
        known = ", ".join(policy.purposes)
        raise AccessRefused("vault.unknown_purpose", purpose=access.purpose[:40], known=known)


def check_staff(by: str) -> None:
    """Raise ``AccessRefused`` for a staff id that is none, or that holds a long number."""
    if not _STAFF.fullmatch(by) or _LONG_NUMBER.search(by):
        raise AccessRefused("vault.staff_id")


def check_open(connection: Connection, by: str) -> None:
    """Raise ``AccessRefused`` for a staff id whose access the bound owner revoked."""
    if connection.execute(text(_BARRED), {"by": by.lower()}).scalar() == "revoke_access":
        raise AccessRefused("vault.revoked")


def find_owner(store: Store, code: str) -> Owner:
    """Return the owner ``code`` as the officer sees it. Raises ``AccessRefused`` if unknown."""
    query = text("SELECT id, code, name FROM controller WHERE code = :code")
    with store.begin(OFFICER) as connection:
        row = connection.execute(query, {"code": code}).first()
    if row is None:
        raise AccessRefused("vault.unknown_owner", owner=code)
    return Owner(row[0], row[1], row[2], {})


def officer_ring(connection: Connection, provider: KeyProvider, owner: Owner) -> KeyRing:
    """Open the owner's keys with the officer's rights. Raises ``KeyProblem``."""
    return open_ring(connection, provider, owner)


def note(
    connection: Connection,
    owner: Owner,
    subject: UUID,
    action: str,
    access: Access,
    fields: Iterable[str],
    now: datetime,
    **facts: str | int,
) -> None:
    """Record an access in the log and in the ledger, in the transaction of the access itself.

    The log holds the subject id until the person is erased; the ledger, from which nothing can be
    removed, never does: it names the log's row.

    Raises ``AccessRefused`` for a staff id whose access was revoked; the caller's transaction is
    undone with it, so that nothing was opened.
    """
    check_open(connection, access.by)
    shown = ",".join(fields)
    values = {
        "controller": owner.id,
        "subject": subject,
        "action": action,
        "purpose": access.purpose,
        "fields": shown,
        "by": access.by,
        "at": now,
    }
    number = connection.execute(text(_LOG), values).scalar_one()
    body = {
        "controller": owner.code,
        "access": int(number),
        "action": action,
        "purpose": access.purpose,
        "fields": shown,
        "by": access.by,
        "role": OFFICER,
        **facts,
    }
    journal.append(connection, "vault", f"{action}-{number}", now, body)


def _serves(policy: Policy, name: str, purpose: str) -> bool:
    field = _SOURCE_FIELDS[name]
    return any(
        purpose in dataset.fields[field].purposes
        for dataset in policy.datasets.values()
        if field in dataset.fields
    )


_LOG = (
    "INSERT INTO access_log (controller_id, subject_id, action, purpose, fields, by_whom, at)"
    " VALUES (:controller, :subject, :action, :purpose, :fields, :by, :at) RETURNING id"
)
_BARRED = (
    "SELECT e.name FROM incident_event e JOIN incident i ON i.id = e.incident_id"
    " WHERE NOT i.drill AND e.kind = 'done' AND e.name IN ('revoke_access', 'restore_access')"
    " AND e.facts @> jsonb_build_object('staff', jsonb_build_array(CAST(:by AS text)))"
    " ORDER BY e.id DESC LIMIT 1"
)
