"""A new epoch of one controller: every salt re-wrapped, every lookup recomputed, one transaction.

Old row images survive in dead tuples, the write-ahead log, replicas and backups. What leads from a
number to a person and from a person to their salt lies there under the old epoch key alone; once
that is destroyed, it leads nowhere. The new key is kept in both places before the row that names
it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, text

from safehands import journal
from safehands.erasure.record import record_step
from safehands.erasure.requests import open_reference, seal_reference
from safehands.keys import KeyRing
from safehands.keys.provider import key_id
from safehands.ledger import canonical_json
from safehands.store import Store, driver, lock
from safehands.store.register import Owner, epoch_name, open_ring, wrapped_keys
from safehands.vault import numbers

__all__ = ["turn_due", "turn_epoch"]

_SLICE = 20_000


def turn_due(connection: Connection, day: date, *, asked: bool = False) -> bool:
    """Say whether the bound controller needs a new epoch on the night of ``day`` and may have one.

    It needs one when somebody was erased since the last, or when a rotation ``asked`` for it. It
    may have one when there was none this night, and when the key before the present one is
    destroyed: there are never more than two.
    """
    return bool(connection.execute(text(_DUE), {"day": day, "asked": asked}).scalar())


def turn_epoch(
    store: Store, owner: Owner, run: str, day: date, now: datetime, *, asked: bool = False
) -> dict[str, int] | None:
    """Open a new epoch if one is due; return ``people`` re-wrapped and ``requests`` it is for.

    Raises ``KeyProblem`` when a salt does not open under the present epoch key: then nothing has
    changed, and a new key that nothing names is used by the next try.
    """
    with store.begin(controller=owner.id, storage=True) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        if not turn_due(connection, day, asked=asked):
            return None
        old = open_ring(connection, store.provider, owner)
        number = old.epoch + 1
        fresh = key_id(store.provider.create(epoch_name(owner.code, number)))
        new = KeyRing.open(store.provider, wrapped_keys(connection, owner), number)
        people = _rewrap(connection, old, new)
        _rewrap_references(connection, old, new)
        numbers.rewrap(connection, old, new)
        values = {"controller": owner.id, "number": number, "day": day, "at": now, "key": fresh}
        connection.execute(text(_EPOCH), values)
        done = connection.execute(text(_ASSIGN), values).rowcount
        facts = {"people": people, "requests": done, "closed": _name(old), "opened": fresh}
        noted = {**values, "facts": canonical_json(facts).decode()}
        connection.execute(text(_TURN), noted)
        body = {"controller": owner.code, "epoch": number, **facts}
        journal.append(connection, "epoch", run, now, body)
        counts = {"epochs_opened": 1, "people_rewrapped": people}
        record_step(connection, "purge", run, day, owner.code, counts)
    return {"people": people, "requests": done}


def _name(ring: KeyRing) -> str:
    """Return the public id of the ring's epoch key."""
    return ring.key_id.rpartition(":")[2]


def _rewrap(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    raw = driver(connection)
    raw.execute(_FRESH)
    count = 0
    for rows in _slices(connection):
        ids = [row[0].bytes for row in rows]
        secrets = old.unwrap_salts(ids, [row[1] for row in rows])
        graves = np.frombuffer(b"".join(secret[16:] for secret in secrets), dtype="V16")
        lookups = new.lookups_of(graves).tolist()
        wrapped = new.wrap_salts(ids, secrets)
        with raw.cursor().copy("COPY fresh FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["uuid", "uuid", "bytea"])
            for row, lookup, salt in zip(rows, lookups, wrapped, strict=True):
                copy.write_row((row[0], UUID(bytes=lookup), salt))
        count += len(rows)
    raw.execute("ANALYZE fresh")
    changed = connection.execute(text(_UPDATE), {"epoch": new.epoch}).rowcount
    connection.execute(text("DROP TABLE fresh"))
    if changed != count:
        raise RuntimeError("people changed while their controller was locked")
    return count


def _slices(connection: Connection) -> Iterator[list[Any]]:
    """Yield subject ids and wrapped salts, a bounded number at a time, from one snapshot."""
    with driver(connection).cursor(name="salts", binary=True) as cursor:
        cursor.execute("SELECT subject_id, wrapped_salt FROM subject ORDER BY subject_id")
        while rows := cursor.fetchmany(_SLICE):
            yield rows


def _rewrap_references(connection: Connection, old: KeyRing, new: KeyRing) -> None:
    for request, wrapped in connection.execute(text(_REFERENCES)).all():
        token, subjects = open_reference(old, request, wrapped)
        values = {
            "request": request,
            "epoch": new.epoch,
            "wrapped": seal_reference(new, request, token, subjects),
        }
        connection.execute(text(_REFER), values)


_DUE = (
    "SELECT (:asked OR EXISTS (SELECT FROM erasure WHERE state = 'erased' AND epoch IS NULL))"
    " AND NOT EXISTS (SELECT FROM epoch_turn WHERE state <> 'destroyed' OR business_date = :day)"
)
_FRESH = (
    "CREATE TEMP TABLE fresh (subject_id uuid PRIMARY KEY, lookup uuid, wrapped_salt bytea)"
    " ON COMMIT DROP"
)
_UPDATE = (
    "UPDATE subject s SET lookup = f.lookup, wrapped_salt = f.wrapped_salt, epoch = :epoch"
    " FROM fresh f WHERE s.subject_id = f.subject_id"
)
_REFERENCES = "SELECT request, wrapped FROM erasure_subject ORDER BY request"
_REFER = "UPDATE erasure_subject SET epoch = :epoch, wrapped = :wrapped WHERE request = :request"
_EPOCH = (
    "INSERT INTO epoch (controller_id, number, opened, key_id)"
    " VALUES (:controller, :number, :day, :key)"
)
_ASSIGN = "UPDATE erasure SET epoch = :number WHERE state = 'erased' AND epoch IS NULL"
_TURN = (
    "INSERT INTO epoch_turn (controller_id, number, business_date, state, turned_at, facts)"
    " VALUES (:controller, :number, :day, 'turned', :at, CAST(:facts AS jsonb))"
)
