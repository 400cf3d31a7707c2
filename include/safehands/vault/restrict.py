"""Keep a person's record and do nothing else with it, or undo that (PIPL 44, 47 ¶2).

Where the law's period has not ended, or a person asks that processing stops, the record is stored
and secured and not processed otherwise. Row-level security hides it from every role but the
backup's: pipeline, analyst and officer find nobody, and so do report and reveal. The person's
parcels move to ``parcel_held``, which no step can read. Rows of exports that are older than the
restriction are kept out of the load; a parcel that arrives later opens a new subject.

Upkeep sees the records (``Store.begin(storage=True)``): keys are rotated, an end that has come is
carried out, two stores are compared.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import AccessRefused
from safehands.keys import KeyRing
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access, check_access, find_owner, note
from safehands.vault.numbers import taken_back

__all__ = ["kept_out", "parcels_kept_out", "release", "restrict", "restrict_within"]


def restrict(
    store: Store,
    policy: Policy,
    access: Access,
    now: datetime,
    *,
    subject: UUID,
    reason: str,
    until: date | None = None,
) -> None:
    """Restrict the processing of ``subject`` from now on.

    ``reason``: a code of policy's restrictions. ``until``: the last day of the law's period; on
    the day after it the purge deletes the person. Without it the restriction lasts until it is
    released; some reasons ask for it.

    Raises ``AccessRefused`` for an unknown reason, a missing or past end, for nobody, and for
    somebody who is restricted already.
    """
    _check(policy, access, reason, until, now)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        restrict_within(
            connection, policy, owner, access, now, subject=subject, reason=reason, until=until
        )


def restrict_within(
    connection: Connection,
    policy: Policy,
    owner: Owner,
    access: Access,
    now: datetime,
    *,
    subject: UUID,
    reason: str,
    until: date | None,
) -> None:
    """Do what ``restrict`` does in the caller's transaction, which holds the owner's lock.

    Raises as ``restrict`` does.
    """
    _check(policy, access, reason, until, now)
    query = text("SELECT 1 FROM subject WHERE subject_id = :who")
    if connection.execute(query, {"who": subject}).scalar() is None:
        raise AccessRefused("vault.nobody_to_restrict")
    note(connection, owner, subject, "restrict", access, [], now, reason=reason)
    values = {"who": subject, "reason": reason, "at": now, "until": until, "by": access.by}
    connection.execute(text(_RESTRICT), values)


def release(store: Store, policy: Policy, access: Access, now: datetime, *, subject: UUID) -> None:
    """End the restriction of ``subject``: the record is in use again.

    Raises ``AccessRefused`` when the person is not restricted, or is because of a legal hold: then
    the hold is lifted.
    """
    check_access(policy, access)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        query = text("SELECT reason FROM restriction WHERE subject_id = :who")
        reason = connection.execute(query, {"who": subject}).scalar()
        if reason is None:
            raise AccessRefused("vault.not_restricted")
        if reason == "hold":
            raise AccessRefused("vault.restricted_by_hold")
        connection.execute(
            text("SELECT release_subjects(ARRAY[CAST(:who AS uuid)])"), {"who": subject}
        )
        note(connection, owner, subject, "release", access, [], now, reason=str(reason))


def kept_out(connection: Connection, ring: KeyRing) -> dict[bytes, int]:
    """Return the tombstone token of each restricted person → when (microseconds since 1970).

    Rows about them that are not later are not loaded. The transaction is bound to the owner. The
    tokens come from the secrets wrapped under the epoch key and are nowhere at rest.
    """
    rows = connection.execute(text(_SECRETS)).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    found: dict[bytes, int] = {}
    for secret, (_, _, at) in zip(secrets, rows, strict=True):
        found[secret[16:]] = max(at, found.get(secret[16:], at))
    since = {row[0]: row[2] for row in rows}
    for old in taken_back(connection, ring, list(since)) if rows else ():
        found[old.token] = max(since[old.subject], found.get(old.token, 0))
    return found


def parcels_kept_out(connection: Connection) -> dict[bytes, list[int]]:
    """Return the waybill tokens that are stored only → arrivals (microseconds since 1970)."""
    query = "SELECT waybill, (extract(epoch FROM arrived_at) * 1000000)::int8 FROM held_waybills()"
    found: dict[bytes, list[int]] = {}
    for token, at in connection.execute(text(query)):
        found.setdefault(token.bytes, []).append(at)
    return found


def _check(policy: Policy, access: Access, reason: str, until: date | None, now: datetime) -> None:
    check_access(policy, access)
    rule = policy.restrictions.get(reason)
    if rule is None:
        known = ", ".join(policy.restrictions)
        raise AccessRefused("vault.unknown_reason", reason=reason, known=known)
    if until is None and rule.needs_end:
        raise AccessRefused("vault.end_missing", reason=reason)
    if until is not None and until < now.astimezone(SHANGHAI).date():
        raise AccessRefused("vault.end_past", until=until.isoformat())


_RESTRICT = (
    "SELECT restrict_subject(:who, :reason, CAST(:at AS timestamptz), CAST(:until AS date), :by)"
)
_SECRETS = (
    "SELECT subject_id, wrapped_salt, (extract(epoch FROM restricted_at) * 1000000)::int8"
    " FROM restricted_secrets()"
)
