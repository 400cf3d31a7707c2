"""Opening many records at once is what a thief does: above a limit somebody must say why.

Counted are the records that were opened for one owner by the role of the officer, whoever sat in
front of it, within the last minutes (``reveals`` in ``retention.yaml``). The first above the limit
needs a reason of policy; without one nothing is opened. Both, the refusal and each record that is
opened with a reason, stand in the ledger as the event ``vault_alert``, with counts and no id.

Not promised: that somebody who opens fewer is up to no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import AccessRefused
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access

__all__ = ["Many", "alert", "check_reason", "count_lately", "refuse"]

_EVENT = "vault_alert"


@dataclass(frozen=True)
class Many:
    """How many records were opened lately, and whether one more needs a reason."""

    opened: int
    too_many: bool


def check_reason(policy: Policy, reason: str) -> None:
    """Raise ``AccessRefused`` for a reason that policy does not know; none is fine."""
    if reason and reason not in policy.reveals.reasons:
        known = ", ".join(policy.reveals.reasons)
        raise AccessRefused("vault.unknown_many_reason", reason=reason[:40], known=known)


def count_lately(connection: Connection, policy: Policy, owner: Owner, now: datetime) -> Many:
    """Count what was opened within the last minutes; callers of one owner count one by one."""
    lock(connection, f"safehands.reveal.{owner.id}")
    since = now - timedelta(minutes=policy.reveals.minutes)
    opened = int(connection.execute(text(_LATELY), {"since": since}).scalar_one())
    return Many(opened, opened >= policy.reveals.most)


def alert(
    connection: Connection, owner: Owner, access: Access, many: Many, reason: str, now: datetime
) -> None:
    """Record that one record above the limit is opened with ``reason``, or refused without."""
    body = {
        "controller": owner.code,
        "role": OFFICER,
        "by": access.by,
        "purpose": access.purpose,
        "opened": many.opened,
        "reason": reason,
        "refused": not reason,
    }
    journal.append(connection, _EVENT, f"reveal-{now.date()}", now, body)


def refuse(
    store: Store, policy: Policy, owner: Owner, access: Access, many: Many, now: datetime
) -> AccessRefused:
    """Record the refusal in a transaction of its own and return the error to raise."""
    with store.begin(OFFICER, owner.id) as connection:
        alert(connection, owner, access, many, "", now)
    known = ", ".join(policy.reveals.reasons)
    rules = policy.reveals
    return AccessRefused("vault.too_many", most=rules.most, minutes=rules.minutes, known=known)


_LATELY = "SELECT count(*) FROM access_log WHERE action = 'reveal' AND at > :since"
