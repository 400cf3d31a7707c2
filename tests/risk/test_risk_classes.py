"""Grouping: the same classes as a dictionary of tuples gives, for every kind of input."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given

from safehands.errors import BadInput, EmptyFile, PolicyError
from safehands.risk import classes as classes_module
from safehands.risk.classes import group, one_row_per_person


@given(naive.tables())
def test_classes_are_the_distinct_rows(table: dict[str, list[object]]) -> None:
    columns = ["q0", "q1", "q2"]
    rows = naive.rows_of(table, columns)
    found = group(pa.table(table), columns)
    expected = naive.classes_of(rows)
    assert len(found) == len(expected)
    for members in expected.values():
        codes = set(found.codes[members].tolist())
        assert len(codes) == 1
        assert found.sizes[codes.pop()] == len(members)
    assert found.records == len(rows)


@given(naive.tables())
def test_sorting_and_counting_number_the_classes_alike(table: dict[str, list[object]]) -> None:
    columns = ["q0", "q1", "q2"]
    dense = group(pa.table(table), columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes_module, "_DENSE", 0)
        by_sorting = group(pa.table(table), columns)
    assert (dense.codes == by_sorting.codes).all()
    assert (dense.sizes == by_sorting.sizes).all()


def test_more_combinations_than_63_bits_hold() -> None:
    rows = 3000
    rng = np.random.default_rng(5)
    # Seven columns of 3,000 values: 3,001 ** 7 is about 2 ** 81.
    table = {f"c{i}": rng.permutation(rows) for i in range(7)}
    table = {name: np.concatenate([column, column[:10]]) for name, column in table.items()}
    found = group(table, list(table))
    assert len(found) == rows
    assert sorted(found.sizes.tolist())[-10:] == [2] * 10
    assert found.sizes.sum() == rows + 10


def test_keys_near_the_bound_fall_back_to_an_index_sort() -> None:
    keys = np.array([5, 1 << 61, 5, 7], dtype=np.int64)
    codes, found = classes_module.distinct_keys(keys, (1 << 61) + 1)
    assert codes.tolist() == [0, 2, 0, 1]
    assert found == 3


def test_missing_equals_missing_and_nothing_else() -> None:
    table = pa.table({"a": [None, None, "", "x"], "b": [1.0, float("nan"), 1.0, None]})
    assert group(table, ["a"]).sizes.tolist() == [2, 1, 1]
    # NaN is missing as null is, so rows 2 and 4 share a class.
    assert group(table, ["b"]).sizes.tolist() == [2, 2]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([3, 1, 3], pa.int8()),
        pa.array([0.5, -0.0, 0.5]),
        pa.array([True, False, True]),
        pa.array(["y", "x", "y"], pa.large_string()),
        pa.array(["y", "x", "y"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["y", "x", "y"])),
        pa.array([dt.date(2026, 1, 2), dt.date(2026, 1, 1), dt.date(2026, 1, 2)]),
        pa.array([dt.time(9), dt.time(8), dt.time(9)]),
        pa.array([Decimal("1.10"), Decimal("1.00"), Decimal("1.10")]),
        pa.array([b"\x02", b"\x01", b"\x02"]),
        pa.chunked_array([["y"], ["x", "y"]]),
        pd.Series(["y", "x", "y"], dtype="category"),
        pd.Series(["y", "x", "y"], dtype="object"),
        pd.Series(pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-02"])),
        np.array([2.5, 1.5, 2.5]),
    ],
    ids=lambda column: str(getattr(column, "type", None) or column.dtype),
)
def test_every_type_of_column_groups(column: object) -> None:
    table = pd.DataFrame({"a": column}) if isinstance(column, pd.Series) else {"a": column}
    assert group(table, ["a"]).codes.tolist() == [1, 0, 1]


def test_an_all_missing_column_is_one_category() -> None:
    assert group(pa.table({"a": pa.nulls(4)}), ["a"]).sizes.tolist() == [4]


def test_a_person_counts_once_per_class() -> None:
    # p1 has two rows in class x and one in y; p2 one in x; two rows have no person.
    table = pa.table(
        {"q": ["x", "x", "y", "x", "y", "y"], "p": ["p1", "p1", "p1", "p2", None, None]}
    )
    keep, people = one_row_per_person(table, ["q"], "p")
    assert keep.tolist() == [True, False, True, True, True, True]
    assert people == 4


@given(naive.tables(columns=2))
def test_class_sizes_by_person_are_distinct_people(table: dict[str, list[object]]) -> None:
    keep, _ = one_row_per_person(pa.table(table), ["q0"], "q1")
    kept = [row for row, flag in zip(table["q0"], keep, strict=True) if flag]
    for value in set(table["q0"]):
        people = [p for q, p in zip(table["q0"], table["q1"], strict=True) if q == value]
        known = {p for p in people if p is not None}
        assert kept.count(value) == len(known) + people.count(None)


@pytest.mark.parametrize(
    ("table", "quasi", "error", "key"),
    [
        ({"a": [1]}, [], PolicyError, "risk.no_quasi"),
        ({"a": [1]}, ["a", "a"], PolicyError, "risk.repeated_column"),
        ({"a": [1]}, ["b"], PolicyError, "risk.unknown_column"),
        ({"a": []}, ["a"], EmptyFile, "risk.no_rows"),
        ({"a": [[1], [2]]}, ["a"], BadInput, "risk.nested_column"),
    ],
)
def test_what_cannot_be_grouped_says_why(
    table: dict[str, list[object]], quasi: list[str], error: type[Exception], key: str
) -> None:
    with pytest.raises(error) as caught:
        group(pa.table(table), quasi)
    assert caught.value.key == key  # type: ignore[attr-defined]
    assert all(caught.value.say(lang) for lang in ("zh", "en"))  # type: ignore[attr-defined]


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(PolicyError) as caught:
        group(table, ["a"])
    assert caught.value.key == "risk.ambiguous_column"


def test_a_mixed_column_is_refused_without_quoting_a_cell() -> None:
    frame = pd.DataFrame({"a": pd.Series([1, "13800138000", 2.5], dtype="object")})
    with pytest.raises(BadInput) as caught:
        group(frame, ["a"])
    assert caught.value.key == "risk.mixed_column"
    assert "13800138000" not in f"{caught.value} {caught.value.__context__ is None}"
    assert caught.value.__suppress_context__


def test_repr_holds_no_value() -> None:
    assert (
        repr(group(pa.table({"a": ["secret"]}), ["a"])) == "Classes(1 columns, 1 rows, 1 classes)"
    )
