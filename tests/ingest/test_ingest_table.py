"""``safehands table``: anybody's file, read as a careful person would read it."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ingest_door import ods, xls

from safehands.cli import command
from safehands.errors import BadInput, EmptyFile, WrongEncoding, WrongFileType
from safehands.ingest.limits import Limits
from safehands.ingest.survey import survey


class Found:
    """What was found in one file, and the table that was written."""

    def __init__(self, folder: Path, name: str, content: bytes | str, **options: Any) -> None:
        path, out = folder / name, folder / "out.parquet"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.said = survey(path, out, Limits(), **options).as_dict()
        self.table = pq.read_table(out)
        self.names = self.table.column_names
        self.rows = [tuple(row.values()) for row in self.table.to_pylist()]
        assert self.said["rows_read"] == len(self.rows)
        assert [c["name"] for c in self.said["columns"]] == self.names
        assert (out.stat().st_mode & 0o777) == 0o600

    def notices(self) -> dict[str, dict[str, Any]]:
        return {notice["notice"]: notice for notice in self.said["notices"]}


TEXTS: dict[str, tuple[str, str | None, list[str], list[tuple[str | None, ...]]]] = {
    # name: (content, delimiter, columns, rows)
    "plain": ("a,b\n1,2\n3,4\n", ",", ["a", "b"], [("1", "2"), ("3", "4")]),
    "tabs": ("a\tb\n1\tx y\n", "\t", ["a", "b"], [("1", "x y")]),
    "pipes": ("a|b|c\n1|2|3\n", "|", ["a", "b", "c"], [("1", "2", "3")]),
    "decimal comma": (
        "land;wert\nA;1,5\nB;2,75\n",
        ";",
        ["land", "wert"],
        [("A", "1,5"), ("B", "2,75")],
    ),
    "commas in the text of a semicolon file": (
        "name;note\nBob;Hello, world, this\nAnn;Hi, there\n",
        ";",
        ["name", "note"],
        [("Bob", "Hello, world, this"), ("Ann", "Hi, there")],
    ),
    "RFC 4180": (
        'id,note\r\n1,"said ""hi"""\r\n2,"two\r\nlines, and more"\r\n3,""\r\n',
        ",",
        ["id", "note"],
        [("1", 'said "hi"'), ("2", "two\r\nlines, and more"), ("3", None)],
    ),
    "a letter in a cell": (
        'id,body\n1,"Dear all,\nhow, are you\nbye, me"\n2,x\n',
        ",",
        ["id", "body"],
        [("1", "Dear all,\nhow, are you\nbye, me"), ("2", "x")],
    ),
    "backslash escapes": (
        'id,text\n1,"he said \\"hi\\", ok"\n2,"C:\\\\temp"\n3,plain\n',
        ",",
        ["id", "text"],
        [("1", 'he said "hi", ok'), ("2", "C:\\temp"), ("3", "plain")],
    ),
    "single quotes": (
        "id,name,x\n1,'Doe, John',2\n2,'Roe, J',3\n3,'A, B',4\n",
        ",",
        ["id", "name", "x"],
        [("1", "Doe, John", "2"), ("2", "Roe, J", "3"), ("3", "A, B", "4")],
    ),
    "blanks behind the delimiter": (
        'id, name, note\n1, "Doe, John", "x"\n2, "Roe, Jane", "y"\n',
        ",",
        ["id", "name", "note"],
        [("1", "Doe, John", "x"), ("2", "Roe, Jane", "y")],
    ),
    "quotes that are none": (
        'id\ttext\n1\t"unclosed\n2\tfine\n3\t5" pipe\n',
        "\t",
        ["id", "text"],
        [("1", '"unclosed'), ("2", "fine"), ("3", '5" pipe')],
    ),
    "control character": ("a\x01b\n1\x012\n3\x014\n", "\x01", ["a", "b"], [("1", "2"), ("3", "4")]),
    "full-width comma": (
        "姓名，电话，地址\n王小明，138，杭州\n李四，139，北京\n",
        "，",
        ["姓名", "电话", "地址"],
        [("王小明", "138", "杭州"), ("李四", "139", "北京")],
    ),
    "runs of blanks": (
        "name    x    y\nalpha   1.0  2.0\nbe      3.5  4.25\n",
        " ",
        ["name", "x", "y"],
        [("alpha", "1.0", "2.0"), ("be", "3.5", "4.25")],
    ),
    "one column": ("value\n1\n2\n\n3\n", "", ["value"], [("1",), ("2",), ("3",)]),
    "one column of places": (
        "name\nBoston, MA\nNew York, NY\n",
        "",
        ["name"],
        [("Boston, MA",), ("New York, NY",)],
    ),
    "leading zeros": (
        "zip,n\n00501,1\n02134,2\n",
        ",",
        ["zip", "n"],
        [("00501", "1"), ("02134", "2")],
    ),
    "byte order mark": ("\ufeff名称,值\n甲,1\n", ",", ["名称", "值"], [("甲", "1")]),
    "no line end": ("a,b\n1,2\n3,4", ",", ["a", "b"], [("1", "2"), ("3", "4")]),
    "carriage returns": ("a,b\r1,2\r3,4\r", ",", ["a", "b"], [("1", "2"), ("3", "4")]),
    "sep line": ("sep=;\na;b\n1,5;2\n3;4\n", ";", ["a", "b"], [("1,5", "2"), ("3", "4")]),
    "no header": (
        "1,2020-01-01,x\n2,2020-01-02,y\n",
        ",",
        ["column_1", "column_2", "column_3"],
        [("1", "2020-01-01", "x"), ("2", "2020-01-02", "y")],
    ),
    "no header, one column": ("12\n13\n", "", ["column_1"], [("12",), ("13",)]),
    "years as names": (
        "Country,2018,2019\nA,1.5,2.5\nB,4,5\n",
        ",",
        ["Country", "2018", "2019"],
        [("A", "1.5", "2.5"), ("B", "4", "5")],
    ),
    "all text": (
        "Name,City\nBob,Paris\nAlice,London\n",
        ",",
        ["Name", "City"],
        [("Bob", "Paris"), ("Alice", "London")],
    ),
    "header with a hash": ("#id,name\n1,a\n2,b\n", ",", ["id", "name"], [("1", "a"), ("2", "b")]),
    "header one cell short": (
        "x,y\na,1,2\nb,3,4\n",
        ",",
        ["column_1", "x", "y"],
        [("a", "1", "2"), ("b", "3", "4")],
    ),
    "delimiter at the end": ("a,b\n1,2,\n3,4,\n", ",", ["a", "b"], [("1", "2"), ("3", "4")]),
    "some delimiters at the end": (
        "a,b\n1,2\n3,4,\n5,6,,\n7,8\n",
        ",",
        ["a", "b"],
        [("1", "2"), ("3", "4"), ("5", "6"), ("7", "8")],
    ),
    "same name twice": ("a,a,b\n1,2,3\n", ",", ["a", "a_2", "b"], [("1", "2", "3")]),
    "a category called total": (
        "sex,n\nTotal,5\nM,2\nTotal,7\nM,4\nTotal,9\n",
        ",",
        ["sex", "n"],
        [("Total", "5"), ("M", "2"), ("Total", "7"), ("M", "4"), ("Total", "9")],
    ),
    "header only": ("a,b,c\n", ",", ["a", "b", "c"], []),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(tmp_path: Path, case: str) -> None:
    content, delimiter, names, rows = TEXTS[case]
    found = Found(tmp_path, "a.csv", content)
    assert found.said["delimiter"] == delimiter
    assert (found.names, found.rows) == (names, rows)
    assert found.said["refused"] == []


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "big5", "cp1252"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    words = {"cp1252": ["Größe", "Zoë"], "big5": ["電話", "陳美麗"]}.get(
        encoding, ["电话", "陈美丽"]
    )
    text = f"id;{words[0]}\n1;{words[1]}\n2;{words[1]}\n"
    found = Found(tmp_path, "a.csv", text.encode(encoding))
    assert found.rows == [("1", words[1]), ("2", words[1])]
    wanted = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "cp1252": "windows-1252"}
    assert found.said["encoding"] == wanted.get(encoding, encoding)
    assert found.said["bom"] == (encoding in {"utf-8-sig", "utf-16"})


def test_titles_comments_blanks_totals_and_footers(tmp_path: Path) -> None:
    text = (
        "Report of things\nGenerated 2020-01-01\n\nid,name,amount\n1,a,2.5\n# a remark\n\n"
        "2,b,3.5\nTotal,,6.0\n\nSource: somewhere\n"
    )
    found = Found(tmp_path, "a.csv", text)
    assert found.rows == [("1", "a", "2.5"), ("2", "b", "3.5")]
    assert (found.said["header_row"], found.said["title_rows"]) == (4, [1, 2])
    places = {(item["line"], item["reason"]) for item in found.said["skipped"]}
    assert {(9, "totals"), (11, "footer")} <= places


def test_comments(tmp_path: Path) -> None:
    found = Found(tmp_path, "a.csv", "# made by x\n# 2020\nid,val\n1,2\n# mid\n3,4\n")
    assert found.rows == [("1", "2"), ("3", "4")]
    assert (found.said["header_row"], found.said["comment_lines"]) == (3, [1, 2, 5])
    assert found.said["skipped"] == [{"line": 5, "row": 5, "reason": "comment"}]


def test_ragged_rows_are_refused_with_their_lines(tmp_path: Path) -> None:
    text = 'id,name,note\r\n1,"two\r\nlines",x\r\n3,short\r\n4,a,b,c\r\n5,z,last\r\n'
    found = Found(tmp_path, "a.csv", text)
    assert found.rows == [("1", "two\r\nlines", "x"), ("5", "z", "last")]
    reason = {"reason": "row_width", "expected": 3}
    assert found.said["refused"] == [
        {"line": 4, "row": 3, "cells": 2, **reason},
        {"line": 5, "row": 4, "cells": 4, **reason},
    ]


def test_a_column_without_a_name_that_fills_late_is_kept(tmp_path: Path) -> None:
    text = "a,,b\n" + "1,,2\n" * 400
    assert Found(tmp_path, "a.csv", text).names == ["a", "b"]
    found = Found(tmp_path, "a.csv", text + "1,late,2\n")
    assert found.names == ["a", "column_2", "b"]
    assert found.rows[-1] == ("1", "late", "2")


def workbook(rows: list[list[Any]], *merged: str, **more: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Main"
    for row in rows:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    for name, table in more.items():
        sheet = book.create_sheet(name)
        for row in table:
            sheet.append(row)
        sheet.sheet_state = "hidden" if name.startswith("hidden") else "visible"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_types_of_a_workbook(tmp_path: Path) -> None:
    moment, day = dt.datetime(2026, 1, 2, 3, 4, 5), dt.date(2026, 1, 2)
    rows = [
        ["code", "n", "x", "yes", "when", "day", "time", "span", "mixed"],
        ["001", 1, 1.5, True, moment, day, dt.time(1, 2, 3), dt.timedelta(hours=30), "x"],
        ["002", 2, 2, False, moment, day, dt.time(4, 5), dt.timedelta(minutes=5), 3],
    ]
    found = Found(tmp_path, "a.xlsx", workbook(rows))
    types = [c["type"] for c in found.said["columns"]]
    assert types == [
        *("string", "int64", "double", "bool", "timestamp[us]", "date32[day]"),
        *("string", "string", "string"),
    ]
    assert found.rows[0] == ("001", 1, 1.5, True, moment, day, "01:02:03", "30:00:00", "x")
    assert found.rows[1][8] == "3"


def test_two_header_rows_with_merged_cells(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["Population report", None, None, None, None],
        ["Region", "2019", None, "2020", None],
        [None, "Male", "Female", "Male", "Female"],
        ["A", 1, 2, 3, 4],
        ["B", 5, 6, 7, 8],
        ["Total", 6, 8, 10, 12],
        [],
        ["Source: office"],
    ]
    content = workbook(rows, "A1:E1", "A2:A3", "B2:C2", "D2:E2")
    found = Found(tmp_path, "a.xlsx", content)
    assert found.names == [
        "Region",
        *(f"{y} / {s}" for y in (2019, 2020) for s in ("Male", "Female")),
    ]
    assert found.rows == [("A", 1, 2, 3, 4), ("B", 5, 6, 7, 8)]
    assert (found.said["header_rows"], found.said["title_rows"]) == ([2, 3], [1])
    assert found.said["skipped"] == [
        {"row": 6, "reason": "totals"},
        {"row": 8, "reason": "footer"},
    ]


def test_blank_rows_and_columns_of_a_sheet(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [],
        [None, "A title"],
        [],
        [None, "id", None, "name", None, "amount"],
        [None, 1, None, "a", None, 2.5],
        [],
        [None, 2, None, "b", None, 3.5],
        [None, "合计", None, None, None, 6],
    ]
    found = Found(tmp_path, "a.xlsx", workbook(rows))
    assert found.names == ["id", "name", "amount"]
    assert found.rows == [(1, "a", 2.5), (2, "b", 3.5)]
    assert (found.said["header_row"], found.said["blank_rows"]) == (4, 1)


def test_formulas_errors_and_long_numbers_are_noticed(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(
        io.BytesIO(workbook([["id", "v", "w"], [1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    )
    sheet = book.active
    sheet["B2"], sheet["C3"], sheet["A4"] = "#N/A", "=1+1", 110101199003078888
    sheet["B2"].data_type = "e"
    out = io.BytesIO()
    book.save(out)
    found = Found(tmp_path, "a.xlsx", out.getvalue())
    notices = found.notices()
    assert notices["error_cells"]["count"] == 1
    assert notices["formulas_without_result"]["count"] == 1
    assert notices["more_than_15_digits"] == {
        "notice": "more_than_15_digits",
        "column": "A",
        "count": 1,
    }
    assert [row[1] for row in found.rows] == ["#N/A", "5", "8"]
    assert found.rows[2][0] == "1.10101199003079E+17"


def test_sheets(tmp_path: Path) -> None:
    data = [["id", "v"], [1, 2], [3, 4]]
    content = workbook([["This file holds things."]], Data=data, hidden_one=[["a", "b"], [1, 2]])
    found = Found(tmp_path, "a.xlsx", content)
    assert (found.said["sheet"], found.rows) == ("Data", [(1, 2), (3, 4)])
    assert found.said["hidden_sheets"] == ["hidden_one"]
    assert found.said["sheets"] == ["Main", "Data", "hidden_one"]
    hidden = Found(tmp_path, "a.xlsx", content, sheet="hidden_one")
    assert (hidden.names, hidden.rows) == (["a", "b"], [(1, 2)])
    with pytest.raises(BadInput):
        Found(tmp_path, "a.xlsx", content, sheet="none")


def test_xls_and_ods(tmp_path: Path) -> None:
    found = Found(tmp_path, "a.xls", xls([["id", "v"], ["x", 1.0], ["y", 2.0]]))
    assert (found.said["format"], found.rows) == ("xls", [("x", 1), ("y", 2)])
    found = Found(tmp_path, "a.ods", ods([["id", "v"], ["x", "1"]]))
    assert (found.said["format"], found.rows) == ("ods", [("x", "1")])


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"n": [1, None], "t": ["a", "b"], "l": [[1, 2], []], "f": [1.5, 2.5]})
    out = io.BytesIO()
    pq.write_table(table, out)
    found = Found(tmp_path, "a.parquet", out.getvalue())
    assert found.table.equals(table)


def test_json_lines_keep_every_digit(tmp_path: Path) -> None:
    text = (
        '{"a":1.50,"b":"x"}\n{"a":12345678901234567890,"c":[1,2.50]}\n'
        '{"a":"t: 5, x","b":true}\n{oops}\n'
    )
    found = Found(tmp_path, "a.jsonl", text)
    assert found.rows == [
        ("1.50", "x", None),
        ("12345678901234567890", None, "[1, 2.50]"),
        ("t: 5, x", "true", None),
    ]
    assert found.said["refused"] == [{"row": 4, "reason": "row_unreadable"}]


def test_the_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    found = Found(tmp_path, "data.csv", workbook([["a", "b"], [1, 2]]))
    assert (found.said["format"], found.rows) == ("xlsx", [(1, 2)])
    assert Found(tmp_path, "data", "a,b\n1,2\n").rows == [("1", "2")]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"", EmptyFile),
        ("a.pdf", b"%PDF-1.7 ...", WrongFileType),
        ("a.csv", b"name\n\xff\xfe\x00\x01\x02", WrongEncoding),
        ("a.csv", "名前,住所\n山田,東京都渋谷区\n".encode("shift_jis"), WrongEncoding),
        ("a.csv", "이름,주소\n김철수,서울\n".encode("euc-kr"), WrongEncoding),
        ("a.csv", "Имя,Адрес\nИван,Москва\n".encode("cp1251"), WrongEncoding),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, name: str, content: bytes, kind: type[BadInput]
) -> None:
    with pytest.raises(kind):
        Found(tmp_path, name, content)
    assert not list(tmp_path.glob("*.partial*"))


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(command("en"), ["table", *args, "--lang", "en"])
    code = done.exception.exit_code if isinstance(done.exception, BadInput) else done.exit_code
    return code, done.output


def test_command(tmp_path: Path) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "o.parquet"
    source.write_text("Report\nid,name\n1,a\n2\n")
    code, output = run(str(source), "--out", str(out), "--json")
    said = json.loads(output)
    assert (code, said["header_row"], said["rows_read"], said["rows_refused"]) == (0, 2, 1, 1)
    assert pq.read_table(out).to_pylist() == [{"id": "1", "name": "a"}]
    code, output = run(str(source))
    assert code == 0
    assert "line 4: more or fewer cells" in output
    source.write_bytes(b"%PDF-1.7")
    assert run(str(source))[0] == WrongFileType.exit_code


def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("a,b\n1,2\n")
    code, _ = run(str(source), "--out", str(tmp_path / "none" / "o.parquet"))
    assert code != 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
