"""Rows without a date: an export that repeats itself every night makes nobody younger.

Many customer and preference lists carry no date and are exported whole every night. Were such a row
a sighting of tonight, its people would never age and retention (PIPL 19, 47) would never begin. So
an undated row of somebody the store knows is dated by the store: when the person was last seen if
it says nothing new, one microsecond later if it does, so that the new value is taken and the age
stays. Of somebody unknown it is the first sighting, on the business date; but somebody who was
erased or is restricted does not come back with a row that cannot show it is later.

Not promised: a preference that was deleted as idle and still stands in an undated list is loaded
and deleted again every night until its person goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from safehands.keys import KeyRing
from safehands.store import driver
from safehands.store.bulk import copy_in
from safehands.vault.record import KIND, MASKED, opened, was_called

__all__ = ["dated"]

_CHOICES = ("notify_channel", "delivery_choice", "time_window", "marketing")

Tables = dict[str, pa.Table | None]


@dataclass(frozen=True)
class _Person:
    """The newest holder of a number. ``last``: microseconds since 1970; ``choices``: as stored."""

    last: int
    masked: bool
    record: dict[str, Any]
    choices: tuple[int, ...] | None


def dated(connection: Connection, ring: KeyRing, tables: Tables) -> Tables:
    """Return the tables with undated rows of known people dated; other rows are untouched.

    Must run in the transaction that writes, under the controller's lock.
    """
    undated = {
        name: table
        for name, table in tables.items()
        if name in _NEW and table is not None and table["updated_at"].null_count
    }
    if not undated:
        return tables
    known = _known(connection, ring, _phones(list(undated.values())))
    filled = {name: _filled(name, table, known) for name, table in undated.items()}
    return {**tables, **filled}


def _phones(tables: list[pa.Table]) -> list[str]:
    found: set[str] = set()
    for table in tables:
        rows = table.filter(table["updated_at"].is_null())
        found.update(rows["receiver_phone"].drop_null().to_pylist())
    return sorted(found)


def _known(connection: Connection, ring: KeyRing, phones: list[str]) -> dict[str, _Person]:
    lookups = ring.lookups("mobile", phones)
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE undated (lookup uuid) ON COMMIT DROP")
    copy_in(raw, "undated (lookup)", [("uuid", lookups)])
    cursor: Any = raw.cursor(binary=True)
    rows = cursor.execute(_NEWEST).fetchall()
    subjects = [row[1].bytes for row in rows]
    salts = [secret[:16] for secret in ring.unwrap_salts(subjects, [row[2] for row in rows])]
    plain = ring.unseal(KIND, subjects, salts, [row[3] for row in rows])
    people = {
        row[0]: _Person(row[5], row[4] == MASKED, opened(text), _choices(row[6:]))
        for row, text in zip(rows, plain, strict=True)
    }
    by_phone = zip(phones, (UUID(bytes=token) for token in lookups.tolist()), strict=True)
    return {phone: people[lookup] for phone, lookup in by_phone if lookup in people}


def _choices(values: tuple[int | None, ...]) -> tuple[int, ...] | None:
    return None if values[0] is None else tuple(int(value or 0) for value in values)


def _filled(name: str, table: pa.Table, known: dict[str, _Person]) -> pa.Table:
    place = table.column_names.index("updated_at")
    column = table["updated_at"].combine_chunks()
    moments = column.cast(pa.int64()).fill_null(0).to_numpy().copy()
    missing = column.is_null().to_numpy(zero_copy_only=False).copy()
    rows = np.flatnonzero(missing)
    for at, row in zip(rows.tolist(), table.take(pa.array(rows)).to_pylist(), strict=True):
        person = known.get(row["receiver_phone"])
        if person is not None:
            moments[at] = person.last + int(_NEW[name](row, person))
            missing[at] = False
    fresh = pa.array(moments, mask=missing).cast(column.type)
    return table.set_column(place, table.schema.field(place), fresh)


def _new_contact(row: dict[str, Any], person: _Person) -> bool:
    if not was_called(person.record, row["receiver_name"] or ""):
        return bool(row["receiver_name"])
    address = row["receiver_address"] or ""
    # Of somebody masked the address is gone by policy: that the source still has it is not news.
    return not person.masked and address not in {"", person.record["address"]}


def _new_choice(row: dict[str, Any], person: _Person) -> bool:
    return person.choices is not None and person.choices != _choices(
        tuple(row[name] for name in _CHOICES)
    )


_NEW = {"customers": _new_contact, "preferences": _new_choice}
_NEWEST = (
    "SELECT DISTINCT ON (s.lookup) s.lookup, s.subject_id, s.wrapped_salt, s.sealed, s.detail,"
    " (extract(epoch FROM s.last_seen) * 1000000)::int8, f.notify_channel, f.delivery_choice,"
    " f.time_window, f.marketing FROM undated JOIN subject s USING (lookup)"
    " LEFT JOIN preference f ON f.subject_id = s.subject_id ORDER BY s.lookup, s.generation DESC"
)
