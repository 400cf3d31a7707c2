"""Names, addresses, sums, weights, words and cells that hold three things at once."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from ingest_door import ROW, Door, csv_text, rows

from labelled_addresses import labelled_addresses
from measured import addresses_measured
from safehands.ingest.normalise import (
    Divisions,
    Recipient,
    canonical_name,
    kilograms,
    looks_like_name,
    split_recipient,
    yuan,
)
from safehands.ingest.normalise.addresses import load_streets
from safehands.ingest.normalise.words import look_up
from safehands.policy import Policy
from safehands.settings import Settings

POLICY_FOLDER = Settings.read({}).policy


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("王小明", "王小明"),
        (" 王 小 明 ", "王小明"),
        ("王小明先生", "王小明"),
        ("王小明（女士）", "王小明"),
        ("李芳老师", "李芳"),
        ("收件人：李芳", "李芳"),
        ("李芳（收）", "李芳"),
        ("王先生", "王先生"),
        ("欧阳女士", "欧阳女士"),
        ("王芳妈妈", "王芳妈妈"),
        ("李太太", "李太太"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("阿依古丽 · 买买提", "阿依古丽·买买提"),
        ("ＪＯＨＮ  Smith", "JOHN Smith"),
        ("O'Neil", "O'Neil"),
        ("王**", "王**"),
        ("𠮷田", "𠮷田"),
        ("NULL", None),
        ("  ", None),
    ],
)
def test_names(text: str, name: str | None) -> None:
    assert canonical_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["王小明", "欧阳娜娜", "司马懿", "王**", "**明", "扎西·顿珠", "John Smith", "王女士", "張家輝"],
)
def test_what_looks_like_a_name(text: str) -> None:
    assert looks_like_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "常温",
        "易碎",
        "高兴",
        "时间",
        "花生油",
        "阳光花园",
        "放门口",
        "小件",
        "顺丰",
        "13800138000",
        "",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not looks_like_name(text)


def test_names_of_a_file_are_canonical(door: Door) -> None:
    names = ["王小明先生", "王 小 明", "王小明", "王小明(收)", "王先生"]
    body = [[f"SF100000000{i}", name, *ROW[2:]] for i, name in enumerate(names)]
    header = ["运单号", "收件人", "收件人手机号", "入库时间", "重量(kg)", "状态", "备注"]
    found = door.one("a.csv", csv_text([header, *body]))
    assert [r["receiver_name"] for r in found] == ["王小明"] * 4 + ["王先生"]


@pytest.fixture(scope="module")
def divisions(door_policy: Policy) -> Divisions:
    return Divisions(door_policy.divisions, load_streets(POLICY_FOLDER / "streets.csv"))


@pytest.mark.parametrize(
    ("text", "parts", "code"),
    [
        (
            "浙江省杭州市余杭区仓前街道文一西路969号",
            ("浙江省", "杭州市", "余杭区", "仓前街道", "文一西路969号"),
            330110,
        ),
        (
            "浙江 杭州 余杭 文一西路969号",
            ("浙江省", "杭州市", "余杭区", "", "文一西路969号"),
            330110,
        ),
        (
            "上海市上海市浦东新区张江镇碧波路1号",
            ("上海市", "上海市", "浦东新区", "张江镇", "碧波路1号"),
            310115,
        ),
        ("北京市市辖区朝阳区建国路", ("北京市", "北京市", "朝阳区", "", "建国路"), 110105),
        ("昆山市花桥镇绿地大道", ("江苏省", "苏州市", "昆山市", "花桥镇", "绿地大道"), 320583),
        ("海南省五指山市通什镇", ("海南省", "", "五指山市", "通什镇", ""), 469001),
        ("吉林市船营区解放东路", ("吉林省", "吉林市", "船营区", "", "解放东路"), 220204),
        ("深圳市南山大道5号", ("广东省", "深圳市", "", "", "南山大道5号"), 0),
        ("上海路5号", ("", "", "", "", "上海路5号"), 0),
        ("朝阳区建国路1号", ("", "", "", "", "朝阳区建国路1号"), 0),
        (
            "地址：广东省深圳市南山区粤海街道办事处科技路",
            ("广东省", "深圳市", "南山区", "粤海街道", "科技路"),
            440305,
        ),
        ("", ("", "", "", "", ""), 0),
    ],
)
def test_addresses_in_parts(
    divisions: Divisions, text: str, parts: tuple[str, ...], code: int
) -> None:
    found = divisions.split(text)
    assert (found.province, found.city, found.district, found.street, found.detail) == parts
    assert found.code == code


def test_no_address_gets_a_wrong_district(divisions: Divisions, door_policy: Policy) -> None:
    streets = load_streets(POLICY_FOLDER / "streets.csv")
    made = labelled_addresses(9, door_policy.divisions, streets, 150)
    figures = addresses_measured(made, divisions.split)
    assert {form: row["wrong"] for form, row in figures.items()} == dict.fromkeys(figures, 0)
    assert min(row["right"] for row in figures.values()) > 0.95


def test_every_district_is_found_under_its_full_name(
    divisions: Divisions, door_policy: Policy
) -> None:
    full = [
        f"{p}{c if c not in ('市辖区', '县') else ''}{d}长江路"
        for _, p, c, d in door_policy.divisions
    ]
    found = divisions.split_column(pa.array(full)).field("code").to_pylist()
    missed = [r for r, code in zip(door_policy.divisions, found, strict=True) if r[0] != code]
    assert missed == []


def test_columns_of_addresses_keep_their_nulls(divisions: Divisions) -> None:
    found = divisions.split_column(pa.array(["杭州市西湖区文三路", None, "x"])).to_pylist()
    assert (found[0]["code"], found[0]["detail"]) == (330106, "文三路")
    assert found[1] is None
    assert found[2]["detail"] == "x"


def test_streets_are_of_known_districts(door_policy: Policy) -> None:
    streets = load_streets(POLICY_FOLDER / "streets.csv")
    assert set(streets) <= {row[0] for row in door_policy.divisions}
    assert sum(map(len, streets.values())) > 40_000


def test_split_columns_with_a_street(door: Door) -> None:
    header = ["运单号", "收件省", "收件市", "收件区县", "收件街道", "收件详细地址", "入库时间"]
    row = ["SF1000000001", "浙江省", "杭州市", "西湖区", "西溪街道", "文三路1号", ROW[3]]
    [found] = door.one("a.csv", csv_text([header, row]))
    assert found["receiver_address"] == "浙江省杭州市西湖区西溪街道文三路1号"


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("1.5", 1.5),
        ("1.5KG", 1.5),
        ("500克", 0.5),
        ("3斤", 1.5),
        ("3斤4两", 1.7),
        ("2kg300g", 2.3),
        ("1,234.5", 1234.5),
    ],
)
def test_weights(text: str, weight: float) -> None:
    assert kilograms(text) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("text", "sum_"),
    [
        ("12", 12),
        ("¥12.50", 12.5),
        ("12.5元", 12.5),
        ("12元5角", 12.5),
        ("￥1,200", 1200),
        ("RMB 3", 3),
        ("3块5", 3.5),
        ("50分", 0.5),
    ],
)
def test_sums(text: str, sum_: float) -> None:
    assert yuan(text) == pytest.approx(sum_)


@pytest.mark.parametrize("text", ["1,5", "1.5磅", "约两公斤", "", "元", "12-15元", "kg"])
def test_measures_that_are_not_guessed(text: str) -> None:
    assert kilograms(text) is None
    assert yuan(text) is None


def test_the_header_gives_bare_numbers_their_unit(door: Door) -> None:
    header = ["运单号", "入库时间", "重量(g)"]
    body = [[r[0], r[3], text] for r, text in zip(rows(3), ("500", "1.5kg", ""), strict=True)]
    found = door.one("a.csv", csv_text([header, *body]))
    assert [r["weight"] for r in found] == [0.5, 1.5, None]


def test_words_with_an_ending_or_a_note() -> None:
    known = {"顺丰": 1, "圆通": 3, "已签收": 2}
    assert [look_up(w, known) for w in ("顺丰速运有限公司", "圆通快递", "已签收(本人)")] == [
        1,
        3,
        2,
    ]
    assert [look_up(w, known) for w in ("", "快递", "某某速递", "顺")] == [None] * 4


@pytest.mark.parametrize(
    "cell",
    [
        "王小明 13800138000 浙江省杭州市西湖区文三路1号",
        "王小明，13800138000，浙江省杭州市西湖区文三路1号",
        "浙江省杭州市西湖区文三路1号 王小明 13800138000",
        "13800138000，王小明，浙江省 杭州市 西湖区 文三路1号",
        "收件人：王小明\n手机号码：13800138000\n所在地区：浙江省杭州市西湖区\n详细地址：文三路1号",
        json.dumps(
            {
                "name": "王小明",
                "mobile": "13800138000",
                "province": "浙江省",
                "city": "杭州市",
                "district": "西湖区",
                "address": "文三路1号",
            }
        ),
    ],
)
def test_name_phone_and_address_in_one_cell(cell: str) -> None:
    expected = Recipient("王小明", "13800138000", "浙江省杭州市西湖区文三路1号")
    assert split_recipient(cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "王小明",
        "13800138000 13900139000 王小明",
        "放门口 13800138000",
        "王小明 李芳 13800138000",
        '{"name": 1',
        "[1]",
    ],
)
def test_cells_that_cannot_be_told_apart(cell: str) -> None:
    assert split_recipient(cell) is None


def test_combined_cells_of_a_file(door: Door) -> None:
    cells = [
        "王小明 13800138000 杭州市西湖区文三路1号",
        "王芳 13900139000 杭州市西湖区文三路2号",
        "请送楼上",
    ]
    body = [[f"SF100000000{i}", cell, ROW[3]] for i, cell in enumerate(cells)]
    door.put("a.csv", csv_text([["运单号", "收件信息", "入库时间"], *body]))
    handoff = door.run()
    found = door.read(handoff)
    assert [(r["receiver_name"], r["receiver_phone"]) for r in found] == [
        ("王小明", "13800138000"),
        ("王芳", "13900139000"),
    ]
    assert found[1]["receiver_address"] == "杭州市西湖区文三路2号"
    assert handoff.reasons == {"recipient_unreadable": 1}
    assert "13800138000" not in repr(split_recipient(cells[0]))


def test_every_word_list_is_there() -> None:
    folder = Path(__file__).resolve().parents[2] / "include/safehands/ingest/normalise"
    for name in ("surnames.txt", "given.txt", "words.txt"):
        assert (folder / name).read_text(encoding="utf-8").startswith("#")
