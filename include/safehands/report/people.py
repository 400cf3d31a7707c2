"""One row per person from the pseudonymised tables: what somebody who watches a station might know.

What is kept of a person (:mod:`safehands.report.kept`) is taken over; the parcels of all others
come out of PostgreSQL as a few long byte strings, one per column and month, and are grouped here
with NumPy: a million parcels in about a second and without a row of them in Python. No value of a
person is among them; the random subject ids stay in this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.report.kept import EDITION, Standing, Unread, list_unread, standing
from safehands.store import driver
from safehands.store.bulk import copy_in

__all__ = [
    "HOUR_EDGES",
    "MONTHLY_EDGES",
    "QUASI",
    "SENSITIVE",
    "People",
    "differing",
    "keep_people",
    "people_table",
    "read_people",
]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

QUASI = ("district", "station", "monthly", "hour", "carrier")
"""What an outsider may know of a person: district of the newest parcel, station with most parcels,
band of parcels a month, band of the usual hour of pick-up, carrier of most parcels."""

SENSITIVE = ("notify_channel", "delivery_choice", "weight_band")
"""What an outsider may want to learn: the two preferences, weight band of the newest parcel."""

MONTHLY_EDGES = (1.0, 2.0, 5.0, 10.0)
"""Upper edges (inclusive) of the bands of parcels a month (policy)."""

HOUR_EDGES = (9, 12, 14, 18, 21)
"""Hours (Asia/Shanghai) at which the next band begins (policy)."""

MISSING = -1

_KEPT = {
    "district": "i4",
    "station": "i4",
    "monthly": "i2",
    "hour": "i2",
    "carrier": "i2",
    "weight_band": "i2",
}
"""What is kept of a person, with its width in the table."""

_WIRE = tuple(f">{kind}" for kind in _KEPT.values())

_CELLS = 4
"""As many counters for each parcel are made rather than sorting: 32 bytes."""

_EPOCH = 946_684_800
_MICRO = 1_000_000
_SHANGHAI = 8 * 3600


@dataclass(frozen=True)
class _Parcels:
    """Columns of all linked parcels of one owner; times in seconds since 1970 at UTC+8."""

    station: Ints
    district: Ints
    carrier: Ints
    weight: Ints
    arrived: Ints
    hour: Ints


@dataclass(frozen=True)
class People:
    """People and what is known of each: ``ids`` (V16) and one int64 column per name of ``_KEPT``.

    ``monthly`` is ``MISSING`` for somebody without any parcel.
    """

    ids: Array
    columns: dict[str, Ints]

    def __len__(self) -> int:
        return len(self.ids)

    def chosen(self, which: Array) -> People:
        """Return some of them: a mask or places."""
        return People(self.ids[which], {n: c[which] for n, c in self.columns.items()})


def read_people(connection: Connection, unread: Unread) -> People:
    """Return everybody in ``unread_person`` as their parcels are now."""
    everybody = _fetch(connection, _UNREAD, ("V16",))[0]
    ids, parcels = _parcels(connection, unread.few)
    people, count = _dense(np.concatenate([ids, everybody]))
    first = np.empty(count, dtype=np.int64)
    first[people[::-1]] = np.arange(len(people))[::-1]
    unique = np.concatenate([ids, everybody])[first] if count else everybody
    if len(ids) == 0:
        return People(unique, {name: np.full(count, MISSING, dtype=np.int64) for name in _KEPT})
    grouped = _Grouped(people[: len(ids)], parcels, count)
    present = grouped.present
    columns = grouped.columns()
    return People(unique, {name: np.where(present, columns[name], MISSING) for name in _KEPT})


def keep_people(
    connection: Connection, controller: int, found: People | None, unread: Unread
) -> None:
    """Keep what was read; nothing else is left of the owner if nothing else was worth anything.

    Nobody may be changing parcels meanwhile (``report.refresh`` sees to it).
    """
    if not unread.trusted:
        connection.execute(text("DELETE FROM person_figure"))
    if found is not None:
        edition = np.full(len(found), EDITION, dtype=np.int64)
        owner = np.full(len(found), controller, dtype=np.int64)
        columns: list[tuple[Any, Array]] = [("i4", owner), ("uuid", found.ids), ("i2", edition)]
        columns += [(kind, found.columns[name]) for name, kind in _KEPT.items()]
        connection.execute(text(_OLD_EDITION), {"edition": EDITION})
        names = f"controller_id, subject_id, edition, {', '.join(_KEPT)}"
        # COPY is not for tables with row-level security.
        connection.execute(text(_FOUND))
        copy_in(driver(connection), f"found_person ({names})", columns)
        connection.execute(
            text(f"INSERT INTO person_figure ({names}) SELECT {names} FROM found_person")
        )


def differing(connection: Connection, found: People) -> int:
    """Return how many kept rows say something else than ``found``, which is everybody."""
    kept = _stored(connection)
    both, count = _dense(np.concatenate([found.ids, kept.ids]))
    rows = np.empty(count, dtype=np.int64)
    rows[both[: len(found)]] = np.arange(len(found))
    mine = rows[both[len(found) :]]
    wrong = np.zeros(len(kept), dtype=bool)
    for name in _KEPT:
        wrong |= kept.columns[name] != found.columns[name][mine]
    return int(wrong.sum())


def people_table(connection: Connection, now: Standing | None = None) -> pa.Table:
    """Return one row per person with a parcel, of the owner the transaction is bound to.

    Columns ``QUASI`` and ``SENSITIVE``, all int32: codes, station ids and bands; null where
    nothing is known. Of equally frequent values the lower number stands. People who are known
    only by a customer list or a preference have no row. The order of rows is that of random ids
    and says nothing.
    """
    unread = list_unread(connection, now or standing(connection))
    found = _with_parcels(read_people(connection, unread)) if unread.people else None
    if unread.trusted:
        stored = _with_parcels(_stored(connection))
        found = stored if found is None else _together(stored, found)
    if found is None or len(found) == 0:
        return pa.table({name: pa.array([], pa.int32()) for name in (*QUASI, *SENSITIVE)})
    # One order for the same people, whether they were kept or read just now.
    found = _in_order(found)
    theirs, preferences = _preferences(connection)
    people, count = _dense(np.concatenate([found.ids, theirs]))
    columns = dict(found.columns)
    for place, name in enumerate(SENSITIVE[:2]):
        values = np.full(count, MISSING, dtype=np.int64)
        values[people[len(found) :]] = preferences[place]
        columns[name] = values[people[: len(found)]]
    return pa.table({name: _nullable(columns[name]) for name in (*QUASI, *SENSITIVE)})


def _stored(connection: Connection) -> People:
    """Return who is kept and still there."""
    ids, *columns = _fetch(connection, _STORED, ("V16", *_WIRE))
    return People(ids, dict(zip(_KEPT, columns, strict=True)))


def _with_parcels(found: People) -> People:
    return found.chosen(found.columns["monthly"] != MISSING)


def _together(one: People, other: People) -> People:
    columns = {n: np.concatenate([one.columns[n], other.columns[n]]) for n in _KEPT}
    return People(np.concatenate([one.ids, other.ids]), columns)


def _in_order(found: People) -> People:
    halves = found.ids.view(np.uint64).reshape(-1, 2)
    return found.chosen(np.lexsort((halves[:, 1], halves[:, 0])))


class _Grouped:
    """Parcels by person: ``person[row]`` is dense below ``count``."""

    def __init__(self, person: Ints, parcels: _Parcels, count: int) -> None:
        self.person, self.parcels, self.count = person, parcels, count
        self.numbers = np.bincount(person, minlength=count)
        self.present = self.numbers > 0

    def columns(self) -> dict[str, Ints]:
        """Return the columns made of parcels, one entry per person."""
        district, weight = self._newest()
        return {
            "district": district,
            "station": self._most(self.parcels.station),
            "monthly": self._monthly(),
            "hour": self._most(self.parcels.hour),
            "carrier": self._most(self.parcels.carrier),
            "weight_band": weight,
        }

    def _newest(self) -> tuple[Ints, Ints]:
        """Return per person the district and weight band of the newest parcel."""
        # One whole number per parcel, in which the time counts most: 32 + 24 + 6 bits.
        since = self.parcels.arrived - self.parcels.arrived.min()
        packed = since << 30 | self.parcels.district << 6 | self.parcels.weight
        best = np.zeros(self.count, dtype=np.int64)
        np.maximum.at(best, self.person, packed)
        return best >> 6 & 0xFFFFFF, best & 0x3F

    def _most(self, values: Ints) -> Ints:
        """Return per person the most frequent known value; the lower one of equals."""
        known = values != MISSING
        result = np.full(self.count, MISSING, dtype=np.int64)
        if not known.any():
            return result
        radix = int(values.max()) + 1
        if radix * self.count <= _CELLS * len(values):
            # A cell for each person and value: no sorting. Of equals the first is found.
            cells = self.person[known] * radix + values[known]
            often = np.bincount(cells, minlength=self.count * radix).reshape(-1, radix)
            most = often.argmax(axis=1)
            return np.where(often[np.arange(self.count), most] > 0, most, MISSING)
        pairs, times = np.unique(self.person[known] * radix + values[known], return_counts=True)
        # Ascending by person, then by how often, then by falling value: the last one stays.
        order = np.lexsort((-pairs, times, pairs // radix))
        result[pairs[order] // radix] = pairs[order] % radix
        return result

    def _monthly(self) -> Ints:
        """Return the band of parcels a month, over the months from first to last arrival."""
        month = self.parcels.arrived.astype("datetime64[s]").astype("datetime64[M]").astype(int)
        first = np.full(self.count, np.iinfo(np.int64).max)
        last = np.full(self.count, np.iinfo(np.int64).min)
        np.minimum.at(first, self.person, month)
        np.maximum.at(last, self.person, month)
        months = np.where(self.present, last - first + 1, 1)
        return np.searchsorted(np.array(MONTHLY_EDGES), self.numbers / months)


def _parcels(connection: Connection, few: bool) -> tuple[Array, _Parcels]:
    source = _PARCELS + (_ONE_BY_ONE if few else _TOGETHER)
    columns = _fetch(connection, source, ("V16", ">i4", ">i4", ">i2", ">i2", ">i8", ">i8"))
    ids, station, district, carrier, weight, arrived, collected = columns
    hour = collected // (3600 * _MICRO) + _SHANGHAI // 3600
    band = np.searchsorted(np.array(HOUR_EDGES), hour % 24, side="right")
    return ids, _Parcels(
        station=station,
        district=district,
        carrier=carrier,
        weight=weight,
        arrived=arrived // _MICRO + _EPOCH + _SHANGHAI,
        hour=np.where(collected == np.iinfo(np.int64).max, MISSING, band),
    )


def _preferences(connection: Connection) -> tuple[Array, tuple[Ints, Ints]]:
    ids, notify, delivery = _fetch(connection, _PREFERENCES, ("V16", ">i2", ">i2"))
    return ids, (notify, delivery)


def _fetch(connection: Connection, query: str, kinds: tuple[str, ...]) -> list[Array]:
    """Return the columns of ``query``, each the parts of its rows one after the other."""
    rows = driver(connection).execute(query.encode(), binary=True).fetchall()
    return [
        _native(b"".join(row[place] for row in rows), kind)  # type: ignore[misc]
        for place, kind in enumerate(kinds)
    ]


def _native(raw: bytes, kind: str) -> Array:
    values = np.frombuffer(raw, dtype=kind)
    return values if kind == "V16" else values.astype(np.int64)


def _dense(ids: Array) -> tuple[Ints, int]:
    """Number equal ids alike, from 0, and return how many there are."""
    if len(ids) == 0:
        return np.empty(0, dtype=np.int64), 0
    halves = ids.view(np.uint64).reshape(-1, 2)
    numbers, found = pd.factorize(halves[:, 0])
    second = np.empty(len(found), dtype=np.uint64)
    second[numbers] = halves[:, 1]
    if (second[numbers] != halves[:, 1]).any():
        # Two ids share their first half, which random ids practically never do.
        both = pd.MultiIndex.from_arrays([halves[:, 0], halves[:, 1]])
        numbers = pd.factorize(both)[0]
    return numbers.astype(np.int64), int(numbers.max()) + 1


def _nullable(values: Ints) -> pa.Array:
    return pa.array(values.astype(np.int32), mask=values == MISSING)


# Every aggregate of one query sees the same rows in the same order, so the strings line up. One
# row per partition keeps each string far below PostgreSQL's limit of 1 GB.
_PARCELS = (
    "SELECT string_agg(uuid_send(subject_id), ''), string_agg(int4send(station_id), ''),"
    " string_agg(int4send(district), ''), string_agg(int2send(carrier), ''),"
    " string_agg(int2send(weight_band), ''), string_agg(timestamptz_send(arrived_at), ''),"
    " string_agg(timestamptz_send(coalesce(collected_at, 'infinity')), '')"
    " FROM "
)
_TOGETHER = "parcel p JOIN unread_person u USING (controller_id, subject_id) GROUP BY p.tableoid"
# OFFSET 0 keeps the planner from turning the look-up into a reading of all parcels.
_ONE_BY_ONE = (
    "unread_person u CROSS JOIN LATERAL (SELECT p.tableoid AS place, p.station_id, p.district,"
    " p.carrier, p.weight_band, p.arrived_at, p.collected_at FROM parcel p"
    " WHERE p.controller_id = u.controller_id AND p.subject_id = u.subject_id OFFSET 0) p"
    " GROUP BY place"
)
_UNREAD = "SELECT string_agg(uuid_send(subject_id), '') FROM unread_person HAVING count(*) > 0"
_STORED = (
    "SELECT string_agg(uuid_send(f.subject_id), ''), "
    + ", ".join(f"string_agg(int{kind[1]}send(f.{name}), '')" for name, kind in _KEPT.items())
    + " FROM person_figure f JOIN subject s USING (controller_id, subject_id)"
    f" WHERE f.edition = {EDITION} HAVING count(*) > 0"
)
_FOUND = "CREATE TEMPORARY TABLE found_person (LIKE person_figure) ON COMMIT DROP"
_OLD_EDITION = "DELETE FROM person_figure WHERE edition <> :edition"
_PREFERENCES = (
    "SELECT string_agg(uuid_send(subject_id), ''), string_agg(int2send(notify_channel), ''),"
    " string_agg(int2send(delivery_choice), '') FROM preference"
    " HAVING count(*) > 0"
)
