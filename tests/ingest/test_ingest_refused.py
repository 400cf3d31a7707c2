"""Files that are set aside whole: why, in which words, and that nothing of them gets in."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_door import HEADER, NAME, ROW, Door, csv_text, rows, xls, xlsx

from safehands import errors
from safehands.datasets import Problem, Shard, SourceFile
from safehands.ingest import ingest
from safehands.ingest.ingest import _read_file
from safehands.messages import LANGUAGES, say

GOOD = csv_text([HEADER, *rows(4)])
BOOK = xlsx(("A", [HEADER, *rows(4)]))


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({h: [r[i] for r in rows(4)] for i, h in enumerate(HEADER)}), out)
    return out.getvalue()


def check(problem: Problem, kind: type[errors.BadInput], key: str) -> None:
    assert (problem.key, problem.exit_code) == (key, kind.exit_code)
    for lang in LANGUAGES:
        sentence = say(problem.key, lang, **problem.params)
        assert "station/" in sentence
        assert not any(cell in sentence for cell in (NAME, "1381000000", "SF100000"))


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"\xef\xbb\xbf", b"  \n"])
def test_empty(door: Door, content: bytes) -> None:
    check(door.refused("a.csv", content), errors.EmptyFile, "ingest.empty")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_text([HEADER])),
        ("a.csv", csv_text([HEADER, [""] * 7])),
        ("a.xlsx", xlsx(("A", [HEADER]))),
    ],
)
def test_header_only(door: Door, name: str, content: bytes | str) -> None:
    check(door.refused(name, content), errors.EmptyFile, "ingest.no_rows")


def test_no_known_header(door: Door) -> None:
    problem = door.refused("a.csv", "王小明,13800138000\n李四,13900139000\n")
    check(problem, errors.UnknownHeader, "ingest.no_header")


def test_required_column_missing(door: Door) -> None:
    table = [[*HEADER[:3], *HEADER[4:]], *[[*r[:3], *r[4:]] for r in rows(3)]]
    problem = door.refused("a.csv", csv_text(table))
    check(problem, errors.UnknownHeader, "ingest.unknown_header")
    assert problem.params["missing"] == "arrived_at (入库时间)"
    assert problem.params["row"] == 1


@pytest.mark.parametrize(
    ("column", "cells", "field"),
    [
        (2, ["文三路1号", "西湖区", "杭州", "浙江", "某某小区"], "receiver_phone"),
        (0, [f"1380013800{i}" for i in range(5)], "waybill_no"),
        (0, [NAME] * 5, "waybill_no"),
        (1, [f"1380013800{i}" for i in range(5)], "receiver_name"),
        (3, ["待取", "已取", "待取", "已取", "待取"], "arrived_at"),
        (4, [f"1380013800{i}" for i in range(5)], "weight"),
        (5, [f"1380013800{i}" for i in range(5)], "status"),
    ],
)
def test_header_and_cells_disagree(door: Door, column: int, cells: list[str], field: str) -> None:
    body = rows(5)
    for row, cell in zip(body, cells, strict=True):
        row[column] = cell
    problem = door.refused("a.csv", csv_text([HEADER, *body]))
    check(problem, errors.ContradictoryHeader, "ingest.header_and_cells")
    assert problem.params["column"] == "ABCDEFG"[column]
    assert str(problem.params["field"]).startswith(field)


def test_two_columns_of_one_field_differ(door: Door) -> None:
    body = [[*row, row[2]] for row in rows(5)]
    body[3][7] = "13900139000"
    problem = door.refused("a.csv", csv_text([[*HEADER, "电话"], *body]))
    check(problem, errors.ContradictoryHeader, "ingest.columns_differ")
    assert (problem.params["columns"], problem.params["row"]) == ("C, H", 5)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (GOOD.encode()[: GOOD.encode().rindex(b"2026")], "ingest.cut_record"),
        (GOOD.rstrip().encode()[:-2], "ingest.cut_character"),
        (csv_text([HEADER, *rows(3)]).encode() + '"SF1,王'.encode(), "ingest.cut_record"),
        ((GOOD.rstrip()[:-2] + '"易').encode(), "ingest.cut_record"),
        ((GOOD.rstrip()[:-2] + '"易\n碎').encode(), "ingest.cut_record"),
        (GOOD.encode("gb18030").rstrip()[:-1], "ingest.cut_character"),
        (GOOD.encode("utf-16")[:-5], "ingest.cut_character"),
    ],
)
def test_truncated_text(door: Door, content: bytes, key: str) -> None:
    check(door.refused("a.csv", content), errors.TruncatedFile, key)


def test_fewer_rows_than_announced(door: Door) -> None:
    problem = door.refused("a.csv", "台账（共 5 条）\n" + GOOD)
    check(problem, errors.TruncatedFile, "ingest.fewer_rows")
    assert (problem.params["expected"], problem.params["found"]) == (5, 4)


@pytest.mark.parametrize("length", [100, 2000, -30])
def test_truncated_workbook(door: Door, length: int) -> None:
    check(door.refused("a.xlsx", BOOK[:length]), errors.TruncatedFile, "ingest.cut_workbook")


def test_truncated_xls(door: Door) -> None:
    table: list[list[str | float]] = [[*row] for row in (HEADER, *rows(3))]
    content = xls(table)[:900]
    check(door.refused("a.xls", content), errors.TruncatedFile, "ingest.cut_workbook")


def test_xls_that_makes_its_reader_panic(door: Door) -> None:
    damage = struct.pack("<HH", 0x00E5, 0)  # Merged cells without their count.
    content = xls([list(HEADER)], damage)
    check(door.refused("a.xls", content), errors.TruncatedFile, "ingest.cut_workbook")


def test_workbook_with_damaged_sheet(door: Door) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(BOOK)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            body = old.read(part)
            new.writestr(part, body[: len(body) // 2] if "sheet1" in part else body)
    problem = door.refused("a.xlsx", out.getvalue())
    check(problem, errors.TruncatedFile, "ingest.cut_workbook")


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_truncated_parquet(door: Door, keep: float) -> None:
    content = parquet()
    problem = door.refused("a.parquet", content[: int(len(content) * keep)])
    check(problem, errors.TruncatedFile, "ingest.cut_parquet")


def test_damaged_parquet(door: Door) -> None:
    content = bytearray(parquet())
    content[-200:-20] = bytes(180)
    problem = door.refused("a.parquet", bytes(content))
    check(problem, errors.TruncatedFile, "ingest.cut_parquet")


def test_parquet_with_nested_column(door: Door) -> None:
    out = io.BytesIO()
    columns = {h: pa.array([r[i] for r in rows(4)]) for i, h in enumerate(HEADER)}
    columns["备注"] = pa.array([[{"x": NAME}]] * 4)
    pq.write_table(pa.table(columns), out)
    problem = door.refused("a.parquet", out.getvalue())
    check(problem, errors.BadInput, "ingest.not_text")
    assert problem.params["column"] == "G"


def test_truncated_json_lines(door: Door) -> None:
    line = '{"运单号": "SF1", "入库时间": "2026-11-23 08:00:00"}\n'
    problem = door.refused("a.jsonl", line * 3 + line[:20])
    check(problem, errors.TruncatedFile, "ingest.cut_record")


def test_unreadable_json_line_is_one_row(door: Door) -> None:
    line = '{"运单号": "SF1000000001", "入库时间": "2026-11-23 08:00:00"}\n'
    door.put("a.jsonl", line + "{oops}\n[1]\n" + line)
    handoff = door.run()
    assert handoff.reasons == {"row_unreadable": 2}
    assert [r["_row"] for r in door.read(handoff)] == [1, 4]


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode().replace("碎".encode(), b"\xff\xff"),
        bytes(range(1, 32)) * 30,
        GOOD.replace("易碎", "\ufffd\ufffd\ufffd").encode(),
        GOOD.encode("shift_jis", errors="ignore") + b"\xff\xa0\xff",
    ],
)
def test_wrong_encoding(door: Door, content: bytes) -> None:
    check(door.refused("a.csv", content), errors.WrongEncoding, "ingest.wrong_encoding")


def test_nul_byte(door: Door) -> None:
    content = GOOD.encode().replace(b"SF1000000001", b"SF1\x0000000001")
    check(door.refused("a.csv", content), errors.WrongEncoding, "ingest.nul_bytes")


def test_bad_byte_far_into_the_file(door: Door) -> None:
    content = csv_text([HEADER, *rows(20_000)]).encode() + b"\xff\xfe\n"
    check(door.refused("a.csv", content), errors.WrongEncoding, "ingest.wrong_encoding")


HTML = b"<html><table><tr><td>x</td></tr></table></html>"


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("a.csv", BOOK, "ingest.wrong_type"),
        ("a.xls", BOOK, "ingest.wrong_type"),
        ("a.xlsx", GOOD.encode(), "ingest.wrong_type"),
        ("a.xls", GOOD.encode(), "ingest.wrong_type"),
        ("a.csv", xls([["x"]]), "ingest.wrong_type"),
        ("a.xlsx", xls([["x"]]), "ingest.wrong_type"),
        ("a.parquet", GOOD.encode(), "ingest.wrong_type"),
        ("a.jsonl", GOOD.encode(), "ingest.wrong_type"),
        ("a.xls", HTML, "ingest.html_table"),
        ("a.csv", b"\xef\xbb\xbf\r\n" + HTML.upper(), "ingest.html_table"),
        ("a.csv", b"%PDF-1.7 ...", "ingest.wrong_type"),
        ("a.csv", b"\x89PNG\r\n\x1a\n....", "ingest.wrong_type"),
        ("a.pdf", b"%PDF-1.7 ...", "ingest.wrong_type"),
        ("a.docx", GOOD.encode(), "ingest.wrong_type"),
        ("noextension", GOOD.encode(), "ingest.wrong_type"),
        ("a.xlsx", xls([["x"]]) + "EncryptedPackage".encode("utf-16-le"), "ingest.password"),
    ],
)
def test_wrong_type(door: Door, name: str, content: bytes, key: str) -> None:
    check(door.refused(name, content), errors.WrongFileType, key)


def test_workbook_that_unpacks_to_too_much(door: Door) -> None:
    door.night = replace(
        door.night, settings=replace(door.night.settings, read_unpacked_megabytes=0)
    )
    problem = door.refused("a.xlsx", BOOK)
    check(problem, errors.BadInput, "ingest.too_large")


@pytest.mark.parametrize("quote", ['"大件', '"'])
def test_open_quote_that_swallows_rows(door: Door, quote: str) -> None:
    body = rows(40)
    body[10][6] = quote
    body[30][6] = quote
    problem = door.refused("a.csv", csv_text([HEADER, *body]))
    check(problem, errors.BadInput, "ingest.quote_open")


def test_open_quote_in_a_column_that_is_not_read(door: Door) -> None:
    header = [*HEADER, "物品名称", "取件码"]
    body = [[*row, "x", "3-1-3001"] for row in rows(40)]
    body[10][7], body[30][7] = '"5寸', '12"'
    problem = door.refused("a.csv", csv_text([header, *body]))
    check(problem, errors.BadInput, "ingest.quote_open")


def test_quote_inside_a_cell_is_a_character(door: Door) -> None:
    body = rows(4)
    body[2][6] = '12"屏'
    assert door.one("a.csv", csv_text([HEADER, *body]))[2]["remark"] == '12"屏'
    assert door.one("a.csv", csv_text([HEADER, *body[:3]]).rstrip())[2]["remark"] == '12"屏'


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.parquet", "a.jsonl"])
def test_file_that_changes_after_it_was_listed(door: Door, name: str) -> None:
    line = '{"运单号": "SF1000000001", "入库时间": "2026-11-23 08:00:00"}\n'
    content = {
        "a.csv": GOOD.encode(),
        "a.xlsx": BOOK,
        "a.parquet": parquet(),
        "a.jsonl": line.encode(),
    }
    path = door.put(name, content[name])
    shard = door.shard()
    stale = SourceFile("station", f"station/{name}", path.stat().st_size, "0" * 64)
    handoff = ingest(Shard(shard.key, shard.controller, (stale,)), door.night)
    check(handoff.problems[stale.path], errors.BadInput, "ingest.changed_while_reading")
    assert not handoff.artifacts


def test_file_that_is_gone(door: Door) -> None:
    path = door.put("a.csv", GOOD)
    shard = door.shard()
    path.unlink()
    problem = ingest(shard, door.night).problems["station/a.csv"]
    check(problem, errors.BadInput, "ingest.cannot_open")


def test_link_out_of_the_landing_folder(door: Door, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text(GOOD)
    (door.folder / "a.csv").symlink_to(outside)
    [listed] = door.shard().files
    assert (listed.size, listed.digest) == (0, "")
    check(door.run().problems["station/a.csv"], errors.BadInput, "ingest.outside_landing")


def test_the_rest_of_the_shard_goes_on(door: Door) -> None:
    door.put("a.csv", GOOD[: len(GOOD) - 40])
    door.put("b.csv", GOOD)
    door.put("c.xlsx", b"")
    handoff = door.run()
    assert list(handoff.problems) == ["station/a.csv", "station/c.xlsx"]
    assert handoff.counts["refused"] == 2
    assert {r["_file"] for r in door.read(handoff)} == {1}
    assert list(handoff.details["files"]) == ["station/b.csv"]


def test_file_names_with_numbers_are_starred(door: Door) -> None:
    problem = door.refused("13800138000.csv", b"")
    assert problem.params["file"] == "station/***********.csv"


def test_record_longer_than_a_block(door: Door) -> None:
    row = [*ROW[:3], "x" * 5_000_000, *ROW[4:]]
    problem = door.refused("a.csv", csv_text([HEADER, *rows(300), row]))
    check(problem, errors.BadInput, "ingest.row_too_long")


def test_errors_hide_what_they_were_raised_from(door: Door) -> None:
    """A chained exception could quote cells: a traceback of ours must not show it."""
    door.put("a.parquet", parquet()[:-300] + bytes(296) + b"PAR1")
    [file] = door.shard().files
    with pytest.raises(errors.TruncatedFile) as caught:
        _read_file(file, 0, door.night)
    assert caught.value.__context__ is None
