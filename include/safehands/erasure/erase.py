"""Erase somebody in the store: one transaction that deletes, cuts, and writes the tombstone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.erasure.record import record_step
from safehands.erasure.requests import open_reference
from safehands.erasure.tables import check_known
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.store.register import Owner, open_ring
from safehands.vault.numbers import graves_of
from safehands.vault.suppression import suppress

__all__ = ["HELD", "erase_due", "weigh"]

HELD = "hold"
"""Why somebody is restricted whose erasure a legal hold refuses."""


def weigh(store: Store, owner: Owner, subjects: Sequence[UUID], day: date) -> dict[str, int]:
    """Return what an erasure on ``day`` would take, per table, and take nothing.

    ``waiting`` counts parcels still at the station, ``cut`` parcels that law keeps without their
    person, ``under_hold`` people whom a legal hold keeps. Raises ``PolicyError`` for a table whose
    rows nobody decided about.
    """
    with store.begin(controller=owner.id, storage=True) as connection:
        check_known(connection)
        values = {"who": list(subjects), "day": day}
        found = connection.execute(text(_WEIGH), values).scalar_one()
        held = connection.execute(text(_UNDER_HOLD), values).all()
    return {**{name: int(count) for name, count in found.items()}, "under_hold": len(held)}


def erase_due(
    store: Store,
    owner: Owner,
    policy: Policy,
    run: str,
    day: date,
    now: datetime,
    request: str | None = None,
) -> dict[str, int]:
    """Erase everybody whose erasure was asked for, or those of ``request`` alone.

    Each request is one transaction: the tombstone is written, the subject and everything that
    hangs on it is deleted, and whom it was about is forgotten. Where a hold forbids it, the person
    is restricted instead and the request waits (PIPL 47 ¶2). ``day`` (Asia/Shanghai) decides which
    limitation periods still run, ``policy`` how long one that begins now runs.

    Return counts: ``erased``, ``held`` and rows per table.
    """
    counts: dict[str, int] = {}
    claims = day + timedelta(days=policy.retention["exception_record"].then_days or 0)
    job = _Job(store, owner, run, day, now, claims)
    for due in _due(store, owner, request):
        with store.begin(controller=owner.id, storage=True) as connection:
            lock(connection, f"safehands.controller.{owner.id}")
            check_known(connection)
            for name, number in _erase(connection, job, due).items():
                counts[name] = counts.get(name, 0) + number
    return counts


def _due(store: Store, owner: Owner, request: str | None) -> list[str]:
    with store.begin(controller=owner.id) as connection:
        return list(connection.execute(text(_DUE), {"request": request}).scalars())


@dataclass(frozen=True)
class _Job:
    store: Store
    owner: Owner
    run: str
    day: date
    now: datetime
    claims_until: date


def _erase(connection: Connection, job: _Job, request: str) -> dict[str, int]:
    owner, run, now = job.owner, job.run, job.now
    row = connection.execute(text(_OPEN), {"request": request}).first()
    if row is None:
        # Another process was faster between the list and the lock.
        return {}
    state, wrapped = row
    ring = open_ring(connection, job.store.provider, owner)
    token, subjects = open_reference(ring, request, wrapped)
    facts = {"controller": owner.code, "request": request}
    values: dict[str, Any] = {"request": request, "who": subjects, "day": job.day, "at": now}
    if connection.execute(text(_UNDER_HOLD), values).first() is not None:
        if state != "held":
            # The record is kept and nothing else done with it while the hold stands.
            connection.execute(text(_RESTRICT), {**values, "why": HELD, "by": "erasure"})
            connection.execute(text(_HOLD), values)
            journal.append(connection, "erasure", run, now, {**facts, "state": "held"})
        return {"held": len(subjects)}
    # Numbers that were corrected away still stand in old exports: they are kept out like the last.
    tokens = {token, *graves_of(connection, ring, subjects)}
    tombs = [
        {"controller": owner.id, "token": UUID(bytes=one), "at": now} for one in sorted(tokens)
    ]
    connection.execute(text(_TOMBSTONE), tombs)
    suppress(connection, owner, ring, dict.fromkeys(subjects, tokens))
    taken = connection.execute(text(_ERASE), {**values, "claims": job.claims_until}).scalar_one()
    counts = {name: int(number) for name, number in taken.items() if number}
    connection.execute(text(_DONE), {**values, "counts": json.dumps(counts)})
    connection.execute(text("DELETE FROM erasure_subject WHERE request = :request"), values)
    journal.append(connection, "erasure", run, now, {**facts, "state": "erased", "counts": counts})
    erased = {"erased": counts.get("subject", 0)}
    record_step(connection, "purge", run, job.day, owner.code, erased)
    return {**erased, **counts}


_WEIGH = "SELECT weigh_subjects(:who, :day)"
_UNDER_HOLD = "SELECT * FROM under_hold(:who)"
_DUE = (
    "SELECT request FROM erasure WHERE state IN ('requested', 'held')"
    " AND (CAST(:request AS text) IS NULL OR request = :request) ORDER BY requested_at, request"
)
_OPEN = (
    "SELECT e.state, s.wrapped FROM erasure e JOIN erasure_subject s USING (request)"
    " WHERE e.request = :request AND e.state IN ('requested', 'held')"
)
_TOMBSTONE = (
    "INSERT INTO tombstone AS t (controller_id, token, erased_at, reason)"
    " VALUES (:controller, :token, :at, 'request')"
    " ON CONFLICT (controller_id, token) DO UPDATE"
    " SET erased_at = greatest(t.erased_at, excluded.erased_at), reason = excluded.reason"
)
_ERASE = "SELECT erase_subjects(:who, :day, :at, :claims)"
_DONE = (
    "UPDATE erasure SET state = 'erased', erased_at = :at, counts = CAST(:counts AS jsonb)"
    " WHERE request = :request"
)
_HOLD = "UPDATE erasure SET state = 'held' WHERE request = :request"
_RESTRICT = "SELECT restrict_subjects(:who, :why, :at, NULL, :by)"
