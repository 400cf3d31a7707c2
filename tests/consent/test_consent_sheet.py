"""A sheet of answers is taken whole, once, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from consent_office import PHONES, Office
from openpyxl import Workbook

from nights import NOW
from safehands.consent import Read, import_sheet
from safehands.consent.sheet import Asked
from safehands.errors import BadInput

ASKED = Asked("marketing", "survey", 1, "autumn")
HEAD = ["答卷编号", "您的手机号", "您是否同意", "提交时间", "喜欢的颜色"]
ROWS = [
    ["1001", "138 0000 0001", "同意", "2026-11-12 10:00:00", "红"],
    ["1002", "+86 13800000002", "不同意", "2026/11/12 11:05", "蓝"],
    ["1003", "13999999999", "同意", "2026-11-12", "绿"],
]


def write(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in [HEAD, *rows]), encoding="gb18030")
    return path


def take(office: Office, path: Path, asked: Asked = ASKED) -> Read:
    return import_sheet(office.inst, "A", path, asked, "wang.li", NOW)


def test_a_survey_export_is_read(office: Office, tmp_path: Path) -> None:
    found = take(office, write(tmp_path / "answers.csv", ROWS))
    assert (found.recorded, found.unknown, found.stopped) == (2, 1, 1)
    assert office.allowed() == {office.people[PHONES[0]]}
    assert office.standing(PHONES[1]) == "refused"
    evidence = office.world.rows(
        "SELECT evidence, campaign, channel FROM consent_event ORDER BY id"
    )
    assert evidence[0] == {"evidence": "1001", "campaign": "autumn", "channel": "survey"}


def test_a_workbook_is_read(office: Office, tmp_path: Path) -> None:
    book = Workbook()
    for row in [["手机号", "是否同意", "日期"], [PHONES[2], "是", "2026-11-12"]]:
        book.active.append(row)
    book.save(tmp_path / "counter.xlsx")
    assert take(office, tmp_path / "counter.xlsx").recorded == 1
    (event,) = office.world.rows("SELECT evidence FROM consent_event")
    assert event["evidence"] == "counter.xlsx#2"


def test_the_same_file_again_changes_nothing(office: Office, tmp_path: Path) -> None:
    path = write(tmp_path / "answers.csv", ROWS)
    take(office, path)
    before = office.world.rows("SELECT * FROM consent_event ORDER BY id")
    assert take(office, path).again
    assert office.world.rows("SELECT * FROM consent_event ORDER BY id") == before


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (["1", "1380000", "同意", "2026-11-12", ""], "phone"),
        (["1", PHONES[0], "也许", "2026-11-12", ""], "answer"),
        (["1", PHONES[0], "同意", "昨天", ""], "at"),
    ],
)
def test_one_bad_line_and_nothing_is_taken(
    office: Office, tmp_path: Path, row: list[str], column: str
) -> None:
    with pytest.raises(BadInput) as problem:
        take(office, write(tmp_path / "answers.csv", [ROWS[0], row]))
    assert problem.value.params == {"file": "answers.csv", "row": 3, "column": column}
    assert not any(cell and cell in str(problem.value) for cell in row[1:2])
    assert office.world.rows("SELECT id FROM consent_event") == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Asked("marketing", "survey", 7), "notice"),
        (Asked("custody", "survey", 1), "consent"),
    ],
)
def test_a_line_that_is_no_consent_stops_the_file(
    office: Office, tmp_path: Path, asked: Asked, why: str
) -> None:
    with pytest.raises(BadInput) as problem:
        take(office, write(tmp_path / "answers.csv", ROWS), asked)
    assert problem.value.params["row"] == 2
    assert why in str(problem.value.params["why"])
    assert office.world.rows("SELECT id FROM consent_event") == []


@pytest.mark.parametrize("lacking", ["您的手机号", "您是否同意", "提交时间"])
def test_a_missing_column_is_named(office: Office, tmp_path: Path, lacking: str) -> None:
    place: Any = HEAD.index(lacking)
    rows = [[cell for i, cell in enumerate(row) if i != place] for row in [HEAD, *ROWS]]
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    with pytest.raises(BadInput) as problem:
        take(office, path)
    assert problem.value.key == "consent.no_column"
