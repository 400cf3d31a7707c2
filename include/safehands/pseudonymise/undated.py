"""Rows without a date: an export that repeats itself every night makes nobody younger.

Many customer and preference lists carry no date and are exported whole every night. Were such a row
a sighting of tonight, its people would never age and retention (PIPL 19, 47) would never begin. So
an undated row of somebody the store knew before this night is dated by the store: when the person
was last seen if it says nothing new, one microsecond later if it does, so that the new value is
taken and the age stays. Of somebody else it is a sighting on the business date; but somebody who
was erased or is restricted does not come back with a row that cannot show it is later.

What is new is judged by what was known before this night, whatever its other shards have said by
now: so their order decides nothing. The load keeps it beside the row (``night``, ``seen_before``,
``before``), and the purge of the night removes what is of the person's record.

Not promised: a preference that was deleted as idle and still stands in an undated list is loaded
and deleted again every night until its person goes; and that somebody who comes back after a
removal has their list row in the night of their first parcel: the list may be loaded before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from safehands.keys import KeyRing
from safehands.store import driver
from safehands.store.bulk import copy_in
from safehands.vault.record import KIND, opened, was_called

__all__ = ["dated"]

_CHOICES = ("notify_channel", "delivery_choice", "time_window", "marketing")

Tables = dict[str, pa.Table | None]


@dataclass(frozen=True)
class _Person:
    """The last holder of a number, as known before this night.

    ``last``: microseconds since 1970; ``choices``: as stored. ``record`` is ``None`` of somebody
    who is known since this night.
    """

    last: int
    record: dict[str, Any] | None
    choices: tuple[int, ...] | None


def dated(connection: Connection, ring: KeyRing, tables: Tables, night: date) -> Tables:
    """Return the tables with undated rows of known people dated; other rows are untouched.

    ``night`` is the business date. Must run in the transaction that writes, under the
    controller's lock.
    """
    undated = {
        name: table
        for name, table in tables.items()
        if name in _NEW and table is not None and table["updated_at"].null_count
    }
    if not undated:
        return tables
    known = _known(connection, ring, _phones(list(undated.values())), night)
    filled = {name: _filled(name, table, known) for name, table in undated.items()}
    return {**tables, **filled}


def _phones(tables: list[pa.Table]) -> list[str]:
    found: set[str] = set()
    for table in tables:
        rows = table.filter(table["updated_at"].is_null())
        found.update(rows["receiver_phone"].drop_null().to_pylist())
    return sorted(found)


def _known(
    connection: Connection, ring: KeyRing, phones: list[str], night: date
) -> dict[str, _Person]:
    lookups = ring.lookups("mobile", phones)
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE undated (lookup uuid) ON COMMIT DROP")
    copy_in(raw, "undated (lookup)", [("uuid", lookups)])
    cursor: Any = raw.cursor(binary=True)
    rows = cursor.execute(_LAST, {"night": night}).fetchall()
    before = [row for row in rows if row[4]]
    subjects = [row[1].bytes for row in before]
    salts = [secret[:16] for secret in ring.unwrap_salts(subjects, [row[2] for row in before])]
    plain = ring.unseal(KIND, subjects, salts, [row[3] for row in before])
    people = {
        row[0]: _Person(row[5], opened(text), _choices(row[6]))
        for row, text in zip(before, plain, strict=True)
    }
    people |= {row[0]: _Person(row[5], None, None) for row in rows if not row[4]}
    by_phone = zip(phones, (UUID(bytes=token) for token in lookups.tolist()), strict=True)
    return {phone: people[lookup] for phone, lookup in by_phone if lookup in people}


def _choices(codes: str) -> tuple[int, ...] | None:
    return tuple(int(code) for code in codes.split(",")) if codes else None


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
    record = person.record
    if record is None:
        return False
    if not was_called(record, row["receiver_name"] or ""):
        return bool(row["receiver_name"])
    address = row["receiver_address"] or ""
    # Of somebody masked the address is gone by policy: that the source still has it is not news.
    return "*" not in record["phone"] and address not in {"", record["address"]}


def _new_choice(row: dict[str, Any], person: _Person) -> bool:
    stated = tuple(int(row[name] or 0) for name in _CHOICES)
    return person.choices is not None and person.choices != stated


_NEW = {"customers": _new_contact, "preferences": _new_choice}
_START = "%(night)s::timestamp AT TIME ZONE 'Asia/Shanghai'"
_SEEN = "CASE WHEN s.night = %(night)s THEN s.seen_before ELSE s.last_seen END"
_LAST = (
    "SELECT DISTINCT ON (s.lookup) s.lookup, s.subject_id, s.wrapped_salt,"
    " CASE WHEN s.night = %(night)s THEN coalesce(s.before, s.sealed) ELSE s.sealed END,"
    f" ({_SEEN}) IS NOT NULL, (extract(epoch FROM coalesce({_SEEN}, {_START})) * 1000000)::int8,"
    " coalesce(CASE WHEN b.business_date = %(night)s THEN f.before END,"
    " concat_ws(',', f.notify_channel, f.delivery_choice, f.time_window, f.marketing))"
    " FROM undated JOIN subject s USING (lookup)"
    " LEFT JOIN preference f ON f.subject_id = s.subject_id"
    " LEFT JOIN batch b ON b.id = f.batch_id"
    f" ORDER BY s.lookup, {_SEEN} DESC NULLS LAST, s.generation DESC"
)
