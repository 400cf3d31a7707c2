"""Legal holds: what must not be deleted although its time is over; why, who answers, until when.

A hold covers one person, one parcel (with its person) or everything of an owner. Under it the purge
deletes nothing; what is past its time is stored and not otherwise processed (PIPL 47 ¶2). A hold
ends on its date or when somebody lifts it; the next purge then does what was due.

A hold's row holds ids, a reason of policy, a case reference and staff ids, never a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import names_a_person
from safehands.errors import AccessRefused
from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.vault.access import OFFICER, check_staff, find_owner, officer_ring

__all__ = ["Hold", "Order", "Scope", "holds", "is_held", "lift", "place", "waybill_token"]

Scope = Literal["subject", "parcel", "controller"]

_REFERENCE = re.compile(r"[\w()（）〔〕\[\] ./#-]{0,64}")


@dataclass(frozen=True)
class Order:
    """What is asked for. Of ``subject`` and ``waybill`` (a token) at most one is given; with
    neither the hold covers everything of the owner. ``owner``: staff id of who answers for it."""

    controller: str
    reason: str
    owner: str
    until: date
    subject: UUID | None = None
    waybill: UUID | None = None
    reference: str = ""

    @property
    def scope(self) -> Scope:
        """What the hold covers."""
        if self.subject is not None:
            return "subject"
        return "parcel" if self.waybill is not None else "controller"


@dataclass(frozen=True)
class Hold:
    """One hold as it may be shown. ``ended``: when it was lifted or closed; ``None`` while open."""

    id: int
    controller: str
    scope: str
    reason: str
    reference: str
    owner: str
    placed: datetime
    until: date
    ended: datetime | None


def place(store: Store, policy: Policy, order: Order, by: str, now: datetime) -> int:
    """Place a hold and return its number.

    Raises ``AccessRefused`` for an unknown reason, an end that is past or farther away than policy
    allows, a reference that is too long or looks like a person's number, staff ids that are none,
    and for a person or parcel that the owner doesn't have.
    """
    _check(policy, order, by, now)
    owner = find_owner(store, order.controller)
    with store.begin(OFFICER, owner.id) as connection:
        # A purge that runs has looked at the holds already: it ends first.
        lock(connection, f"safehands.controller.{owner.id}")
        _check_target(connection, order)
        values = {
            "controller": owner.id,
            "scope": order.scope,
            "subject": order.subject,
            "waybill": order.waybill,
            "reason": order.reason,
            "reference": order.reference,
            "owner": order.owner,
            "at": now,
            "until": order.until,
        }
        number = int(connection.execute(text(_PLACE), values).scalar_one())
        facts = {
            "controller": owner.code,
            "hold": number,
            "scope": order.scope,
            "reason": order.reason,
            "owner": order.owner,
            "until": order.until.isoformat(),
            "by": by,
        }
        journal.append(connection, "hold", f"place-{number}", now, facts)
    return number


def lift(store: Store, controller: str, number: int, by: str, now: datetime) -> None:
    """End a hold before its date. Raises ``AccessRefused`` for one that is unknown or has ended."""
    check_staff(by)
    owner = find_owner(store, controller)
    with store.begin(OFFICER, owner.id) as connection:
        values = {"id": number, "at": now, "by": by}
        if connection.execute(text(_LIFT), values).rowcount == 0:
            raise AccessRefused("hold.unknown", number=number)
        facts = {"controller": owner.code, "hold": number, "by": by}
        journal.append(connection, "hold", f"lift-{number}", now, facts)


def holds(store: Store, controller: str, *, ended: bool = False) -> list[Hold]:
    """Return the owner's open holds, oldest first; with ``ended`` also those that are over."""
    owner = find_owner(store, controller)
    query = f"{_LIST} WHERE :ended OR ended_at IS NULL ORDER BY id"
    with store.begin(OFFICER, owner.id) as connection:
        rows = connection.execute(text(query), {"ended": ended})
        return [Hold(row[0], controller, *row[1:]) for row in rows]


def is_held(connection: Connection, subject: UUID, day: date) -> bool:
    """Say whether a hold forbids deleting ``subject`` on ``day``.

    For whoever erases people; the transaction is the pipeline's and bound to the owner.
    """
    values = {"subject": subject, "day": day}
    return bool(connection.execute(text(_HELD), values).scalar_one())


def waybill_token(store: Store, policy: Policy, controller: str, carrier: str, number: str) -> UUID:
    """Return the token of a waybill, so that a hold can name it.

    Raises ``AccessRefused`` for a carrier that policy doesn't know.
    """
    code = policy.codes["carrier"].by_word.get(carrier.strip().casefold())
    if code is None:
        raise AccessRefused("hold.unknown_carrier", carrier=carrier[:20])
    owner = find_owner(store, controller)
    with store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, store.provider, owner)
    tokens = ring.waybills(np.array([code]), pa.chunked_array([[number.strip()]]))
    return UUID(bytes=tokens.tolist()[0])


def _check(policy: Policy, order: Order, by: str, now: datetime) -> None:
    check_staff(by)
    check_staff(order.owner)
    rules, today = policy.holds, now.astimezone(SHANGHAI).date()
    if order.reason not in rules.reasons:
        known = ", ".join(rules.reasons)
        raise AccessRefused("hold.unknown_reason", reason=order.reason[:20], known=known)
    if not today <= order.until <= today + timedelta(days=rules.max_days):
        raise AccessRefused("hold.end", until=order.until.isoformat(), days=rules.max_days)
    if not _REFERENCE.fullmatch(order.reference) or names_a_person(order.reference):
        raise AccessRefused("hold.reference")


def _check_target(connection: Connection, order: Order) -> None:
    """A hold on what is not there would protect nothing and look as if it did."""
    if order.scope != "controller":
        values = {"subject": order.subject, "waybill": order.waybill}
        if not connection.execute(text(_TARGET), values).scalar_one():
            raise AccessRefused("hold.nothing_there")


_PLACE = (
    "INSERT INTO legal_hold (controller_id, scope, subject_id, waybill, reason, reference, owner,"
    " placed_at, until) VALUES (:controller, :scope, :subject, :waybill, :reason, :reference,"
    " :owner, :at, :until) RETURNING id"
)
_LIFT = "UPDATE legal_hold SET ended_at = :at, ended_by = :by WHERE id = :id AND ended_at IS NULL"
_LIST = "SELECT id, scope, reason, reference, owner, placed_at, until, ended_at FROM legal_hold"
_TARGET = (
    "SELECT EXISTS (SELECT FROM subject WHERE subject_id = :subject)"
    " OR EXISTS (SELECT FROM restriction WHERE subject_id = :subject)"
    " OR EXISTS (SELECT FROM parcel WHERE waybill = :waybill)"
)
_HELD = (
    "SELECT :subject IN (SELECT held_subjects(:day)) OR EXISTS (SELECT FROM legal_hold"
    " WHERE scope = 'controller' AND ended_at IS NULL AND until >= :day)"
)
