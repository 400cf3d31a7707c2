"""A million parcels for measuring: four plain UTF-8 CSV exports of two owners.

Everything is made by columns and written in blocks of days, so that memory stays flat. No cell
needs quotes, all waybill numbers differ and no row has a wrong width, so that the same rows can
also be loaded by a bare ``COPY`` into a table with its primary key. All people are invented.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyarrow import csv as arrow_csv

from safehands.sample.facts import BenchFacts
from safehands.sample.faults import FAULTS, mistimed
from safehands.sample.people import Ints, People, Rng, digits, glue, make_people, pick, stream
from safehands.sample.trade import (
    DAY,
    IN_CUSTODY,
    NEVER,
    Pace,
    Shop,
    Trade,
    days_of,
    epoch_day,
    waybills,
    weekday_weight,
)
from safehands.sample.words import CARRIERS, HANGZHOU, REMARKS, SHENZHEN

__all__ = ["HEADER", "write_bench", "write_bench_csv"]

HEADER = (
    *("运单号", "快递公司", "收件人", "收件人手机号", "收件地址", "取件码", "库位", "状态"),
    *("重量(kg)", "入库时间", "取件时间", "备注"),
)
_DAYS = 90
_BLOCK_DAYS = 10
_PACE = Pace(slow=0.04, slow_days=60)
_BAD_SHARE = 0.002
_BAD = (
    "phone_lost_digits",
    "time_unreadable",
    "parcels.arrived_in_future",
    "parcels.collected_before_arrived",
)
_MASKED, _PREFIXED = 0.99, 0.97
_STATUS = ("", "待取件", "已取件", "退回", "异常")
_OWNERS = {"bench1": ("B001", "B002"), "bench2": ("B003", "B004")}


def write_bench(
    landing: Path,
    business_date: date,
    parcels: int = 1_000_000,
    people: int = 100_000,
    seed: int = 1,
) -> BenchFacts:
    """Write four exports of together exactly ``parcels`` rows, and ``stations.yaml``.

    They span the last 90 days; about 3 % are in custody and 0.2 % bad. Each of the ``people`` has
    a parcel; the facts count those with a good row and a whole mobile number. The same arguments
    give the same bytes. Files of the same names are replaced.
    """
    homes = [(people // 2, SHENZHEN), (people - people // 2, HANGZHOU)]
    bench = _Bench(make_people(stream(seed, 0), homes), business_date, seed)
    files = []
    for number in range(4):
        count = parcels // 4 + (number < parcels % 4)
        path = landing / f"B{number + 1:03}" / f"快件台账_{business_date}.csv"
        bench.write(path, number, count)
        files.append(path.relative_to(landing).as_posix())
    (landing / "stations.yaml").write_text(_stations(), encoding="utf-8")
    seen = int(bench.seen.sum())
    return BenchFacts(tuple(files), HEADER, parcels, seen, bench.in_custody, dict(bench.expected))


def write_bench_csv(path: Path, landing: Path, facts: BenchFacts) -> int:
    """Join the exports of a benchmark into one CSV with one header; return its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        target.write(_line(HEADER))
        for name in facts.files:
            with (landing / name).open("rb") as source:
                source.readline()
                shutil.copyfileobj(source, target, 1 << 20)
        return target.tell()


def _line(cells: tuple[str, ...]) -> bytes:
    return (",".join(cells) + "\n").encode("utf-8")


def _stations() -> str:
    roles = {name: {"role": "handler"} for name in ("parcels", "customers", "preferences")}
    owners = [
        {
            "code": code,
            "name": code,
            "kind": "company",
            "record_sets": {name: dict(role) for name, role in roles.items()},
            "stations": [{"code": s, "name": s, "folder": s} for s in stations],
        }
        for code, stations in _OWNERS.items()
    ]
    return yaml.safe_dump({"controllers": owners}, allow_unicode=True, sort_keys=False)


@dataclass
class _Bench:
    """Writes the exports and keeps count."""

    people: People
    day: date
    seed: int

    def __post_init__(self) -> None:
        self.in_custody = 0
        self.expected: Counter[str] = Counter()
        self.seen = np.zeros(len(self.people), dtype=bool)

    def write(self, path: Path, number: int, count: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        persons = self._persons(number, count)
        plan = _plan(stream(self.seed, 2, number), self.day, count)
        shop = Shop(number + 1, persons[:1], 0.0, _DAYS, pace=_PACE, plan=plan)
        with path.open("wb") as handle:
            handle.write(_line(HEADER))
            options = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
            done = 0
            for trade in _blocks(shop, self.seed, self.day):
                mine = replace(trade, person=persons[done : done + len(trade)])
                arrow_csv.write_csv(self._table(mine, number, done), handle, options)
                done += len(trade)

    def _persons(self, number: int, count: int) -> Ints:
        """Return whose each parcel is: everybody of the station's half once, then by habit.

        The two stations of an owner share a fifth of the owner's people.
        """
        rng = stream(self.seed, 3, number)
        half = len(self.people) // 4
        start = number * half
        own = np.arange(start, start + half if number < 3 else len(self.people))
        low = start - half // 5 * (number % 2)
        many = (len(own) * 1.2 * rng.random(max(count - len(own), 0)) ** 1.7).astype(np.int64)
        return rng.permutation(
            np.concatenate([own, low + rng.permutation(len(own) * 6 // 5)[many]])
        )[:count]

    def _table(self, trade: Trade, number: int, done: int) -> pa.Table:
        today = epoch_day(self.day) * DAY
        fault = _faults(stream(self.seed, 4, number, done), trade, today)
        masked = trade.style > _MASKED
        self._count(trade, fault, masked)
        trade = mistimed(trade, fault, today)
        name = self.people.name.take(pa.array(trade.person))
        phone = self.people.phone.take(pa.array(trade.person))
        address = self.people.address.take(pa.array(trade.person))
        columns = [
            waybills(trade),
            pick([c[4] for c in CARRIERS], trade.carrier),
            name,
            _where(fault, "phone_lost_digits", "1.38E+10", _phones(phone, trade, masked)),
            address,
            glue(_text(trade.rack), "-", _text(trade.layer), "-", digits(trade.slot, 4)),
            glue("A-0", _text(trade.rack), "-0", _text(trade.layer)),
            pick(_STATUS, trade.status),
            pa.array(trade.grams / 1000),
            _where(fault, "time_unreadable", "昨天下午", _times(trade.arrived)),
            _times(trade.collected),
            _remarks(trade, name, phone),
        ]
        return pa.table(columns, names=list(HEADER))

    def _count(self, trade: Trade, fault: Ints, masked: npt.NDArray[np.bool_]) -> None:
        good = fault == 0
        waiting = (trade.status == IN_CUSTODY) & (trade.collected == NEVER)
        self.in_custody += int((good & waiting).sum())
        self.seen[trade.person[good & ~masked]] = True
        for rule in _BAD:
            self.expected[rule] += int((fault == FAULTS.index(rule)).sum())


def _plan(rng: Rng, day: date, count: int) -> Ints:
    weights = np.array([weekday_weight(day - timedelta(days=age)) for age in range(_DAYS)])
    return rng.multinomial(count, weights / weights.sum())


def _blocks(shop: Shop, seed: int, day: date) -> Iterator[Trade]:
    days = days_of(shop, seed, day)
    while block := list(islice(days, _BLOCK_DAYS)):
        yield block[0].joined(block[1:])


def _faults(rng: Rng, trade: Trade, today: int) -> Ints:
    numbers = np.array([FAULTS.index(rule) for rule in _BAD])
    bad = (rng.random(len(trade)) < _BAD_SHARE) & (trade.arrived < today)
    return np.where(bad, numbers[rng.integers(len(numbers), size=len(trade))], 0)


def _where(fault: Ints, rule: str, cell: str, column: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(fault == FAULTS.index(rule)), cell, column)


def _phones(phone: pa.Array, trade: Trade, masked: npt.NDArray[np.bool_]) -> pa.Array:
    front, end = pc.utf8_slice_codeunits(phone, 0, 3), pc.utf8_slice_codeunits(phone, 7, 11)
    prefixed = pa.array((trade.style > _PREFIXED) & ~masked)
    shown = pc.if_else(prefixed, glue("+86", phone), phone)
    return pc.if_else(pa.array(masked), glue(front, "****", end), shown)


def _times(seconds: Ints) -> pa.Array:
    moments = pa.array(seconds, mask=seconds == NEVER).cast(pa.timestamp("s"))
    return moments.cast(pa.string())


def _text(numbers: Ints) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _remarks(trade: Trade, name: pa.Array, phone: pa.Array) -> pa.Array:
    rows = np.flatnonzero((trade.remark >= 0) & (trade.tail % 4 == 0))
    cells: list[Any] = [
        name.take(pa.array(rows)).to_pylist(),
        phone.take(pa.array(rows)).to_pylist(),
    ]
    texts = [
        REMARKS[i].format(n=n, p=p) for i, n, p in zip(trade.remark[rows], *cells, strict=True)
    ]
    index = np.zeros(len(trade), dtype=np.int64)
    index[rows] = np.arange(1, len(rows) + 1)
    return pick(["", *texts], index)
