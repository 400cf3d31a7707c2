"""Shapes of bad cells: the fault is seen, the cell is not."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.validate.shapes import MOST, SHOWN, shapes


@pytest.mark.parametrize(
    ("cell", "shape"),
    [
        ("13900008100", "9{11}"),
        ("139 0000-810", "9{3} 9{4}-9{3}"),
        ("1.39E+10", "9.99A+99"),
        ("张三", "文文"),
        ("王小明的电话", "文{6}"),
        ("Ünal ß", "A{4} A"),
        ("１２３", "9{3}"),
        ("a@b", "A·A"),
        ("", ""),
    ],
)
def test_a_cell_has_its_shape(cell: str, shape: str) -> None:
    assert shapes(pa.chunked_array([[cell]])) == {shape: 1}


@given(st.lists(st.text(max_size=60), max_size=30))
def test_nothing_but_signs_of_shapes_ever_comes_out(cells: list[str]) -> None:
    found = shapes(pa.chunked_array([cells], pa.string()))
    allowed = re.compile(r"(?:[9A文·… +*/.()#:_-](?:\{[0-9]+\})?)*(?:\{[0-9]*)?…?")
    assert all(allowed.fullmatch(shape) for shape in found)
    assert sum(found.values()) <= len(cells)
    assert len(found) <= SHOWN


def test_missing_cells_have_none_and_counting_ends() -> None:
    assert shapes(pa.chunked_array([[None, "1"]], pa.string())) == {"9": 1}
    assert sum(shapes(pa.chunked_array([["7"] * (MOST + 9)])).values()) == MOST
