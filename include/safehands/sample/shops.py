"""The three stations of the sample, each with the export style of another kind of program.

SZ001: a GB18030 CSV with a title row, as in the ledger export of STATIONS.md's first source.
SZ002: an XLSX with several sheets. HZ001: Parquet with English names and a CSV of preferences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safehands.sample.cells import Cells, cells_of, is_mobile, moment, plain_time, short_time
from safehands.sample.facts import FileFacts
from safehands.sample.faults import FAULTS, choose_rows, mistimed, spoilt
from safehands.sample.formats import Sheet, csv_bytes, parquet_bytes, xlsx_bytes
from safehands.sample.people import Ints, People, id_number, stream
from safehands.sample.trade import (
    CLOSING,
    DAY,
    IN_CUSTODY,
    NEVER,
    RETURNED,
    Shop,
    Trade,
    epoch_day,
    trade_of,
)

__all__ = ["Made", "make_hz001", "make_sz001", "make_sz002"]

_STATUS_ZH = ("", "待取件", "已取件", "退回", "异常")
_STATUS_EN = ("", "STORED", "PICKED_UP", "RETURNED", "EXCEPTION")


@dataclass(frozen=True)
class Made:
    """One station's files and what is in them.

    ``people`` and ``preferences``: positions of people that remain after the chain; ``parcels``
    and ``in_custody``: how many remain.
    """

    files: Mapping[str, bytes]
    facts: tuple[FileFacts, ...]
    parcels: int
    in_custody: int
    people: frozenset[int]
    preferences: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Export:
    """Parcels as exported: bad rows spoilt, repeated rows repeated."""

    trade: Trade
    fault: Ints
    duplicates: int
    governed: npt.NDArray[np.bool_]
    cells: Cells = field(repr=False)

    def __len__(self) -> int:
        return len(self.trade)

    def facts(self, path: str, station: str) -> FileFacts:
        numbers, counts = np.unique(self.fault[self.fault > 0], return_counts=True)
        expected = {FAULTS[n]: int(c) for n, c in zip(numbers, counts, strict=True)}
        expired = int(self.trade.expired.sum())
        rows = {"parcels": len(self)}
        return FileFacts(path, station, rows, expected, self.duplicates, expired)

    def people(self) -> frozenset[int]:
        linked = self.governed & is_mobile(self.trade)
        return frozenset(np.unique(self.trade.person[linked]).tolist())

    def in_custody(self) -> int:
        waiting = (self.trade.status == IN_CUSTODY) & (self.trade.collected == NEVER)
        return int((self.governed & waiting).sum())


def _export(
    shop: Shop,
    people: People,
    seed: int,
    day: date,
    faults: Mapping[str, int],
    duplicates: int,
    times: Any,
) -> _Export:
    trade = trade_of(shop, seed, day)
    today = epoch_day(day) * DAY
    rng = stream(seed, shop.number, day.toordinal(), 1)
    fault, often = choose_rows(rng, trade, faults, duplicates, today)
    shifted = mistimed(trade, fault, today)
    first = np.repeat(np.arange(len(trade)), often)
    copy = np.concatenate([[False], first[1:] == first[:-1]])
    rows, fault = shifted.rows(first), fault[first]
    cells = cells_of(rows, people)
    cells["arrived_at"], cells["collected_at"] = times(rows)
    governed = (fault == 0) & ~rows.expired & ~copy
    return _Export(rows, fault, int(copy.sum()), governed, spoilt(cells, fault))


def _text_times(trade: Trade) -> tuple[list[Any], list[Any]]:
    short = trade.tail % 20 == 0
    return _texts(trade.arrived, short), _texts(trade.collected, short)


def _texts(seconds: Ints, short: npt.NDArray[np.bool_]) -> list[Any]:
    pairs = zip(seconds, short, strict=True)
    return [short_time(t) if is_short else plain_time(t) for t, is_short in pairs]


def _mixed_times(trade: Trade) -> tuple[list[Any], list[Any]]:
    """Return times as a workbook has them that was edited by hand: two thirds real, one text."""
    real = trade.tail % 3 > 0
    return _real_or_text(trade.arrived, real), _real_or_text(trade.collected, real)


def _real_or_text(seconds: Ints, real: npt.NDArray[np.bool_]) -> list[Any]:
    pairs = zip(seconds, real, strict=True)
    return [moment(t) if is_real else plain_time(t) for t, is_real in pairs]


def _typed_times(trade: Trade) -> tuple[list[Any], list[Any]]:
    return [moment(t) for t in trade.arrived], [moment(t) for t in trade.collected]


# --- SZ001 ---------------------------------------------------------------------------------------

_SZ001_HEADER = (
    *("序号", "运单号（必填）", "快递公司", "快件类型", "'收件人", "收件人手机号 ", "取件码"),
    *("所在驿站", "库位", "状态", "重量(kg)", "运费(元)", "入库时间 ", "取件时间", "已保管(天)"),
    *("逾期费(元)", "入库操作员", "备注", "收件地址"),
)
_SZ001_FAULTS = {
    "row_width": 12,
    "time_unreadable": 9,
    "phone_lost_digits": 15,
    "phone_unreadable": 4,
    "waybill_lost_digits": 6,
    "parcels.waybill_missing": 7,
    "parcels.arrived_missing": 5,
    "parcels.arrived_in_future": 8,
    "parcels.collected_before_arrived": 10,
    "parcels.name_holds_phone": 6,
}
_REMARK = _SZ001_HEADER.index("备注")


def make_sz001(shop: Shop, people: People, seed: int, day: date) -> Made:
    """Make the GB18030 CSV: title row, quirky headers, CRLF, rows of a wrong width."""
    made = _export(shop, people, seed, day, _SZ001_FAULTS, 45, _text_times)
    moment_of_export = f"{day} {CLOSING // 3600}:{CLOSING % 3600 // 60:02}:08"
    title = f"快件收发台账（导出时间：{moment_of_export}，共 {len(made)} 条）"
    rows = [[title], _SZ001_HEADER, *_sz001_rows(made, day)]
    path = f"SZ001/快件收发台账_{day}.csv"
    return Made(
        files={path: csv_bytes(rows, "gb18030")},
        facts=(made.facts(path, "SZ001"),),
        parcels=int(made.governed.sum()),
        in_custody=made.in_custody(),
        people=made.people(),
    )


def _sz001_rows(made: _Export, day: date) -> Iterator[list[Any]]:
    cells, trade = made.cells, made.trade
    kept = _days_kept(trade, day).tolist()
    wide = made.fault == FAULTS.index("row_width")
    for i in range(len(made)):
        row = [
            *(i + 1, cells["waybill_no"][i], cells["carrier"][i], _size(trade.grams[i])),
            *(cells["receiver_name"][i], cells["receiver_phone"][i], cells["pickup_code"][i]),
            *("海棠路便民驿站", cells["shelf"][i], _STATUS_ZH[trade.status[i]]),
            *(cells["weight"][i], "", cells["arrived_at"][i], cells["collected_at"][i]),
            *(kept[i], max(0, kept[i] - 7) * 0.5, cells["operator"][i], cells["remark"][i]),
            cells["receiver_address"][i],
        ]
        yield _of_wrong_width(row, i) if wide[i] else row


def _of_wrong_width(row: list[Any], position: int) -> list[Any]:
    # A comma typed into a remark that the program doesn't quote, or a line that was cut by hand.
    if position % 3:
        return [*row[:_REMARK], "放门口", "谢谢", *row[_REMARK + 1 :]]
    return row[: _REMARK - 2]


def _size(grams: int) -> str:
    return "小件" if grams < 1000 else "中件" if grams < 5000 else "大件"


def _days_kept(trade: Trade, day: date) -> Ints:
    until = np.where(trade.collected == NEVER, epoch_day(day) * DAY + CLOSING, trade.collected)
    days = np.maximum(until - trade.arrived, 0) // DAY
    return np.where(trade.status == RETURNED, np.minimum(days, 15), days)


# --- SZ002 ---------------------------------------------------------------------------------------

_SZ002_HEADER = (
    *("序号", "运单号", "物流公司", "收件人姓名", "收件人电话", "收件地址", "取件码", "货架号"),
    *("包裹状态", "重量(kg)", "托寄内容", "入库时间", "出库时间", "取货人", "取货人手机号"),
    *("操作员", "备注"),
)
_SZ002_FAULTS = {
    "time_unreadable": 7,
    "phone_lost_digits": 11,
    "phone_unreadable": 3,
    "waybill_lost_digits": 5,
    "parcels.waybill_missing": 6,
    "parcels.arrived_missing": 4,
    "parcels.arrived_in_future": 6,
    "parcels.collected_before_arrived": 8,
    "parcels.name_holds_phone": 5,
}
_MEMBERS_HEADER = ("会员姓名", "手机号", "常用地址", "身份证号", "出生日期", "微信昵称", "更新时间")
_CHOICES_HEADER = (
    *("手机号", "姓名", "通知方式", "派送方式", "取件时段", "同意营销", "会员等级", "积分"),
    "更新时间",
)


def make_sz002(shop: Shop, people: People, seed: int, day: date) -> Made:
    """Make the XLSX: ledger with a totals row, members, preferences, a hidden sheet."""
    made = _export(shop, people, seed, day, _SZ002_FAULTS, 38, _mixed_times)
    members = _Roll(shop.customers[::3], people, stream(seed, shop.number, 2), day)
    choices = _Roll(shop.customers[1::4], people, stream(seed, shop.number, 3), day)
    sheets = [
        Sheet("快件台账", [_SZ002_HEADER, *_sz002_rows(made), _totals(made)]),
        Sheet("会员", [_MEMBERS_HEADER, *_member_rows(members)]),
        Sheet("偏好设置", [_CHOICES_HEADER, *_choice_rows(choices)]),
        Sheet("旧数据", [("姓名", "电话"), *_old_rows(members)], hidden=True),
    ]
    path = f"SZ002/快件台账_{day}.xlsx"
    return Made(
        files={path: xlsx_bytes(sheets)},
        facts=(
            _with_rolls(made.facts(path, "SZ002"), {"customers": members, "preferences": choices}),
        ),
        parcels=int(made.governed.sum()),
        in_custody=made.in_custody(),
        people=made.people() | members.good() | choices.good(),
        preferences=choices.good(),
    )


def _sz002_rows(made: _Export) -> Iterator[list[Any]]:
    cells, trade = made.cells, made.trade
    for i in range(len(made)):
        yield [
            *(i + 1, cells["waybill_no"][i], cells["carrier"][i], cells["receiver_name"][i]),
            _perhaps_number(cells["receiver_phone"][i], trade.tail[i] % 5 < 2),
            *(cells["receiver_address"][i], cells["pickup_code"][i], cells["shelf"][i]),
            *(_STATUS_ZH[trade.status[i]], cells["weight"][i], cells["goods"][i]),
            *(cells["arrived_at"][i], cells["collected_at"][i], cells["taker_name"][i]),
            *(cells["taker_phone"][i], cells["operator"][i], cells["remark"][i]),
        ]


def _perhaps_number(text: str, wanted: bool) -> str | int:
    return int(text) if wanted and len(text) == 11 and text.isdigit() else text


def _totals(made: _Export) -> list[Any]:
    row: list[Any] = [None] * len(_SZ002_HEADER)
    row[0], row[9] = "合计", round(sum(made.cells["weight"]), 3)
    return row


@dataclass(frozen=True)
class _Roll:
    """A list of people that a station keeps besides parcels; its last rows are bad."""

    positions: Ints
    people: People
    rng: np.random.Generator
    day: date
    missing: int = 3
    masked: int = 5

    def __len__(self) -> int:
        return len(self.positions)

    def good(self) -> frozenset[int]:
        """Return the positions whose rows show a whole mobile number."""
        return frozenset(self.positions[: -(self.missing + self.masked)].tolist())

    def phones(self) -> list[str]:
        found = self.people.phone.take(pa.array(self.positions)).to_pylist()
        edge, end = len(found) - self.missing - self.masked, len(found) - self.missing
        masked = [f"{p[:3]}****{p[7:]}" for p in found[edge:end]]
        return [*found[:edge], *masked, *[""] * self.missing]

    def names(self) -> list[str]:
        found: list[str] = self.people.name.take(pa.array(self.positions)).to_pylist()
        return found

    def updated(self, within: int) -> list[datetime]:
        """Return when each row was last changed: stays put from night to night."""
        today = self.day.toordinal()
        ages = (today - self.rng.integers(within, size=len(self))) % within + 1
        start = datetime(self.day.year, self.day.month, self.day.day, 9, 30)  # noqa: DTZ001 - wall time
        return [start - timedelta(days=int(age)) for age in ages]

    def any_of(self, words: Sequence[str]) -> list[str]:
        return [words[i] for i in self.rng.integers(len(words), size=len(self))]

    def expected(self, dataset: str) -> dict[str, int]:
        missing, masked = f"{dataset}.phone_missing", f"{dataset}.phone_not_mobile"
        return {missing: self.missing, masked: self.masked}


def _with_rolls(facts: FileFacts, rolls: Mapping[str, _Roll]) -> FileFacts:
    rows, expected = dict(facts.rows), dict(facts.expected)
    for dataset, roll in rolls.items():
        rows[dataset] = len(roll)
        expected |= roll.expected(dataset)
    return FileFacts(facts.path, facts.station, rows, expected, facts.duplicates, facts.expired)


def _member_rows(roll: _Roll) -> Iterator[Sequence[Any]]:
    at = pa.array(roll.positions)
    areas = roll.people.area[roll.positions]
    born, serial = (
        roll.rng.integers(20_000, size=len(roll)),
        roll.rng.integers(1000, size=len(roll)),
    )
    numbers = [
        id_number(int(a), int(b), int(s)) for a, b, s in zip(areas, born, serial, strict=True)
    ]
    births = [f"{n[6:10]}-{n[10:12]}-{n[12:14]}" for n in numbers]
    nick = roll.any_of(("平安是福", "小鱼儿", "A建材批发", "静待花开", "阿杰", "🌸"))
    addresses = roll.people.address.take(at).to_pylist()
    columns = (roll.names(), roll.phones(), addresses, numbers, births, nick, roll.updated(100))
    return zip(*columns, strict=True)


def _choice_rows(roll: _Roll) -> Iterator[Sequence[Any]]:
    phones = [_perhaps_number(p, i % 2 == 0) for i, p in enumerate(roll.phones())]
    columns = (
        phones,
        roll.names(),
        roll.any_of(("短信", "微信", "微信", "电话", "不通知")),
        roll.any_of(("到站自取", "到站自取", "送货上门", "快递柜")),
        roll.any_of(("上午", "下午", "晚上", "周末", "")),
        roll.any_of(("是", "否", "否", "")),
        roll.any_of(("普通", "银卡", "金卡")),
        [int(n) for n in roll.rng.integers(3000, size=len(roll))],
        roll.updated(300),
    )
    return zip(*columns, strict=True)


def _old_rows(roll: _Roll) -> list[tuple[str, str]]:
    return list(zip(roll.names(), roll.phones(), strict=True))[:40]


# --- HZ001 ---------------------------------------------------------------------------------------

_HZ001_FAULTS = {
    "phone_lost_digits": 6,
    "phone_unreadable": 2,
    "waybill_lost_digits": 3,
    "parcels.waybill_missing": 5,
    "parcels.arrived_missing": 4,
    "parcels.arrived_in_future": 5,
    "parcels.collected_before_arrived": 7,
    "parcels.name_holds_phone": 4,
}
_PREFS_HEADER = (
    *("phone", "notify_channel", "delivery_choice", "time_window", "marketing_consent", "level"),
    *("points", "authorized_phone", "updated_at"),
)
_PREFS_NARROW = 3


def make_hz001(shop: Shop, people: People, seed: int, day: date) -> Made:
    """Make the Parquet file of parcels and the UTF-8 CSV of preferences."""
    made = _export(shop, people, seed, day, _HZ001_FAULTS, 26, _typed_times)
    choices = _Roll(shop.customers[1::2], people, stream(seed, shop.number, 3), day, 1, 3)
    parcels, prefs = f"HZ001/parcels_{day}.parquet", f"HZ001/member_prefs_{day}.csv"
    rows = [_PREFS_HEADER, *_narrowed(list(_pref_rows(choices)))]
    wide = {"row_width": _PREFS_NARROW, **choices.expected("preferences")}
    good = choices.good() - frozenset(choices.positions[:_PREFS_NARROW].tolist())
    return Made(
        files={
            parcels: parquet_bytes(_hz001_table(made)),
            prefs: csv_bytes(rows, "utf-8-sig", "\n"),
        },
        facts=(
            made.facts(parcels, "HZ001"),
            FileFacts(prefs, "HZ001", {"preferences": len(choices)}, wide),
        ),
        parcels=int(made.governed.sum()),
        in_custody=made.in_custody(),
        people=made.people() | good,
        preferences=good,
    )


def _narrowed(rows: list[Sequence[Any]]) -> list[Sequence[Any]]:
    return [row[:5] if i < _PREFS_NARROW else row for i, row in enumerate(rows)]


def _hz001_table(made: _Export) -> pa.Table:
    cells, trade = made.cells, made.trade
    return pa.table(
        {
            "id": pa.array(range(500_001, 500_001 + len(made)), pa.int64()),
            "waybill_no": cells["waybill_no"],
            "carrier": cells["carrier_code"],
            "receiver_name": cells["receiver_name"],
            "receiver_phone": cells["receiver_phone"],
            "receiver_address": cells["receiver_address"],
            "wangwang_id": [f"tb{n:07}" for n in trade.person * 7919 % 9_999_991],
            "pickup_code": cells["pickup_code"],
            "slot_id": cells["shelf"],
            "size": [_size(g) for g in trade.grams],
            "weight_kg": pa.array(cells["weight"], pa.float64()),
            "status": [_STATUS_EN[s] for s in trade.status],
            "stored_at": _instants(cells["arrived_at"]),
            "picked_up_at": _instants(cells["collected_at"]),
            "taker_name": cells["taker_name"],
            "taker_phone": cells["taker_phone"],
            "remark": cells["remark"],
        }
    )


def _instants(moments: list[datetime | None]) -> pa.Array:
    shifted = [m - timedelta(hours=8) if m else None for m in moments]
    return pa.array(shifted, pa.timestamp("ms")).cast(pa.timestamp("ms", "UTC"))


def _pref_rows(roll: _Roll) -> Iterator[Sequence[Any]]:
    phones = roll.phones()
    relatives = [p[:3] + p[:2:-1] if p and i % 5 == 0 else "" for i, p in enumerate(phones)]
    columns = (
        phones,
        roll.any_of(("SMS", "WECHAT", "WECHAT", "CALL", "IN_APP")),
        roll.any_of(("STATION", "STATION", "DOOR", "LOCKER")),
        roll.any_of(("MORNING", "AFTERNOON", "EVENING", "WEEKEND", "")),
        roll.any_of(("true", "false", "false", "")),
        roll.any_of(("1", "2", "3")),
        roll.any_of(("0", "20", "150", "980")),
        relatives,
        [f"{t.isoformat()}+08:00" for t in roll.updated(300)],
    )
    return zip(*columns, strict=True)
