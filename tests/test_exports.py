"""No text leaves the house that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.exports import neutral, write_csv

_FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+8613800138000",
    "-2+3",
    "@SUM(A1)",
    "＝HYPERLINK(1)",
    "\t=1",
    "\r=1",
    " =1",
    "\ufeff=1",
    "-x",
    "%0A=1",
    "|x",
]


@pytest.mark.parametrize("cell", _FORMULAS)
def test_formula_gets_an_apostrophe(cell: str) -> None:
    assert neutral(cell) == "'" + cell


@pytest.mark.parametrize(
    "cell", ["", "王小明", "-5", "-5.20", "A-01", "a=b", 5, -5.2, None, date.max]
)
def test_other_cells_stay(cell: Any) -> None:
    assert neutral(cell) is cell


@given(st.lists(st.lists(st.one_of(st.text(), st.sampled_from(_FORMULAS)), min_size=1), max_size=5))
def test_no_cell_of_a_written_file_begins_like_a_formula(rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    write_csv(out, rows)
    for row in csv.reader(io.StringIO(out.getvalue(), newline="")):
        for cell in row:
            plain = cell.lstrip("-").replace(".", "", 1).removesuffix("%")
            assert not cell.lstrip().startswith(("=", "+", "@", "＝")) or cell.startswith("'")
            assert not cell.startswith("-") or plain.isdecimal()
