"""Rows that still show a number that was corrected away go to the person it was corrected for.

The station's software exports the wrong number every night until somebody puts it right there. Such
a row is the corrected person's when it says so, and nobody's otherwise (PIPL 8, 46): the number may
belong to a stranger, whose own parcels open a subject of their own.

=====================  ==========================================================================
the row                belongs to the corrected person
=====================  ==========================================================================
is a known parcel      when the parcel is theirs in the store
names somebody         when that is their name (now, or before a correction), and nobody who has
                       this number is called the same; after the correction, only a full name counts
names nobody           when it is not later than the correction, or has no date, and nobody else is
                       known under this number, neither in the store nor by name in this load
=====================  ==========================================================================

Where the same number was corrected away for several people, exactly one of them must fit.

Such a row's number is replaced by a **stand-in** (``=`` and the subject id), because the right
number may be masked by now: :mod:`safehands.pseudonymise.vault` finds the person by it. Not
promised: that a stranger of the same full name is told from the corrected person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.vault.numbers import TakenBack, taken_back
from safehands.vault.record import KIND, MASKED, opened, was_called

__all__ = ["Corrected", "corrected_for", "subject_of"]

_PHONE = "receiver_phone"
_TIME = {"parcels": "arrived_at", "customers": "updated_at", "preferences": "updated_at"}
_LISTS = ("customers", "preferences")

Tables = dict[str, pa.Table | None]


@dataclass(frozen=True)
class Corrected:
    """Tables with stand-ins; subject id → lookup of whom they stand for; rows that got one."""

    tables: Tables
    lookups: Mapping[bytes, bytes] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class _Person:
    """Somebody in the store; ``last`` in microseconds since 1970."""

    subject: UUID
    lookup: bytes
    masked: bool
    last: int
    record: Mapping[str, Any]

    def called(self, name: str) -> bool:
        return bool(self.record["name"]) and was_called(dict(self.record), name)


@dataclass(frozen=True)
class _Number:
    """A number that was corrected away: for whom and when, who else has it, names in this load."""

    freed: tuple[tuple[_Person, int], ...]
    others: tuple[_Person, ...]
    shown: frozenset[str]

    def owner(self, name: str, at: int | None, parcel_of: UUID | None) -> _Person | None:
        """Return whose row it is that shows ``name`` ("" for none) at ``at`` (None: undated).

        ``parcel_of``: whose the row's parcel is in the store.
        """
        for person, _ in self.freed:
            if person.subject == parcel_of:
                return person
        if any(other.called(name) for other in self.others if name):
            return None
        fitting = [person for person, then in self.freed if self._fits(person, then, name, at)]
        return fitting[0] if len(fitting) == 1 else None

    def _fits(self, person: _Person, then: int, name: str, at: int | None) -> bool:
        earlier = at is None or at <= then
        if name:
            # A masked name fits many; after the correction it is no proof.
            return person.called(name) and (earlier or not person.masked)
        strangers = any(not person.called(shown) for shown in self.shown)
        return earlier and not self.others and not strangers


def corrected_for(connection: Connection, ring: KeyRing, tables: Tables) -> Corrected:
    """Return the tables with stand-ins for numbers that were corrected away.

    Undated list rows that get a stand-in are dated when their person was last seen, so that a list
    that is exported whole every night makes nobody younger. Restricted people have no stand-in.
    Must run in the transaction that writes, under the controller's lock.
    """
    freed = taken_back(connection, ring)
    if not freed:
        return Corrected(tables)
    numbers = _numbers(connection, ring, tables, freed)
    changed, people, count = dict(tables), dict[bytes, bytes](), 0
    for name, table in tables.items():
        if table is None or not numbers:
            continue
        found = _owners(connection, ring, name, table, numbers)
        if found:
            changed[name] = _with_stand_ins(name, table, found)
            people |= {one.subject.bytes: one.lookup for one in found.values()}
            count += len(found)
    return Corrected(changed, people, count)


def subject_of(phone: str) -> bytes | None:
    """Return the subject id (16 bytes) that a stand-in stands for; ``None`` for a real number."""
    return bytes.fromhex(phone[1:]) if phone.startswith("=") else None


def _numbers(
    connection: Connection, ring: KeyRing, tables: Tables, freed: list[TakenBack]
) -> dict[str, _Number]:
    """Return the numbers of these tables that were corrected away."""
    given = [table for table in tables.values() if table is not None]
    phones = sorted({p for table in given for p in table[_PHONE].drop_null().unique().to_pylist()})
    tokens = ring.tombstones("mobile", phones).tolist()
    wanted = {one.token for one in freed}
    met = {phone: token for phone, token in zip(phones, tokens, strict=True) if token in wanted}
    if not met:
        return {}
    shown = _shown(given, met)
    lookups = dict(zip(met, ring.lookups("mobile", met).tolist(), strict=True))
    who = {one.subject for one in freed if one.token in met.values()}
    people = _people(connection, ring, who, lookups.values())
    by_id = {person.subject: person for person in people}
    return {
        phone: _Number(
            tuple(
                (by_id[o.subject], o.at) for o in freed if o.token == token if o.subject in by_id
            ),
            tuple(person for person in people if person.lookup == lookups[phone]),
            frozenset(shown.get(phone, ())),
        )
        for phone, token in met.items()
    }


def _shown(tables: Iterable[pa.Table], phones: Iterable[str]) -> dict[str, set[str]]:
    """Return the names that the tables show beside each of these numbers."""
    found: dict[str, set[str]] = {}
    wanted = pa.array(list(phones), pa.string())
    for table in tables:
        if "receiver_name" in table.column_names:
            rows = table.filter(pc.is_in(table[_PHONE], value_set=wanted))
            for row in rows.select([_PHONE, "receiver_name"]).to_pylist():
                if row["receiver_name"]:
                    found.setdefault(row[_PHONE], set()).add(row["receiver_name"])
    return found


def _people(
    connection: Connection, ring: KeyRing, subjects: Iterable[UUID], lookups: Iterable[bytes]
) -> list[_Person]:
    values = {"who": list(subjects), "sought": [UUID(bytes=lookup) for lookup in lookups]}
    rows = connection.execute(text(_PEOPLE), values).all()
    ids = [row[0].bytes for row in rows]
    salts = [secret[:16] for secret in ring.unwrap_salts(ids, [row[2] for row in rows])]
    plain = ring.unseal(KIND, ids, salts, [row[3] for row in rows])
    return [
        _Person(row[0], row[1].bytes, row[4] == MASKED, row[5], opened(record))
        for row, record in zip(rows, plain, strict=True)
    ]


def _owners(
    connection: Connection,
    ring: KeyRing,
    name: str,
    table: pa.Table,
    numbers: Mapping[str, _Number],
) -> dict[int, _Person]:
    """Return row → whose it is, for the rows that go to somebody else than their number's."""
    wanted = pa.array(list(numbers), pa.string())
    places = pc.indices_nonzero(pc.is_in(table[_PHONE], value_set=wanted))
    rows = table.take(places)
    moments = rows[_TIME[name]].cast(pa.int64()).to_pylist()
    phones = rows[_PHONE].to_pylist()
    named = "receiver_name" in rows.column_names
    names = rows["receiver_name"].to_pylist() if named else [None] * rows.num_rows
    known = _known_parcels(connection, ring, rows) if name == "parcels" else [None] * rows.num_rows
    found = {}
    each = zip(places.to_pylist(), phones, names, moments, known, strict=True)
    for place, phone, shown, at, parcel_of in each:
        person = numbers[phone].owner(shown or "", at, parcel_of)
        if person is not None:
            found[place] = person
    return found


def _known_parcels(connection: Connection, ring: KeyRing, rows: pa.Table) -> list[UUID | None]:
    """Return for each row whose its parcel is in the store."""
    if not rows.num_rows:
        return []
    tokens = ring.waybills(rows["carrier"].to_numpy(), rows["waybill_no"]).tolist()
    ids = [UUID(bytes=token) for token in tokens]
    whose = {row[0]: row[1] for row in connection.execute(text(_PARCELS), {"waybills": ids})}
    return [whose.get(token) for token in ids]


def _with_stand_ins(name: str, table: pa.Table, found: Mapping[int, _Person]) -> pa.Table:
    rows = sorted(found)
    stand_ins = pa.array([f"={found[row].subject.hex}" for row in rows], pa.string())
    table = _replaced(table, _PHONE, rows, stand_ins)
    if name not in _LISTS:
        return table
    undated = table[_TIME[name]].is_null().to_numpy()
    rows = [row for row in rows if undated[row]]
    last = pa.array([found[row].last for row in rows], pa.int64())
    return _replaced(table, _TIME[name], rows, last.cast(table.schema.field(_TIME[name]).type))


def _replaced(table: pa.Table, column: str, rows: list[int], values: pa.Array) -> pa.Table:
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[rows] = True
    place, field = table.column_names.index(column), table.schema.field(column)
    fresh = pc.replace_with_mask(table[column].combine_chunks(), pa.array(mask), values)
    return table.set_column(place, field, fresh)


_PEOPLE = (
    "SELECT subject_id, lookup, wrapped_salt, sealed, detail,"
    " (extract(epoch FROM last_seen) * 1000000)::int8 FROM subject"
    " WHERE subject_id = ANY (:who) OR lookup = ANY (:sought)"
)
_PARCELS = "SELECT waybill, subject_id FROM parcel WHERE waybill = ANY (:waybills)"
