"""One row per person from the pseudonymised tables: what somebody who watches a station might know.

The parcels of one owner come out of PostgreSQL as a few long byte strings, one per column and
month, and are grouped here with NumPy: a million parcels in about a second and without a row of
them in Python. No value of a person is among them; the random subject ids stay in this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from safehands.store import driver

__all__ = ["HOUR_EDGES", "MONTHLY_EDGES", "QUASI", "SENSITIVE", "people_table"]

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


def people_table(connection: Connection) -> pa.Table:
    """Return one row per person with a parcel, of the owner the transaction is bound to.

    Columns ``QUASI`` and ``SENSITIVE``, all int32: codes, station ids and bands; null where
    nothing is known. Of equally frequent values the lower number stands. People who are known
    only by a customer list or a preference have no row. The order of rows is that of random ids
    and says nothing.
    """
    ids, parcels = _parcels(connection)
    theirs, preferences = _preferences(connection)
    if len(ids) == 0:
        return pa.table({name: pa.array([], pa.int32()) for name in (*QUASI, *SENSITIVE)})
    people, count = _dense(np.concatenate([ids, theirs]))
    grouped = _Grouped(people[: len(ids)], parcels, count)
    columns = grouped.columns()
    for place, name in enumerate(SENSITIVE[:2]):
        values = np.full(count, MISSING, dtype=np.int64)
        values[people[len(ids) :]] = preferences[place]
        columns[name] = values
    present = grouped.present
    return pa.table({name: _nullable(columns[name][present]) for name in (*QUASI, *SENSITIVE)})


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


def _parcels(connection: Connection) -> tuple[Array, _Parcels]:
    columns = _fetch(connection, _PARCELS, ("V16", ">i4", ">i4", ">i2", ">i2", ">i8", ">i8"))
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
    " FROM parcel WHERE subject_id IS NOT NULL GROUP BY tableoid"
)
_PREFERENCES = (
    "SELECT string_agg(uuid_send(subject_id), ''), string_agg(int2send(notify_channel), ''),"
    " string_agg(int2send(delivery_choice), '') FROM preference"
    " HAVING count(*) > 0"
)
