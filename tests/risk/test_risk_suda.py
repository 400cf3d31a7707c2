"""SUDA2: minimal sample uniques by hand and by brute force, scores by sdcMicro's formulas."""

from __future__ import annotations

from math import comb, factorial

import numpy as np
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given

from safehands.errors import PolicyError
from safehands.risk.classes import group
from safehands.risk.suda import suda2

QUASI = ["q0", "q1", "q2"]


def test_by_hand() -> None:
    # Row 0 is alone with q0 = b. Row 1 is alone with (q0, q1) = (a, y) only.
    # Rows 2 and 3 are a pair. Row 4 is alone with (q0, q2) = (a, n) and with (q1, q2) = (x, n).
    table = pa.table({"q0": list("baaaa"), "q1": list("yyxxx"), "q2": list("mmmmn")})
    found = suda2(group(table, QUASI), sampling_fraction=0.1)
    # q2 = n is itself unique, so row 4 has that single column as its only minimal unique.
    assert found.smallest.tolist() == [1, 2, 0, 0, 1]
    assert found.by_size == (2, 1, 0)
    # (M - s)! with M = 3: 2! for one column, 1! for two.
    assert found.score.tolist() == [2.0, 1.0, 0.0, 0.0, 2.0]
    # Total 5: q0 in 2 + 1, q1 in 1, q2 in 2.
    assert found.contribution == {"q0": 3 / 5, "q1": 1 / 5, "q2": 2 / 5}
    # U = 3, P = 2, π = 0.1: 0.3 / (0.3 + 1.8) = 1/7.
    assert found.dis == pytest.approx(1 / 7, rel=1e-14)
    # Q = 1 + 5/20 = 1.25; Σ score^-Q = 2·2^-1.25 + 1; U/DIS - U = 21 - 3 = 18.
    adjustment = 2 * 2**-1.25 + 1
    assert found.dis_score[0] == pytest.approx(1 / (1 + 18 / (2**1.25 * adjustment)), rel=1e-13)
    assert found.dis_score[1] == pytest.approx(1 / (1 + 18 / adjustment), rel=1e-13)
    assert found.dis_score[2] == 0.0


def test_the_other_scale_by_hand() -> None:
    table = pa.table({"q0": list("baaaa"), "q1": list("yyxxx"), "q2": list("mmmmn")})
    # (2^(M-s) - 1)·s!(M-s)!/M!: one column 3/3 = 1; two columns 1/3.
    assert suda2(group(table, QUASI), ihsn=True).score.tolist() == pytest.approx(
        [1.0, 1 / 3, 0.0, 0.0, 1.0], rel=1e-15
    )


@given(naive.tables(columns=4, most=14))
def test_minimal_uniques_equal_brute_force(table: dict[str, list[object]]) -> None:
    quasi = [*QUASI, "q3"]
    expected = naive.minimal_uniques(naive.rows_of(table, quasi))
    found = suda2(group(pa.table(table), quasi))
    for size in range(1, 5):
        assert found.by_size[size - 1] == sum(len(s) == size for row in expected for s in row)
    assert found.smallest.tolist() == [min(map(len, row), default=0) for row in expected]
    assert found.score.tolist() == [
        float(sum(factorial(4 - len(s)) for s in row)) for row in expected
    ]
    other = suda2(group(pa.table(table), quasi), ihsn=True)
    assert other.score.tolist() == pytest.approx(
        [sum((2 ** (4 - len(s)) - 1) / comb(4, len(s)) for s in row) for row in expected],
        rel=1e-12,
    )
    total = float(found.score.sum())
    for index, name in enumerate(quasi):
        part = sum(factorial(4 - len(s)) for row in expected for s in row if index in s)
        assert found.contribution[name] == pytest.approx(part / total if total else 0.0, rel=1e-12)


@given(naive.tables(columns=4, most=14))
def test_a_bound_on_the_size_only_leaves_out_larger_ones(table: dict[str, list[object]]) -> None:
    classes = group(pa.table(table), [*QUASI, "q3"])
    assert suda2(classes, largest=2).by_size == suda2(classes).by_size[:2]


def test_more_sampled_means_surer_matches() -> None:
    table = pa.table({"q0": list("baaaa"), "q1": list("yyxxx"), "q2": list("mmmmn")})
    classes = group(table, QUASI)
    scores = [suda2(classes, sampling_fraction=f).dis_score[0] for f in (0.001, 0.01, 0.5, 1.0)]
    assert scores == sorted(scores)
    assert scores[-1] == 1.0


def test_a_table_without_uniques_scores_nothing() -> None:
    found = suda2(group({"q": np.array([1, 1, 2, 2])}, ["q"]))
    assert found.dis == 0.0
    assert not found.score.any()
    assert not found.dis_score.any()
    assert found.contribution == {"q": 0.0}


def test_what_is_out_of_range_is_refused() -> None:
    classes = group({"q": np.array([1, 2])}, ["q"])
    for arguments in ({"sampling_fraction": 0.0}, {"largest": 0}, {"limit": 0}):
        with pytest.raises(PolicyError):
            suda2(classes, **arguments)  # type: ignore[arg-type]
