"""What other tools compute differently: ARX's SNB, sdcMicro's DIS, pyCANON's l-diversity."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.risk import Assumptions, assess, group
from safehands.risk._columns import whole_numbers
from safehands.risk.anonymity_pycanon import entropy_l_pycanon, recursive_c_pycanon
from safehands.risk.spread import spread
from safehands.risk.suda import suda2
from safehands.risk.suda_sdcmicro import suda_sdcmicro
from safehands.risk.uniqueness_arx import dankar_arx, snb_arx


def _histogram(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    size, classes = np.unique(sizes, return_counts=True)
    return size.astype(float), classes.astype(float)


@pytest.mark.parametrize("seed", range(6))
def test_snb_arx_solves_the_equations_of_arx(seed: int) -> None:
    sizes = np.random.default_rng(seed).zipf(1.8, 400).clip(max=50).tolist()
    size, classes = _histogram(sizes)
    people = round(sum(sizes) / 0.9)
    found = snb_arx(size, classes, people)
    assert found is not None
    f = sum(sizes) / people
    first = (size * f * f * (1 - f * f) ** (size - 1) * classes).sum()
    seen = ((1 - f) ** size * classes * (1 + f) ** size - 1).sum()
    missed = ((1 - f) ** size * classes).sum()
    once = (size * f * (1 - f) ** (size - 1) * classes).sum()
    total = classes.sum() + classes[0] * first / seen * (missed / once) ** 2

    def misses(alpha: float) -> tuple[float, float]:
        beta = (found / total) ** (1 / alpha)
        d = (1 - f) * (1 - beta)
        one = total * f * (beta / (1 - d)) ** alpha * (alpha * d / (1 - d) + 1)
        two = total * alpha * beta**alpha * f * f * (1 - beta) / 2
        return one - classes[0], two * (1 - d) ** (alpha + 2) * (2 - (1 - alpha) * d) - classes[1]

    # One number, found, leaves one unknown; some α must satisfy both equations.
    assert min(max(map(abs, misses(alpha))) for alpha in np.linspace(0.001, 20, 200_000)) < 0.05


def test_snb_arx_without_uniques_is_none_at_all() -> None:
    assert snb_arx(*_histogram([2, 2, 3]), 100) == 0.0
    assert snb_arx(*_histogram([1, 1, 1]), 100) is None


def test_the_rule_of_arx() -> None:
    assert dankar_arx(0.1, 5.0, 3.0, None) == (3.0, "pitman")
    assert dankar_arx(0.1, 5.0, None, 2.0) == (5.0, "zayatz")
    assert dankar_arx(0.2, 5.0, 3.0, 2.0) == (2.0, "snb")
    assert dankar_arx(0.2, 5.0, 3.0, 6.0) == (5.0, "zayatz")
    assert dankar_arx(0.2, 5.0, 3.0, None) == (5.0, "zayatz")


def _bucket(row: tuple[int, ...]) -> int:
    found = 0
    for cell in row:
        carry = found & 0x8000
        found = (found * 2 + cell + (1 if carry else 0)) % 65536
    return found


def _sdcmicro(rows: list[tuple[int, ...]], scores: list[float], fraction: float) -> list[float]:
    """DIS-SUDA as sdcMicro's loop does it, record by record."""
    width = max(3, len(rows[0]))
    rows = [row + (1,) * (width - len(row)) for row in rows]
    buckets = [_bucket(row) for row in rows]
    uniques = sum(buckets.count(one) == 1 for one in buckets)
    paired = sum(rows.count(row) == 2 for row in rows)
    single = np.float32
    share = single(fraction)
    if uniques == 0:
        return [math.nan if score else 0.0 for score in scores]
    dis = single(uniques) * share
    dis = dis / (dis + single(paired) * (single(1) - share))
    q = float(single(1) + (single(8) - single(width)) / single(20))
    factor = sum(score**-q for score in scores if score)
    gap = float(single(uniques) / dis - single(uniques))
    return [1 / (1 + gap / (score**q * factor)) if score else 0.0 for score in scores]


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.sampled_from([0, 1, 2, 7, 40_000])] * width), min_size=1, max_size=20
        )
    )
)
def test_dis_of_sdcmicro_record_by_record(rows: list[tuple[int, ...]]) -> None:
    names = [f"q{place}" for place in range(len(rows[0]))]
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    classes = group(table, names)
    values = [whole_numbers(table, name) for name in names]
    found = suda_sdcmicro(classes, [one for one in values if one is not None])
    if len(names) >= 3:
        assert found.score.tolist() == suda2(classes).score.tolist()
    expected = _sdcmicro(rows, found.score.tolist(), 0.01)
    assert found.dis_score.tolist() == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_sdcmicro_adds_columns_up_to_three() -> None:
    classes = group(pa.table({"a": [1, 2, 2, 2], "b": [1, 1, 3, 1]}), ["a", "b"])
    # Of two columns a unique one scores (2 - 1)! = 1; of three (3 - 1)! = 2, a pair 1.
    assert suda2(classes).score.tolist() == [1, 0, 1, 0]
    found = suda_sdcmicro(classes, [np.array([1, 2]), np.array([1, 3])])
    assert found.score.tolist() == [2, 0, 2, 0]


def test_what_sdcmicro_would_see() -> None:
    table = pa.table(
        {
            "n": [5.0, -2.0, None], "b": [True, None, False], "t": ["z", "a", None],
            "f": [0.5, 1.0, 2.0], "big": [1 << 40, 1, 2],
        }
    )  # fmt: skip
    seen = {name: whole_numbers(table, name) for name in table.column_names}
    assert {name: None if one is None else one.tolist() for name, one in seen.items()} == {
        "n": [-2, 5], "b": [0, 1], "t": [1, 2], "f": None, "big": None,
    }  # fmt: skip


def test_cells_that_sdcmicro_would_truncate_leave_its_figures_out() -> None:
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.0], "b": [1, 2, 2], "c": [1, 1, 1]})
    found = assess(frame, list(frame), assumptions=Assumptions(special_uniques=True)).suda
    assert found is not None
    assert found.dis_sdcmicro is None
    assert found.highest_score > 0


def test_a_single_quasi_identifier_loses_its_missing_rows_in_pycanon() -> None:
    # As pyCANON 1.3.5 and 1.3.6 print it on pandas 2.3.3; shares are of all five rows.
    frame = pd.DataFrame({"q": [1, 1, 2, 2, None], "s": ["a", "b", "a", "b", "c"]})
    found = assess(frame, ["q"], "s").pycanon
    assert found is not None
    assert (found.k, found.distinct_l, found.alpha) == (2, 2, 0.5)
    assert (found.basic_beta, found.t) == (pytest.approx(0.25), pytest.approx(0.2))
    assert found.delta == pytest.approx(math.log(1.25))
    # With two quasi-identifiers a missing value is a value like any other.
    pair = assess(frame.assign(r=1), ["q", "r"], "s").pycanon
    assert pair is not None
    assert (pair.k, pair.distinct_l, pair.alpha) == (1, 1, 1.0)
    assert (pair.basic_beta, pair.t) == (pytest.approx(4), pytest.approx(0.8))
    nothing = pd.DataFrame({"q": [None, None], "s": ["a", "b"]})
    assert assess(nothing, ["q"], "s").pycanon is None


def test_pycanon_cuts_entropy_down_and_sorts_counts_upwards() -> None:
    # One class of counts 4, 2, 1: entropy l is 7 / (4^(4/7)·2^(2/7)) ≈ 2.6; r₁/(r₃) = 1/4.
    frame = pd.DataFrame({"q": [0] * 7, "s": list("aaaabbc")})
    counts = spread(group(frame, ["q"]), frame, "s")
    assert entropy_l_pycanon(counts) == 2
    assert recursive_c_pycanon(counts, 3) == 1.0
    # l = 2: ⌊1 / (2 + 4) + 1⌋ = 1; counts 1, 1: ⌊1/1 + 1⌋ = 2.
    assert recursive_c_pycanon(counts, 2) == 1.0
    pair = pd.DataFrame({"q": [0, 0], "s": list("ab")})
    assert recursive_c_pycanon(spread(group(pair, ["q"]), pair, "s"), 2) == 2.0
    assert math.isnan(recursive_c_pycanon(counts, 1))
