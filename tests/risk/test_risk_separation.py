"""Distinction and separation, by hand and by brute force over pairs."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given

from safehands.errors import PolicyError
from safehands.risk import _lattice, separation
from safehands.risk.classes import group


def test_by_hand() -> None:
    # Motwani and Xu's four-row kind of table: age 20, 30, 40, 20; sex F, F, M, F.
    table = pa.table({"age": [20, 30, 40, 20], "sex": ["F", "F", "M", "F"]})
    found = separation.key_strengths(group(table, ["age", "sex"]))
    # Six pairs. Age differs in all but one; sex in the three pairs with M; both as age.
    assert [(one.columns, one.distinction, one.separation) for one in found] == [
        (("age",), 3 / 4, 5 / 6),
        (("sex",), 2 / 4, 3 / 6),
        (("age", "sex"), 3 / 4, 5 / 6),
    ]


@given(naive.tables())
def test_every_combination_equals_brute_force(table: dict[str, list[object]]) -> None:
    _compare(table)


# Arrays for small combinations, sorting for wide ones, hashing for those wider than a word.
@pytest.mark.parametrize(("dense", "word"), [(0, 63), (2, 63), (3, 63), (0, 3), (3, 4), (2, 5)])
@given(table=naive.tables())
def test_every_combination_equals_brute_force_however_it_is_counted(
    dense: int, word: int, table: dict[str, list[object]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lattice, "_DENSE_BITS", dense)
        patch.setattr(_lattice, "_WORD", word)
        _compare(table)


def _compare(table: dict[str, list[object]]) -> None:
    quasi = ["q0", "q1", "q2"]
    found = separation.key_strengths(group(pa.table(table), quasi))
    assert len(found) == 7
    assert len({one.columns for one in found}) == 7
    for one in found:
        rows = naive.rows_of(table, list(one.columns))
        assert one.classes == len(set(rows))
        assert one.distinction == pytest.approx(len(set(rows)) / len(rows), rel=1e-12)
        assert one.separation == pytest.approx(naive.separation(rows), rel=1e-12)


@pytest.mark.parametrize("dense", [0, 5, 9, 22])
@pytest.mark.parametrize(("seed", "rows_each"), [(0, 1), (1, 1), (2, 5), (3, 40)])
def test_six_columns_of_different_width(
    dense: int, seed: int, rows_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lattice, "_DENSE_BITS", dense)
    dice = random.Random(seed)
    table = {
        f"q{width}": [dice.randrange(width) for _ in range(60)] * rows_each
        for width in (2, 9, 3, 40, 5, 1)
    }
    found = separation.key_strengths(group(pa.table(table), list(table)))
    assert len({one.columns for one in found}) == len(found) == 63
    for one in found:
        sizes = np.array(list(Counter(naive.rows_of(table, list(one.columns))).values()))
        assert one.classes == len(sizes)
        assert one.separation == pytest.approx(separation.separation(sizes), rel=1e-12)


def test_a_key_is_one_and_a_constant_is_zero() -> None:
    found = separation.key_strengths(group({"id": np.arange(5), "c": np.ones(5)}, ["id", "c"]))
    by_columns = {one.columns: (one.distinction, one.separation) for one in found}
    assert by_columns[("id",)] == (1.0, 1.0)
    assert by_columns[("c",)] == (0.2, 0.0)


def test_pairs_of_millions_do_not_overflow() -> None:
    sizes = np.array([3_000_000_000, 2_000_000_000], dtype=np.int64)
    # 2·(3/5)(2/5) = 0.48 of the ordered pairs differ.
    assert separation.separation(sizes) == pytest.approx(0.48, rel=1e-9)


def test_too_many_columns_are_refused_with_both_numbers() -> None:
    table = {f"c{i}": np.arange(2) for i in range(13)}
    classes = group(table, list(table))
    with pytest.raises(PolicyError) as caught:
        separation.key_strengths(classes)
    assert caught.value.params == {"columns": 13, "limit": 12}
    assert "13" in caught.value.say("zh")
