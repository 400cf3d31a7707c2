"""Every format and encoding gives the same rows."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_door import HEADER, ROW, Door, csv_text, ods, rows, xls, xlsx

TABLE = [HEADER, *rows(7)]


def check(found: list[dict[str, Any]], first_row: int) -> None:
    assert [row["waybill_no"] for row in found] == [row[0] for row in TABLE[1:]]
    assert [row["_row"] for row in found] == list(range(first_row, first_row + 7))
    for row, source in zip(found, TABLE[1:], strict=True):
        assert row["receiver_name"] == source[1]
        assert (row["receiver_phone"], row["phone_kind"]) == (source[2], 1)
        assert row["arrived_at"] == datetime(2026, 11, 23, 0, 1, 2, tzinfo=UTC)
        assert (row["weight"], row["status"], row["remark"]) == (1.5, 1, "易碎")
        assert row["collected_at"] is None
        assert (row["_file"], row["carrier"]) == (0, None)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_encodings(door: Door, encoding: str) -> None:
    check(door.one("a.csv", csv_text(TABLE).encode(encoding)), 2)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(door: Door, delimiter: str, end: str) -> None:
    check(door.one("a.txt", csv_text(TABLE, delimiter, end)), 2)


def test_everything_quoted(door: Door) -> None:
    quoted = [[f'"{cell}"' for cell in row] for row in TABLE]
    check(door.one("a.tsv", csv_text(quoted, "\t")), 2)


def test_no_line_end_after_the_last_record(door: Door) -> None:
    check(door.one("a.csv", csv_text(TABLE).rstrip()), 2)


def test_xlsx(door: Door) -> None:
    check(door.one("a.xlsx", xlsx(("快件台账", TABLE))), 2)


def test_xlsx_with_types_and_a_margin(door: Door) -> None:
    wall = datetime(2026, 11, 23, 8, 1, 2)  # noqa: DTZ001
    body: list[list[Any]] = [
        [None, r[0], r[1], int(r[2]), wall, 1.5, r[5], r[6]] for r in TABLE[1:]
    ]
    check(door.one("a.xlsx", xlsx(("快件台账", [[], [None, *HEADER], *body]))), 3)


def test_xls(door: Door) -> None:
    body: list[list[str | float]] = [[*r[:2], float(r[2]), *r[3:]] for r in TABLE[1:]]
    check(door.one("a.xls", xls([list(HEADER), *body])), 2)


def test_ods(door: Door) -> None:
    check(door.one("a.ods", ods(TABLE)), 2)


def parquet(columns: dict[str, pa.Array]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_parquet_of_texts(door: Door) -> None:
    columns = {h: pa.array([r[i] for r in TABLE[1:]]) for i, h in enumerate(HEADER)}
    columns["状态"] = columns["状态"].dictionary_encode()
    check(door.one("a.parquet", parquet(columns)), 1)


@pytest.mark.parametrize("zone", [None, "Asia/Shanghai", "UTC"])
def test_parquet_of_types(door: Door, zone: str | None) -> None:
    columns = {h: pa.array([r[i] for r in TABLE[1:]]) for i, h in enumerate(HEADER)}
    columns["收件人手机号"] = pa.array([float(r[2]) for r in TABLE[1:]])
    hour = 0 if zone == "UTC" else 8
    wall = datetime(2026, 11, 23, hour, 1, 2)  # noqa: DTZ001
    moment = pa.array([wall] * 7, pa.timestamp("ms"))
    if zone:
        moment = pa.compute.assume_timezone(moment, zone)
    columns["入库时间"] = moment
    columns["重量(kg)"] = pa.array([1.5] * 7)
    check(door.one("a.parquet", parquet(columns)), 1)


def test_json_lines_keep_every_digit(door: Door) -> None:
    objects = [dict(zip(HEADER, row, strict=True)) for row in TABLE[1:]]
    lines = [json.dumps(o, ensure_ascii=False) for o in objects]
    lines[0] = lines[0].replace(f'"{TABLE[1][2]}"', TABLE[1][2])
    check(door.one("a.jsonl", "\n".join(lines) + "\n"), 1)


def test_json_column_that_first_appears_late(door: Door) -> None:
    objects = [dict(zip(HEADER, row, strict=True)) for row in rows(400)]
    objects[399]["取件码"] = "3-1-3001"
    lines = "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects)
    assert door.one("a.jsonl", lines)[399]["pickup_code"] == "3-1-3001"


def test_big5(door: Door) -> None:
    header = ["運單號", "收件人姓名", "電話", "入庫時間", "備註"]
    body = [[r[0], "陳美麗", r[2], r[3], "請放門口櫃檯"] for r in rows(5)]
    found = door.one("a.csv", csv_text([header, *body]).encode("big5"))
    assert {row["receiver_name"] for row in found} == {"陳美麗"}


def test_gb18030_beyond_gbk(door: Door) -> None:
    # 㑇 and 𠮷 have four-byte codes that GBK cannot hold.
    row = ["SF1000000001", "𠮷㑇", "13800138000", *ROW[3:]]
    found = door.one("a.csv", csv_text([HEADER, row]).encode("gb18030"))
    assert found[0]["receiver_name"] == "𠮷㑇"


def test_blocks_keep_row_numbers_and_characters(door: Door) -> None:
    """A file of several blocks, with multibyte characters across their borders and odd rows."""
    filler = "长" * 40
    body = [[*row[:6], filler] for row in rows(60_000)]
    body[100] = ["too", "short"]
    body[59_000] = [*body[59_000], "too long"]
    for encoding in ("utf-8", "gb18030"):
        door.put("a.csv", csv_text([HEADER, *body]).encode(encoding))
        handoff = door.run()
        found = door.read(handoff)
        assert [r["_row"] for r in door.read(handoff, "quarantine")] == [102, 59_002]
        numbers = {r["waybill_no"]: r["_row"] for r in found}
        assert len(found) == 59_998
        assert numbers["SF1000000000"] == 2
        assert numbers["SF1000000101"] == 103
        assert numbers["SF1000059999"] == 60_001
        assert {r["remark"] for r in found} == {filler}


def test_first_quote_far_into_the_file(door: Door) -> None:
    filler = "长" * 40
    body = [[*row[:6], filler] for row in rows(60_000)]
    body[50_000][6] = '"两行\n备注, 带逗号"'
    found = door.one("a.csv", csv_text([HEADER, *body], end="\n"))
    assert [row["_row"] for row in found] == list(range(2, 60_002))
    assert found[50_000]["remark"] == "两行\n备注, 带逗号"
    assert found[59_999]["waybill_no"] == "SF1000059999"


def test_quoted_file_of_several_blocks(door: Door) -> None:
    """Blocks end within characters and within quoted cells; no row may notice."""
    filler = "长" * 39 + "\n次行"
    body = [[*row[:6], filler] for row in rows(60_000)]
    quoted = [[f'"{cell}"' for cell in row] for row in [HEADER, *body]]
    for encoding in ("utf-8", "gb18030", "utf-16"):
        found = door.one("a.csv", csv_text(quoted).encode(encoding))
        assert [row["_row"] for row in found] == list(range(2, 60_002))
        assert {row["remark"] for row in found} == {filler}
