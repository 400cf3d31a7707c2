"""Finding the table: each quirk that stations' exports were seen to have, one small file."""

from __future__ import annotations

import io
import json

import openpyxl  # type: ignore[import-untyped]
import pyarrow.parquet as pq
import pytest
from ingest_door import HEADER, NAME, PHONE, ROW, Door, csv_text, rows, xlsx

from safehands.datasets import Handoff
from safehands.ingest.find import announced, clean_header
from safehands.ingest.tables import Line, letter

LEDGER = [
    "序号",
    "运单号",
    "快递公司",
    "快件类型",
    "收件人",
    "收件人手机号",
    "取件码",
    "所在驿站",
    "库位",
    "状态",
    "重量(kg)",
    "运费(元)",
    "入库时间",
    "取件时间",
    "已保管(天)",
    "逾期费(元)",
    "入库操作员",
    "备注",
]
LEDGER_ROW = [
    "1",
    "SF1000000001",
    "顺丰",
    "小件",
    "王小明",
    "13800138000",
    "3-1-3001",
    "喜洋洋驿站",
    "A-01-01",
    "待取",
    "1.2",
    "0",
    "2026-11-23 08:01:02",
    "",
    "0",
    "0",
    "李四",
    "",
]


def details(handoff: Handoff) -> dict[str, object]:
    [found] = handoff.details["files"].values()
    return dict(found)


def test_full_ledger_with_title_row(door: Door) -> None:
    title = "快件收发台账（导出时间：2026-11-23 21:00，共 2 条）"
    second = [*LEDGER_ROW[:1], "SF1000000002", *LEDGER_ROW[2:]]
    door.put(
        "快件收发台账_2026-11-23.xlsx", xlsx(("快件台账", [[title], LEDGER, LEDGER_ROW, second]))
    )
    handoff = door.run()
    found = door.read(handoff)
    assert [r["_row"] for r in found] == [3, 4]
    assert found[0]["_sheet"] == "快件台账"
    assert (found[0]["pickup_code"], found[0]["shelf"]) == ("3-1-3001", "A-01-01")
    assert details(handoff)["header_row"] == 2
    dropped = "freight kept_days operator overdue_fee parcel_kind row_number station_name"
    assert details(handoff)["dropped"] == dropped.split(" ")


@pytest.mark.parametrize(
    "wording",
    [
        "'运单号",
        "‘运单号",
        '"运单号"',
        "\n运单号\n",
        " 运单号 ",
        "运单号（必填）",
        "运单号(必填)",
        "*运单号",
        "运 单 号",
        "快递单号",
        "面单号（必填）",
        "mailNo",
        "trackingNumber",
        "Waybill_No",
        "運單號",
        "运单号：",
        "ｗａｙｂｉｌｌ",
    ],
)
def test_wordings_of_the_waybill_column(door: Door, wording: str) -> None:
    header = [wording, *HEADER[1:]]
    assert door.one("a.xlsx", xlsx(("A", [header, ROW])))[0]["waybill_no"] == ROW[0]


def test_header_cells_are_cleaned() -> None:
    assert clean_header(" ’重量（kg）\n") == "重量(kg)"
    assert clean_header("物流订单号(唯一标识)") == "物流订单号"
    assert clean_header("收件用户ID，可为空") == "收件用户id"
    assert clean_header("包裹大小(0小件 1大件 2超大件)") == "包裹大小"


@pytest.mark.parametrize("titles", [0, 1, 8])
def test_title_rows(door: Door, titles: int) -> None:
    text = "某某驿站,台账\n" * titles + csv_text([HEADER, *rows(3)])
    assert [r["_row"] for r in door.one("a.csv", text)] == [titles + n for n in (2, 3, 4)]


@pytest.mark.parametrize("merged", [True, False])
def test_merged_header_cells(door: Door, merged: bool) -> None:
    """收件人 over 姓名 and 电话; the other names reach down over both rows."""
    upper = ["运单号", "收件人", None, "入库时间", "包裹", None, "备注"]
    lower = [None, "姓名", "电话", None, "重量(kg)", "状态", None]
    book = openpyxl.load_workbook(io.BytesIO(xlsx(("A", [["某某驿站"], upper, lower, *rows(5)]))))
    if merged:
        for cells in ("A1:G1", "A2:A3", "B2:C2", "D2:D3", "E2:F2", "G2:G3"):
            book["A"].merge_cells(cells)
    out = io.BytesIO()
    book.save(out)
    found = door.one("a.xlsx", out.getvalue())
    assert [r["_row"] for r in found] == [4, 5, 6, 7, 8]
    assert found[0]["receiver_name"] == ROW[1]
    assert found[0]["receiver_phone"] == "13810000000"
    assert (found[0]["weight"], found[0]["remark"]) == (1.5, "易碎")


def test_blank_columns_and_rows_between(door: Door) -> None:
    def spread(row: list[str]) -> list[str | None]:
        return [None, *row[:2], None, *row[2:], None]

    body = [spread(row) for row in rows(4)]
    table = [[], ["台账"], [], spread(HEADER), *body[:2], [], *body[2:], []]
    assert [r["_row"] for r in door.one("a.xlsx", xlsx(("A", table)))] == [5, 6, 8, 9]


def test_too_many_title_rows(door: Door) -> None:
    text = "某某驿站,台账\n" * 9 + csv_text([HEADER, *rows(3)])
    assert door.refused("a.csv", text).key == "ingest.no_header"


def test_blank_rows_between(door: Door) -> None:
    body = rows(3)
    table = [["", ""], HEADER, body[0], [""] * 7, [" "] * 7, body[1], [], body[2]]
    door.put("a.csv", csv_text(table))
    handoff = door.run()
    assert [r["_row"] for r in door.read(handoff)] == [3, 6, 8]
    assert handoff.counts["in"] == handoff.counts["out"] == 3


@pytest.mark.parametrize(
    "footer",
    [
        ["合计", "", "", "", "4.5", "", ""],
        ["总计：3件", *([""] * 6)],
        ["", "合计", *([""] * 5)],
        ["共 3 条"],
        ["Total", "", "", "", "4.5", "", ""],
        ["合计3件"],
    ],
)
def test_totals_rows_are_skipped_and_counted(door: Door, footer: list[str]) -> None:
    door.put("a.csv", csv_text([HEADER, *rows(3), footer]))
    handoff = door.run()
    counts = {name: handoff.counts[name] for name in ("in", "out", "quarantined", "skipped")}
    assert counts == {"in": 4, "out": 3, "quarantined": 0, "skipped": 1}


def test_totals_label_in_a_column_that_is_not_kept(door: Door) -> None:
    door.put("a.csv", csv_text([LEDGER, LEDGER_ROW, ["合计", *[""] * 9, "1.2", "0", *[""] * 6]]))
    assert door.run().counts["skipped"] == 1


def test_row_without_waybill_is_no_footer(door: Door) -> None:
    """Missing values are for validate to judge."""
    body = rows(2)
    body[1][0] = ""
    assert door.one("a.csv", csv_text([HEADER, *body]))[1]["waybill_no"] is None


def test_rows_wider_or_narrower_than_the_header(door: Door) -> None:
    body = rows(4)
    body[1] = body[1][:5]
    body[2] = [*body[2], "extra"]
    door.put("a.csv", csv_text([HEADER, *body]))
    handoff = door.run()
    assert handoff.reasons == {"row_width": 2}
    aside = door.read(handoff, "quarantine")
    assert [(r["_row"], r["payload"]) for r in aside] == [(3, "{}"), (4, "{}")]


def test_delimiter_at_the_end_of_every_record_but_the_header(door: Door) -> None:
    body = [[*row, ""] for row in rows(3)]
    assert len(door.one("a.csv", csv_text([HEADER, *body]))) == 3


def test_same_column_twice_with_equal_cells(door: Door) -> None:
    body = [[*row, row[2]] for row in rows(3)]
    body[1][7] = "+86 " + body[1][2]
    body[2][2] = ""
    found = door.one("a.csv", csv_text([[*HEADER, "收件人手机号"], *body]))
    assert [r["receiver_phone"] for r in found] == ["13810000000", "13810000001", "13810000002"]


def test_split_address(door: Door) -> None:
    header = ["运单号", "收件省", "收件市", "收件区县", "收件详细地址", "入库时间"]
    body = [
        ["SF1", "浙江省", "杭州市", "西湖区", "文三路1号", ROW[3]],
        ["SF2", "浙江省", "杭州市", "西湖区", "浙江省杭州市西湖区文三路1号", ROW[3]],
        ["SF3", "上海市", "上海市", "黄浦区", "中山东一路", ROW[3]],
        ["SF4", "", "", "", "文三路1号", ROW[3]],
        ["SF5", "浙江省", "杭州市", "西湖区", "", ROW[3]],
    ]
    body = [["SF100000000" + r[0][2:], *r[1:]] for r in body]
    found = [r["receiver_address"] for r in door.one("a.csv", csv_text([header, *body]))]
    assert found == [
        "浙江省杭州市西湖区文三路1号",
        "浙江省杭州市西湖区文三路1号",
        "上海市黄浦区中山东一路",
        "文三路1号",
        "浙江省杭州市西湖区",
    ]


def test_sheets_of_different_kinds_and_hidden_ones(door: Door) -> None:
    people = [["姓名", "手机号"], [NAME, PHONE]]
    notes = [["填写说明"], ["请勿改动表头"]]
    book = xlsx(
        ("台账", [HEADER, *rows(2)]),
        ("客户", people),
        ("说明", notes),
        ("旧", people),
        hidden=("旧",),
    )
    door.put("a.xlsx", book)
    handoff = door.run()
    assert len(door.read(handoff)) == 2
    assert [r["_sheet"] for r in door.read(handoff, "customers")] == ["客户"]
    found = details(handoff)
    assert (found["hidden_sheets"], found["unread_sheets"]) == (1, 1)
    assert found["rows"] == {"parcels": 2, "customers": 1}


def test_undeclared_and_dropped_columns_stay_outside(door: Door) -> None:
    secret, taker = "330106199001011234", "13911112222"
    header = [*HEADER, "家里几口人王小明", "身份证号", "取货人手机号"]
    body = [[*row, secret, secret, taker] for row in rows(3)]
    body[2][3] = "昨天"
    door.put("a.csv", csv_text([header, *body]))
    handoff = door.run()
    everything = json.dumps(handoff.as_dict(), ensure_ascii=False)
    for artifact in handoff.artifacts:
        everything += json.dumps(door.read(handoff, artifact), ensure_ascii=False, default=str)
    assert secret not in everything
    assert taker not in everything
    assert "几口人" not in everything
    found = details(handoff)
    assert (found["undeclared"], found["dropped"]) == (1, ["id_number", "taker_phone"])
    assert handoff.details["files"]["station/a.csv"]["sheets"][0]["undeclared"] == ["H"]


def test_quarantine_holds_the_raw_cells_of_kept_fields(door: Door) -> None:
    body = rows(5)
    body[4][2], body[4][3] = "1.38E+10", "昨天"
    door.put("a.csv", csv_text([HEADER, *body]))
    handoff = door.run()
    assert handoff.reasons == {"phone_lost_digits": 1}
    [aside] = door.read(handoff, "quarantine")
    assert json.loads(aside["payload"])["receiver_phone"] == "1.38E+10"
    assert json.loads(aside["payload"])["arrived_at"] == "昨天"


def test_ambiguous_wording_is_believed_only_when_the_cells_agree(door: Door) -> None:
    found = door.one("a.csv", csv_text([["单号", *HEADER[1:]], *rows(6)]))
    assert found[0]["waybill_no"] == "SF1000000000"
    shop_orders = [["女装一件", *row[1:]] for row in rows(6)]
    problem = door.refused("a.csv", csv_text([["单号", *HEADER[1:]], *shop_orders]))
    assert problem.key == "ingest.unknown_header"


def test_plain_wording_wins_over_an_ambiguous_one(door: Door) -> None:
    header = [*HEADER, "手机尾号", "订单号"]
    body = [[*row, row[2][-4:], "TB1234567890"] for row in rows(5)]
    door.put("a.csv", csv_text([header, *body]))
    handoff = door.run()
    assert {r["phone_kind"] for r in door.read(handoff)} == {1}
    assert details(handoff)["undeclared"] == 2


def test_tail_is_read_when_there_is_no_whole_number(door: Door) -> None:
    header = ["waybill_no", "receiverPhoneTail", "stored_at"]
    body = [[row[0], row[2][-4:], row[3]] for row in rows(5)]
    assert {r["phone_kind"] for r in door.one("a.csv", csv_text([header, *body]))} == {5}


def test_artifacts_are_encrypted(door: Door) -> None:
    door.put("a.csv", csv_text([HEADER, *rows(3)]))
    path = door.run().artifacts["parcels"].path
    with open(path, "rb") as handle:
        content = handle.read()
    assert content[:4] == b"PARE"
    assert NAME.encode() not in content
    with pytest.raises(OSError, match="encrypt"):
        pq.read_table(path)


def test_letters() -> None:
    assert [letter(n) for n in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


@pytest.mark.parametrize(
    ("title", "count"),
    [
        ("台账（导出时间：x，共 12 条）", 12),
        ("共1,234条", 1234),
        ("总计：5件", 5),
        ("第 3 条", None),
        ("", None),
    ],
)
def test_announced_count(title: str, count: int | None) -> None:
    assert announced([Line(1, (title,))]) == count
