"""One controller's data key: every sealed record is sealed anew, in batches.

1. one transaction: a new data key is made and proved and takes its place, the old one becomes a
   former key: from now on records are sealed with the new and opened with either;
2. batch by batch, each a transaction: records of the former key are opened, sealed with the new,
   opened again and written;
3. one transaction: every record is opened with the new key alone; then the former key goes, a new
   backup lineage begins (older generations need the key that went), the ledger says so.

Nights go on meanwhile: each transaction holds the controller's lock, and a ring opened in it knows
both keys. Killed anywhere, the next call goes on where it was: a former key is there until 3.
Restricted people are sealed anew like all others: that is storage (PIPL 47 ¶2).

Waybill tokens and lookups do not change; ADR 0007 says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import KeyProblem
from safehands.keys import KeyRing
from safehands.keys.renew import renewed
from safehands.rotation.columns import check_declared
from safehands.store import Store, driver, lock
from safehands.store.register import Owner, open_ring, wrapped_keys

__all__ = ["BATCH", "DataRotation", "rotate_data"]

BATCH = 20_000
_ROLE = "safehands_owner"

Tell = Callable[[int], None]
"""Told the number of records after each batch."""


@dataclass(frozen=True)
class DataRotation:
    """What was done: versions, records sealed anew in this call, whether one was gone on with."""

    controller: str
    old: int
    new: int
    records: int
    resumed: bool


def rotate_data(
    store: Store, owner: Owner, now: datetime, tell: Tell | None = None, batch: int = BATCH
) -> DataRotation:
    """Give ``owner`` a new data key, or end the rotation that is under way.

    Raises ``KeyProblem`` when a record does not open: it is then still as it was, and so is the
    old key.
    """
    resumed = _begin(store, owner, now)
    records = 0
    for table in _TABLES:
        for count in _resealed(store, owner, table, batch):
            records += count
            if tell is not None:
                tell(count)
    old, new = _end(store, owner, now, batch)
    return DataRotation(owner.code, old, new, records, resumed)


def _begin(store: Store, owner: Owner, now: datetime) -> bool:
    with _alone(store, owner) as connection:
        check_declared(connection)
        wrapped = wrapped_keys(connection, owner, lock=True)
        if wrapped.former:
            return True
        fresh = renewed(store.provider, wrapped)
        former = {"id": owner.id, "version": wrapped.data_version, "data": wrapped.data}
        connection.execute(text(_KEEP), former)
        values = {
            "id": owner.id,
            "version": fresh.data_version,
            "data": fresh.data,
            "tokens": fresh.tokens,
        }
        connection.execute(text(_SWITCH), values)
        _note(connection, owner, now, {"begun": fresh.data_version})
    return False


@dataclass(frozen=True)
class _Table:
    """A table of sealed records: the kind they are bound to, their key, how their salt is found."""

    kind: str
    read: str
    write: str
    salts: Callable[[KeyRing, list[Any]], list[bytes]]


def _resealed(store: Store, owner: Owner, table: _Table, batch: int) -> Iterator[int]:
    last = UUID(int=0)
    while True:
        with _alone(store, owner) as connection:
            ring = open_ring(connection, store.provider, owner)
            rows = _rows(connection, table, owner, _head(ring), last, batch)
            if not rows:
                return
            _reseal(connection, ring, table, owner, rows)
            last = rows[-1][0]
        yield len(rows)


def _reseal(
    connection: Connection, ring: KeyRing, table: _Table, owner: Owner, rows: list[Any]
) -> None:
    ids, salts = [row[0].bytes for row in rows], table.salts(ring, rows)
    plain = ring.unseal(table.kind, ids, salts, [row[2] for row in rows])
    fresh = ring.seal(table.kind, ids, salts, plain)
    if ring.unseal(table.kind, ids, salts, fresh) != plain:
        raise KeyProblem("keys.does_not_open", id=ring.key_id)
    raw = driver(connection)
    raw.execute(_INCOMING)
    with raw.cursor().copy("COPY rekeyed FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid", "bytea"])
        for row, sealed in zip(rows, fresh, strict=True):
            copy.write_row((row[0], sealed))
    connection.execute(text("ANALYZE rekeyed"))
    connection.execute(text(table.write), {"id": owner.id, "version": ring.version})


def _end(store: Store, owner: Owner, now: datetime, batch: int) -> tuple[int, int]:
    with _alone(store, owner) as connection:
        wrapped = wrapped_keys(connection, owner, lock=True)
        old = max(wrapped.former)
        connection.execute(text("DELETE FROM former_key WHERE controller_id = :id"), _id(owner))
        # Who was loaded while it ran has the new key and what it replaced under the old one.
        connection.execute(text(_FORGET_BEFORE), _id(owner))
        # This ring has the new key alone, as all rings after the commit.
        ring = open_ring(connection, store.provider, owner)
        proved = sum(_prove(connection, ring, table, owner, batch) for table in _TABLES)
        # Lineages are numbered without a gap, also when two owners rotate at once.
        lock(connection, "safehands.lineage")
        reason = f"data key of {owner.code}: version {ring.version}"
        connection.execute(text(_LINEAGE), {"now": now, "reason": reason})
        _note(connection, owner, now, {"ended": old, "records": proved})
    return old, ring.version


def _prove(connection: Connection, ring: KeyRing, table: _Table, owner: Owner, batch: int) -> int:
    """Open every record of a table and return how many there are."""
    last, proved = UUID(int=0), 0
    while rows := _rows(connection, table, owner, b"", last, batch):
        ids, salts = [row[0].bytes for row in rows], table.salts(ring, rows)
        ring.unseal(table.kind, ids, salts, [row[2] for row in rows])
        last, proved = rows[-1][0], proved + len(rows)
    return proved


def _rows(
    connection: Connection, table: _Table, owner: Owner, but: bytes, last: UUID, batch: int
) -> list[Any]:
    """Return the next records whose first bytes are not ``but``: id, wrapped salt, sealed."""
    cursor: Any = driver(connection).cursor(binary=True)
    values = {"id": owner.id, "but": but, "last": last, "batch": batch}
    return list(cursor.execute(table.read, values).fetchall())


def _head(ring: KeyRing) -> bytes:
    return b"\x01" + ring.version.to_bytes(2, "big")


def _subject_salts(ring: KeyRing, rows: list[Any]) -> list[bytes]:
    wrapped = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    return [secret[:16] for secret in wrapped]


def _custody_salts(ring: KeyRing, rows: list[Any]) -> list[bytes]:
    """Salts of the people that slips belong to; of slips without a person from their tokens."""
    held = [row for row in rows if row[3] is not None]
    of = ring.unwrap_salts([row[3].bytes for row in held], [row[1] or b"" for row in held])
    people = iter(of)
    loose = iter(ring.custody_salts(row[0].bytes for row in rows if row[3] is None))
    return [next(loose) if row[3] is None else next(people)[:16] for row in rows]


@contextmanager
def _alone(store: Store, owner: Owner) -> Iterator[Connection]:
    """Open a transaction as the owner role under the lock that loads and purges take too."""
    with store.begin(_ROLE, owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        yield connection


def _id(owner: Owner) -> dict[str, int]:
    return {"id": owner.id}


def _note(connection: Connection, owner: Owner, now: datetime, facts: dict[str, int]) -> None:
    said = {"kind": "data", "controller": owner.code, **facts}
    journal.append(connection, "keys_rotate", f"keys-{now.date()}", now, said)


_READ_SUBJECT = (
    "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE controller_id = %(id)s"
    " AND subject_id > %(last)s AND (length(%(but)s) = 0 OR substring(sealed for 3) <> %(but)s)"
    " ORDER BY subject_id LIMIT %(batch)s"
)
_READ_CUSTODY = (
    "SELECT c.waybill, s.wrapped_salt, c.sealed, c.subject_id FROM custody c"
    " LEFT JOIN subject s ON s.controller_id = c.controller_id AND s.subject_id = c.subject_id"
    " WHERE c.controller_id = %(id)s AND c.waybill > %(last)s"
    " AND (length(%(but)s) = 0 OR substring(c.sealed for 3) <> %(but)s)"
    " ORDER BY c.waybill LIMIT %(batch)s"
)
_INCOMING = "CREATE TEMP TABLE rekeyed (id uuid PRIMARY KEY, sealed bytea) ON COMMIT DROP"
_WRITE_SUBJECT = (
    "UPDATE subject t SET sealed = r.sealed, before = NULL, key_version = :version FROM rekeyed r"
    " WHERE t.controller_id = :id AND t.subject_id = r.id"
)
_FORGET_BEFORE = "UPDATE subject SET before = NULL WHERE controller_id = :id AND before IS NOT NULL"
_WRITE_CUSTODY = (
    "UPDATE custody t SET sealed = r.sealed FROM rekeyed r"
    " WHERE t.controller_id = :id AND t.waybill = r.id AND :version > 0"
)
_TABLES = (
    _Table("person", _READ_SUBJECT, _WRITE_SUBJECT, _subject_salts),
    _Table("custody", _READ_CUSTODY, _WRITE_CUSTODY, _custody_salts),
)
_KEEP = "INSERT INTO former_key (controller_id, version, data) VALUES (:id, :version, :data)"
_SWITCH = (
    "UPDATE controller_key SET data_version = :version, data = :data, tokens = :tokens"
    " WHERE controller_id = :id"
)
_LINEAGE = (
    "INSERT INTO backup_lineage (number, opened_at, reason, after_backup) SELECT"
    " (SELECT coalesce(max(number), 0) + 1 FROM backup_lineage), :now, :reason,"
    " (SELECT coalesce(max(id), 0) FROM backup)"
)
