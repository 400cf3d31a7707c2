"""Zip files of exports: every member is read, none is written, and names are only shown."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hostile import archive, packed
from ingest_door import HEADER, Door, csv_text, rows, xlsx
from test_ingest_hostile import read

from safehands.ingest import Limits
from safehands.ingest.survey import survey

GOOD = csv_text([HEADER, *rows(4)])


def test_members_of_all_kinds(door: Door) -> None:
    content = archive(
        ("a.csv", GOOD.encode("gb18030")),
        ("日期/b.xlsx", xlsx(("S1", [HEADER, *rows(3)]), ("S2", [HEADER, *rows(2)]))),
        ("__MACOSX/._a.csv", b"\0\0"),
        ("photo.jpg", b"\xff\xd8\xff"),
        ("empty/", b""),
    )
    found = door.one("a.zip", content)
    sheets = {row["_sheet"] for row in found}
    assert sheets == {"a.csv", "日期/b.xlsx/S1", "日期/b.xlsx/S2"}
    assert len(found) == 9
    assert not [p for p in door.folder.iterdir() if p.name != "a.zip"]


def test_names_in_gb18030(door: Door) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("XXXX.csv", GOOD)
    name = "台账".encode("gb18030")
    data = out.getvalue().replace(b"XXXX.csv", name + b".csv")
    assert {row["_sheet"] for row in door.one("a.zip", data)} == {"台账.csv"}


def test_a_member_with_somebodys_number_in_its_name(door: Door) -> None:
    problem = door.refused("a.zip", archive(("13800138000.csv", b"\xff\xff")))
    assert "13800138000" not in str(problem.params)


def test_one_bad_member_refuses_the_archive(door: Door) -> None:
    problem = door.refused("a.zip", archive(("a.csv", GOOD.encode()), ("b.xlsx", b"PK\3\4rest")))
    assert problem.key == "ingest.cut_workbook"
    assert str(problem.params["file"]).endswith("a.zip/b.xlsx")


def test_password(door: Door) -> None:
    data = bytearray(archive(("a.csv", GOOD.encode())))
    for at in (6, data.index(b"PK\1\2") + 8):
        data[at] |= 1
    assert door.refused("a.zip", bytes(data)).key == "ingest.password"


def test_cut_archive(door: Door) -> None:
    assert door.refused("a.zip", archive(("a.csv", GOOD.encode()))[:-30]).key in {
        "ingest.cut_workbook",
        "ingest.cut_archive",
    }


def test_without_a_table(door: Door) -> None:
    assert door.refused("a.zip", archive(("a.jpg", b"x"))).key == "ingest.empty_archive"


def test_table_takes_a_member_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive(("x/a.csv", b"a,b\n1,2\n"), ("b.csv", b"c,d\n3,4\n5,6\n")))
    first = survey(path, None, Limits()).as_dict()
    assert (first["sheet"], first["rows_read"]) == ("x/a.csv", 1)
    second = survey(path, None, Limits(), sheet="b.csv").as_dict()
    assert (second["sheet"], second["rows_read"]) == ("b.csv", 2)


MACRO = {"xl/vbaProject.bin": b"macro", "xl/externalLinks/externalLink1.xml": b"<x/>"}


def test_macros_and_links_are_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsm"
    path.write_bytes(packed(xlsx(("A", [["a", "b"], [1, "=1+1"]])), MACRO))
    found = {n["notice"]: n.get("count") for n in survey(path, None, Limits()).notices}
    assert found["macros"] == found["external_links"] == found["formulas"] == 1


@pytest.mark.parametrize(
    ("limits", "key"),
    [
        (Limits(unpacked_megabytes=1), "ingest.too_large"),
        (Limits(columns=3), "ingest.too_many_columns"),
        (Limits(megabytes=1), "ingest.too_much_memory"),
        (Limits(members=1), "ingest.too_many_members"),
    ],
)
def test_limits_are_named_in_the_message(tmp_path: Path, limits: Limits, key: str) -> None:
    body = xlsx(("A", [HEADER, *rows(20_000)]))
    name = "a.zip" if key == "ingest.too_many_members" else "a.xlsx"
    path = tmp_path / name
    path.write_bytes(archive(("a.csv", b"a"), ("b.csv", b"a")) if name == "a.zip" else body)
    problem, _, _ = read(path, limits)
    assert problem is not None
    assert problem.key == key
    assert "SAFEHANDS_READ_" in problem.say("zh")
    assert "SAFEHANDS_READ_" in problem.say("en")


def test_a_reader_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(xlsx(("A", [HEADER, *rows(40_000)])))
    problem, usage, _ = read(path, Limits(seconds=0))
    assert problem is not None
    assert problem.key == "ingest.too_slow"
    assert usage.seconds < 2
