"""A station's trade: which parcels arrived on which day, for whom, and when they were collected.

Each day has a random stream of its own, made from seed, station and day. So the export of the next
business date tells the same story one day on: the same parcels, more of them collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safehands.sample.people import Ints, Rng, glue, pick, stream
from safehands.sample.words import CARRIERS, GOODS, OPERATORS, REMARKS

__all__ = [
    "CLOSING",
    "COLLECTED",
    "DAY",
    "IN_CUSTODY",
    "NEVER",
    "RETURNED",
    "Pace",
    "Shop",
    "Trade",
    "days_of",
    "epoch_day",
    "trade_of",
    "waybills",
    "weekday_weight",
]

DAY = 86_400
CLOSING = 21 * 3600 + 1800
"""Seconds after midnight at which exports are taken: nothing is collected later that day."""
NEVER = -1
IN_CUSTODY, COLLECTED, RETURNED, EXCEPTION = 1, 2, 3, 4

_WEEKDAYS = (1.15, 1.1, 1.05, 1.0, 1.05, 0.9, 0.75)
_HOURS = np.array([0] * 8 + [6, 12, 14, 9, 5, 6, 10, 13, 11, 8, 5, 2, 1] + [0] * 3, dtype=float)
_ARCHIVED = (range(380, 480), range(560, 640))


@dataclass(frozen=True)
class Pace:
    """How quickly parcels are fetched: shares of rows, and the days that slow ones take at most."""

    slow: float = 0.075
    slow_days: int = 45
    returned: float = 0.006
    lost: float = 0.002


@dataclass(frozen=True)
class Shop:
    """One station. ``number`` (0–9) goes into its waybills; ``customers`` are positions of people.

    ``per_day`` parcels arrive on an average day, for the last ``days`` days; ``archived`` a day
    are left of long ago. ``plan``: exactly how many arrived, by age in days, instead.
    """

    number: int
    customers: Ints
    per_day: float
    days: int = 60
    archived: float = 0.0
    pace: Pace = Pace()
    plan: Ints | None = None


@dataclass(frozen=True)
class Trade:
    """Columns of equal length, one entry per parcel, in order of arrival.

    ``arrived`` and ``collected`` are seconds since 1970 of Shanghai wall time (``NEVER``: not
    collected). ``person`` is a position in ``People``, the others are positions in word lists or
    small numbers that the writers make text of. ``expired``: older than any retention keeps.
    """

    arrived: Ints
    collected: Ints
    status: Ints
    expired: npt.NDArray[np.bool_]
    person: Ints
    relative: npt.NDArray[np.bool_]
    carrier: Ints
    serial: Ints
    tail: Ints
    rack: Ints
    layer: Ints
    slot: Ints
    grams: Ints
    remark: Ints
    goods: Ints
    operator: Ints
    style: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.arrived)

    def rows(self, index: Any) -> Trade:
        """Return the parcels at ``index`` (positions or a mask)."""
        return Trade(*(getattr(self, f.name)[index] for f in fields(self)))

    def joined(self, others: list[Trade]) -> Trade:
        """Return this and ``others`` one after the other."""
        parts = [self, *others]
        columns = [[getattr(p, f.name) for p in parts] for f in fields(self)]
        return Trade(*(np.concatenate(column) for column in columns))


def epoch_day(day: date) -> int:
    """Return the days from 1970-01-01 to ``day``."""
    return (day - date(1970, 1, 1)).days


def trade_of(shop: Shop, seed: int, business_date: date) -> Trade:
    """Make the parcels that an export of ``business_date`` holds."""
    days = list(days_of(shop, seed, business_date))
    return days[0].joined(days[1:])


def days_of(shop: Shop, seed: int, business_date: date) -> Iterator[Trade]:
    """Make the parcels of an export day by day, oldest first."""
    for age in _ages(shop):
        yield _day(shop, seed, business_date, age)


def weekday_weight(day: date) -> float:
    """Return how busy a day of the week is; 1 is about average."""
    return _WEEKDAYS[day.weekday()]


def _ages(shop: Shop) -> list[int]:
    old = [age for span in reversed(_ARCHIVED) for age in reversed(span)] if shop.archived else []
    return [*old, *reversed(range(shop.days))]


def _count(rng: Rng, shop: Shop, day: date, age: int) -> int:
    if shop.plan is not None:
        return int(shop.plan[age])
    old = age >= _ARCHIVED[0].start
    return int(rng.poisson(shop.archived if old else shop.per_day * weekday_weight(day)))


def _few_have_many(rng: Rng, size: int, count: int) -> Ints:
    return (size * rng.random(count) ** 1.7).astype(np.int64)


def _day(shop: Shop, seed: int, business_date: date, age: int) -> Trade:
    day = business_date - timedelta(days=age)
    rng = stream(seed, shop.number, day.toordinal())
    count = _count(rng, shop, day, age)
    arrived = epoch_day(day) * DAY + np.sort(_second(rng, count))
    closing = epoch_day(business_date) * DAY + CLOSING
    collected, status = _fate(rng, arrived, closing, shop.pace, age)
    carrier = _carriers(rng, count)
    return Trade(
        arrived=arrived,
        collected=collected,
        status=status,
        expired=np.full(count, age >= _ARCHIVED[0].start),
        person=shop.customers[_few_have_many(rng, len(shop.customers), count)],
        relative=rng.random(count) < 0.03,
        carrier=carrier,
        serial=_serial(rng, shop.number, day.toordinal(), count),
        tail=rng.integers(10_000, size=count),
        rack=rng.integers(1, 9, size=count),
        layer=rng.integers(1, 6, size=count),
        slot=np.arange(count) % 1000 + day.day * 1000 % 9000,
        grams=np.round(rng.lognormal(6.6, 0.9, count)).astype(np.int64) + 20,
        remark=np.where(rng.random(count) < 0.12, rng.integers(len(REMARKS), size=count), -1),
        goods=rng.integers(len(GOODS), size=count),
        operator=rng.integers(len(OPERATORS), size=count),
        style=rng.random(count),
    )


def _second(rng: Rng, count: int) -> Ints:
    hour = rng.choice(24, count, p=_HOURS / _HOURS.sum())
    return hour * 3600 + rng.integers(3600, size=count)


def _fate(rng: Rng, arrived: Ints, closing: int, pace: Pace, age: int) -> tuple[Ints, Ints]:
    """Return when each parcel was collected and its status at ``closing``."""
    count = len(arrived)
    quick = np.minimum(rng.lognormal(-0.1, 0.75, count), 4.0)
    slow = rng.uniform(4, pace.slow_days, count)
    delay = np.where(rng.random(count) < pace.slow, slow, quick)
    collected = _in_opening_hours(
        arrived + 1200 + (np.minimum(delay, _longest(age)) * DAY).astype(int)
    )
    fate = rng.random(count)
    waiting = collected > closing
    status = np.where(waiting, IN_CUSTODY, COLLECTED)
    status = np.where((fate < pace.returned) & (age > 7), RETURNED, status)
    status = np.where((fate > 1 - pace.lost) & (age > 3), EXCEPTION, status)
    for span, settled in zip(_ARCHIVED, (COLLECTED, RETURNED), strict=True):
        if age in span:
            # What is left of long ago must be past its retention, whichever rule counts it.
            status[:] = settled
    return np.where(status == COLLECTED, collected, NEVER), status


def _longest(age: int) -> float:
    return 4.0 if age >= _ARCHIVED[0].start else 1e3


def _in_opening_hours(moment: Ints) -> Ints:
    second = moment % DAY
    shift = np.where(second < 8 * 3600, 8 * 3600 - second + second % 7200, 0)
    late = second > 21 * 3600
    return np.asarray(moment + np.where(late, DAY - second + 8 * 3600 + second % 7200, shift))


def _carriers(rng: Rng, count: int) -> Ints:
    weights = np.array([carrier[0] for carrier in CARRIERS], dtype=float)
    return rng.choice(len(CARRIERS), count, p=weights / weights.sum())


def _serial(rng: Rng, station: int, ordinal: int, count: int) -> Ints:
    """Return nine-digit numbers that no other station and no other of a thousand days has.

    One digit is the station's, three the day's; up to a hundred thousand parcels a day fit in.
    """
    step = 100_000 // max(count, 1)
    within = np.arange(count) * step + (rng.random(count) * step).astype(np.int64)
    return (station * 1000 + ordinal % 1000) * 100_000 + within


def waybills(trade: Trade) -> pa.Array:
    """Return the waybill numbers in the carriers' patterns, all different."""
    prefix = pick([c[1] for c in CARRIERS], trade.carrier)
    suffix = pick([c[3] for c in CARRIERS], trade.carrier)
    width = np.array([c[2] for c in CARRIERS])[trade.carrier]
    longer = 10 ** (width - 9)
    number = pa.array(trade.serial * longer + trade.tail % longer).cast(pa.string())
    return glue(prefix, pc.utf8_lpad(number, 9, "0"), suffix)
