"""Cells to canonical values, and which ones put a row into quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_door import HEADER, ROW, Door, csv_text, rows, xlsx

from safehands.ingest.moments import moments
from safehands.ingest.phones import read_phone


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("13800138000", "13800138000", 1),
        ("+86 138 0013 8000", "13800138000", 1),
        ("+86-13800138000", "13800138000", 1),
        ("008613800138000", "13800138000", 1),
        ("8613800138000", "13800138000", 1),
        ("138-0013-8000", "13800138000", 1),
        ("１３８００１３８０００", "13800138000", 1),
        ("'13800138000", "13800138000", 1),
        ('="13800138000"', "13800138000", 1),
        ("13800138000.0", "13800138000", 1),
        ("13800138000\t", "13800138000", 1),
        ("手机：13800138000", "13800138000", 1),
        ("13800138000/13900139000", "13800138000", 1),
        ("13800138000,13900139000", "13800138000", 1),
        ("13800138000、0571-88123456", "13800138000", 1),
        ("13800138000转1234", "13800138000-1234", 4),
        ("13800138000,1234", "13800138000-1234", 4),
        ("13800138000-1234", "13800138000-1234", 4),
        ("13800138000 ext 56", "13800138000-56", 4),
        ("95013123456转789", "95013123456-789", 4),
        ("138****8000", "138****8000", 2),
        ("138＊＊＊＊8000", "138****8000", 2),
        ("+86138****8000", "138****8000", 2),
        ("138xxxx8000", "138****8000", 2),
        ("0571-88123456", "0571-88123456", 3),
        ("(010)88123456", "010-88123456", 3),
        ("057188123456", "0571-88123456", 3),
        ("88123456", "88123456", 3),
        ("8000", "8000", 5),
        ("尾号8000", "8000", 5),
        ("+852 9123 4567", "+85291234567", 6),
        ("95588", "95588", 6),
        ("", None, 0),
        ("无", None, 0),
        ("NULL", None, 0),
    ],
)
def test_phones(text: str, value: str | None, kind: int) -> None:
    phone = read_phone(text)
    assert (phone.value, phone.kind, phone.fault) == (value, kind, "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1.38E+10", "phone_lost_digits"),
        ("1.38001E+10", "phone_lost_digits"),
        ("1380013800", "phone_unreadable"),
        ("138001380001", "phone_unreadable"),
        ("王小明", "phone_unreadable"),
        ("王小明 13800138000", "phone_unreadable"),
        ("13800138000 王小明", "phone_unreadable"),
        ("12", "phone_unreadable"),
    ],
)
def test_phones_that_are_not_guessed(text: str, fault: str) -> None:
    phone = read_phone(text)
    assert (phone.value, phone.kind, phone.fault) == (None, 0, fault)


@given(st.integers(3, 9), st.integers(0, 10**9 - 1), st.sampled_from(["", "+86", "86 ", "0086-"]))
def test_every_mobile_is_read_back(second: int, rest: int, prefix: str) -> None:
    number = f"1{second}{rest:09}"
    assert read_phone(prefix + number).value == number


def test_column_of_phones_agrees_with_single_cells(door: Door) -> None:
    """The fast way over a column and the way of one odd cell give the same."""
    texts = [
        "13800138000",
        "+86 13900139000",
        "0571-88123456",
        "138****8000",
        "",
        "１３８００１３８００１",
    ]
    body = [[f"SF100000000{i}", "王芳", text, *ROW[3:]] for i, text in enumerate(texts)]
    found = door.one("a.csv", csv_text([HEADER, *body]))
    expected = [(read_phone(t).value, read_phone(t).kind) for t in texts]
    assert [(r["receiver_phone"], r["phone_kind"]) for r in found] == expected


MOMENT = datetime(2026, 11, 23, 0, 1, 2, tzinfo=UTC)
MINUTE = MOMENT.replace(second=0)
DAY = datetime(2026, 11, 22, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23 08:01:02", MOMENT),
        ("2026-11-23T08:01:02", MOMENT),
        ("2026-11-23T00:01:02Z", MOMENT),
        ("2026-11-23T08:01:02+08:00", MOMENT),
        ("2026-11-22 19:01:02-0500", MOMENT),
        ("2026-11-23 08:01:02.250", MOMENT.replace(microsecond=250_000)),
        ("2026/11/23 8:01", MINUTE),
        ("2026.11.23 8:01:02", MOMENT),
        ("2026年11月23日 8时1分", MINUTE),
        ("2026年11月23日8时1分2秒", MOMENT),
        ("２０２６-11-23 08:01", MINUTE),
        ("2026-11-23", DAY),
        ("20261123", DAY),
        ("202611230801", MINUTE),
        ("20261123080102", MOMENT),
        ("46349", DAY),
        ("46349.334027777775", MINUTE),
        ("1795392062", MOMENT),
        ("1795392062000", MOMENT),
        ("", None),
        ("0000-00-00 00:00:00", None),
        ("NULL", None),
    ],
)
def test_times(door: Door, text: str, expected: datetime | None) -> None:
    body = [[*row[:3], text, *row[4:]] for row in rows(2)]
    found = door.one("a.csv", csv_text([HEADER, *body]))
    assert {row["arrived_at"] for row in found} == {expected}


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30 08:00:00",
        "2026-13-01",
        "11/23/2026",
        "8:01",
        "昨天",
        "2026-11-23 25:00",
        "12026-11-23",
        "0001-01-01 00:00:00",
        "99999.5",
    ],
)
def test_unreadable_times(door: Door, text: str) -> None:
    body = rows(6)
    body[3][3] = text
    door.put("a.csv", csv_text([HEADER, *body]))
    handoff = door.run()
    assert handoff.reasons == {"time_unreadable": 1}
    [aside] = door.read(handoff, "quarantine")
    assert (aside["_row"], aside["column"], aside["dataset"]) == (5, "arrived_at", "parcels")


@given(st.datetimes(datetime(1992, 1, 2), datetime(2099, 12, 30)))  # noqa: DTZ001
def test_look_alikes_agree_with_iso(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    shapes = ["%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y%m%d%H%M%S"]
    texts = [whole.strftime(shape) for shape in shapes]
    values, wrong = moments(pa.array(texts), False)
    assert not any(wrong.to_pylist())
    assert len(set(values.to_pylist())) == 1
    assert (
        values[0].as_py().astimezone(UTC).timestamp()
        == whole.replace(tzinfo=UTC).timestamp() - 8 * 3600
    )


def test_serial_numbers_of_1904(door: Door) -> None:
    body: list[list[Any]] = [[*row[:3], 46349 - 1462, *row[4:]] for row in rows(2)]
    for mac, expected in ((True, DAY), (False, datetime(2022, 11, 21, 16, tzinfo=UTC))):
        found = door.one("a.xlsx", xlsx(("A", [HEADER, *body]), mac=mac))
        assert {row["arrived_at"] for row in found} == {expected}


@pytest.mark.parametrize(
    ("text", "kilograms"),
    [
        ("1.5", 1.5),
        ("1.5kg", 1.5),
        ("1.5 KG", 1.5),
        ("1.5公斤", 1.5),
        ("1.5千克", 1.5),
        ("500g", 0.5),
        ("500克", 0.5),
        ("3斤", 1.5),
        ("１.５", 1.5),
        ("1,234.5", 1234.5),
        ("", None),
    ],
)
def test_weights(door: Door, text: str, kilograms: float | None) -> None:
    body = [[*row[:4], f'"{text}"', *row[5:]] for row in rows(2)]
    assert {r["weight"] for r in door.one("a.csv", csv_text([HEADER, *body]))} == {kilograms}


@pytest.mark.parametrize("text", ["约两公斤", "1,5", "1.5磅", "nan%"])
def test_unreadable_numbers(door: Door, text: str) -> None:
    body = rows(5)
    body[1][4] = f'"{text}"'
    door.put("a.csv", csv_text([HEADER, *body]))
    assert door.run().reasons == {"number_unreadable": 1}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("王小明", "王小明"),
        ("  王小明　", "王小明"),
        ("王 小 明", "王小明"),
        ("'王小明", "王小明"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽 · 买买提", "阿依古丽·买买提"),
        ("John   Smith", "John Smith"),
        ("Ｊｏｈｎ", "John"),
        ("NULL", None),
        ("=王小明", "=王小明"),
    ],
)
def test_names(door: Door, text: str, name: str | None) -> None:
    body = [[row[0], text, *row[2:]] for row in rows(2)]
    assert {r["receiver_name"] for r in door.one("a.csv", csv_text([HEADER, *body]))} == {name}


@pytest.mark.parametrize(
    ("text", "waybill"),
    [
        ("SF1000000001", "SF1000000001"),
        (" sf1000000001 ", "SF1000000001"),
        ("'773012345678901", "773012345678901"),
        ("73100000000000.0", "73100000000000"),
        ("ＳＦ1000000001", "SF1000000001"),
        ("JDX01-1-1-", "JDX01-1-1-"),
        ("", None),
    ],
)
def test_waybills(door: Door, text: str, waybill: str | None) -> None:
    body = [[text, *row[1:]] for row in rows(2)]
    assert {r["waybill_no"] for r in door.one("a.csv", csv_text([HEADER, *body]))} == {waybill}


def test_waybills_that_lost_digits(door: Door) -> None:
    body: list[list[Any]] = [*rows(5)]
    body[1][0] = "7.73012E+14"
    door.put("a.csv", csv_text([HEADER, *body]))
    body[1][0] = 7730123456789012345
    door.put("b.xlsx", xlsx(("A", [HEADER, *body])))
    handoff = door.run()
    assert handoff.reasons == {"waybill_lost_digits": 2}
    assert [r["_row"] for r in door.read(handoff, "quarantine")] == [3, 3]


def test_formula_like_text_stays(door: Door) -> None:
    body = [[*row[:6], "=1+cmd|' /C calc'!A0"] for row in rows(2)]
    assert door.one("a.csv", csv_text([HEADER, *body]))[0]["remark"] == "=1+cmd|' /C calc'!A0"


def test_codes_and_unknown_words(door: Door) -> None:
    header = ["运单号", "快递公司", "入库时间", "状态"]
    carriers = [("顺丰速运", 1), (" 圆通 ", 3), ("ｊ＆ｔ", 6), ("某某速递", 0), ("", 0)]
    body = [[f"SF100000000{i}", c, ROW[3], "已取"] for i, (c, _) in enumerate(carriers)]
    door.put("a.csv", csv_text([header, *body]))
    handoff = door.run()
    assert [r["carrier"] for r in door.read(handoff)] == [number for _, number in carriers]
    details = handoff.details["files"]["station/a.csv"]
    assert details["unknown_codes"] == {"carrier": 1}
    assert details["quarantined"] == 0


def test_codes_that_the_header_explains(door: Door) -> None:
    header = ["运单号", "入库时间", "状态(0待取 1已取 2退回)"]
    body = [[f"SF100000000{i}", ROW[3], str(i)] for i in range(3)]
    assert [r["status"] for r in door.one("a.csv", csv_text([header, *body]))] == [1, 2, 3]


def test_preferences(door: Door) -> None:
    header = ["手机号", "姓名", "通知方式", "派送方式", "取件时段", "同意营销", "积分", "更新时间"]
    body = [
        ["13800138000", "王芳", "微信", "送货上门", "晚上", "是", "12", ROW[3]],
        ["13800138001", "王芳", "短信", "自取", "", "否", "3", ROW[3]],
        ["13800138002", "王芳", "", "", "", "", "", ""],
    ]
    found = door.one("a.csv", csv_text([header, *body]), "preferences")
    names = ("notify_channel", "delivery_choice", "time_window", "marketing")
    assert [tuple(r[n] for n in names) for r in found] == [
        (2, 2, 3, 1),
        (1, 1, 0, 0),
        (0, 0, 0, None),
    ]
    assert not {"receiver_name", "points"} & found[0].keys()


def test_customers(door: Door) -> None:
    header = ["姓名", "手机号", "省", "市", "区县", "详细地址", "身份证号"]
    header[5] = "地址"
    body = [["王芳", "13800138000", "浙江省", "杭州市", "西湖区", "文三路１号", "x"]]
    [found] = door.one("a.csv", csv_text([header, *body]), "customers")
    assert found["receiver_address"] == "浙江省杭州市西湖区文三路1号"
    assert "id_number" not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026年11月23日 上午8:01", MINUTE),
        ("2026-11-23 08:01 AM", MINUTE),
        ("2026-11-23 8:01:02 a.m.", MOMENT),
        ("2026/11/23 星期一 8:01", MINUTE),
        ("2026年11月23日(周一) 8时1分", MINUTE),
        ("20261123 08:01:02", MOMENT),
        ("2026-11-23 08:01:02 GMT+8", MOMENT),
        ("2026-11-23 08:01:02 +0800 CST", MOMENT),
        ("2026-11-23 下午8:01", MINUTE.replace(hour=12)),
        ("2026-11-23 8:01 PM", MINUTE.replace(hour=12)),
        ("2026-11-23 下午20:01", MINUTE.replace(hour=12)),
        ("2026-11-23 中午12:01", MINUTE.replace(hour=4)),
        ("2026-11-23 12:01 AM", datetime(2026, 11, 22, 16, 1, tzinfo=UTC)),
    ],
)
def test_times_as_people_write_them(text: str, expected: datetime) -> None:
    values, wrong = moments(pa.array([text]), False)
    assert not wrong[0].as_py()
    assert values[0].as_py() == expected


@pytest.mark.parametrize(
    "text", ["2026-11-23 上午12:30", "2026-11-23 13:01 AM", "2026-11-23 晚上1:00"]
)
def test_hours_that_their_word_does_not_allow(text: str) -> None:
    _, wrong = moments(pa.array([text]), False)
    assert wrong[0].as_py()


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("(+86)13800138000", "13800138000", 1),
        ("013800138000", "13800138000", 1),
        ("13800138000[1234]", "13800138000-1234", 4),
        ("13800138000【1234】", "13800138000-1234", 4),
    ],
)
def test_more_ways_to_write_a_phone(text: str, value: str, kind: int) -> None:
    phone = read_phone(text)
    assert (phone.value, phone.kind, phone.fault) == (value, kind, "")
