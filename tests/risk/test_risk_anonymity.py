"""k, l, (α, k), t, δ and β: published tables, arithmetic by hand, and brute force."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from safehands.errors import PolicyError
from safehands.risk import anonymity as a
from safehands.risk.classes import group
from safehands.risk.spread import Spread, spread

APPROX = {"rel": 1e-12, "abs": 1e-12}

# Machanavajjhala et al. 2007, figures 1 to 3: twelve in-patients.
HEART, VIRAL, CANCER = "heart disease", "viral infection", "cancer"
CONDITION = [
    HEART, HEART, VIRAL, VIRAL, CANCER, HEART, VIRAL, VIRAL, CANCER, CANCER, CANCER, CANCER,
]  # fmt: skip
FOUR_ANONYMOUS = {
    "zip": ["130**"] * 4 + ["1485*"] * 4 + ["130**"] * 4,
    "age": ["<30"] * 4 + [">=40"] * 4 + ["3*"] * 4,
    "condition": CONDITION,
}
THREE_DIVERSE = {
    "zip": [
        "1305*",
        "1306*",
        "1306*",
        "1305*",
        "1485*",
        "1485*",
        "1485*",
        "1485*",
        "1305*",
        "1305*",
        "1306*",
        "1306*",
    ],
    "age": ["<=40"] * 4 + [">40"] * 4 + ["<=40"] * 4,
    "condition": CONDITION,
}

# Li et al. 2007, tables 3 to 5: nine patients, salaries 3K to 11K.
SALARY = [3, 4, 5, 6, 11, 8, 7, 9, 10]
DISEASE = [
    "gastric ulcer", "gastritis", "stomach cancer", "gastritis", "flu",
    "bronchitis", "bronchitis", "pneumonia", "stomach cancer",
]  # fmt: skip
STOMACH = {"gastric ulcer", "gastritis", "stomach cancer"}


def _spread(table: dict[str, list[object]], quasi: list[str], sensitive: str) -> Spread:
    arrow = pa.table(table)
    return spread(group(arrow, quasi), arrow, sensitive)


def test_the_four_anonymous_inpatients_are_not_diverse() -> None:
    classes = group(pa.table(FOUR_ANONYMOUS), ["zip", "age"])
    counts = _spread(FOUR_ANONYMOUS, ["zip", "age"], "condition")
    assert a.k_anonymity(classes) == 4
    assert a.class_sizes(classes) == {4: 3}
    # The third block has cancer only: one value, entropy 0, every share in favour of one value.
    assert a.distinct_l(counts) == 1
    assert a.entropy_l(counts) == 1.0
    assert a.alpha_k(classes, counts) == (1.0, 4)
    assert a.recursive_c(counts, 2) == math.inf
    assert a.recursive_l(counts, 100.0) == 1


def test_the_three_diverse_inpatients() -> None:
    counts = _spread(THREE_DIVERSE, ["zip", "age"], "condition")
    assert a.distinct_l(counts) == 3
    # Each block has shares 1/2, 1/4, 1/4: entropy ½·ln 2 + ½·ln 4 = 1.5·ln 2, so exp = 2^1.5.
    assert a.entropy_l(counts) == pytest.approx(2**1.5, **APPROX)
    # r = 2, 1, 1: r₁/(r₂+r₃) = 2/2 and r₁/r₃ = 2/1.
    assert a.recursive_c(counts, 2) == 1.0
    assert a.recursive_c(counts, 3) == 2.0
    # 2 < c·1 needs c > 2; 2 < c·2 needs c > 1; the inequality is strict.
    assert [a.recursive_l(counts, c) for c in (1.0, 1.001, 2.0, 2.001)] == [1, 2, 2, 3]


def test_published_salary_distances() -> None:
    table = {"block": [1, 1, 1, 2, 2, 2, 3, 3, 3], "salary": SALARY}
    # "0.375" for {3, 4, 5}: (3·1/9 + … cumulated 2/9, 4/9, 6/9, 5/9, 4/9, 3/9, 2/9, 1/9)/8 = 27/72.
    assert a.t_closeness(_spread(table, ["block"], "salary")) == pytest.approx(27 / 72, **APPROX)
    only = {"block": [0, 0, 0, 1, 1, 1, 0, 0, 0], "salary": SALARY}
    # "0.167" for {6, 8, 11}: cumulated gaps 1, 2, 3, 1, 2, 0, 1, 2 ninths over 8 = 12/72.
    assert a.t_closeness(_spread(only, ["block"], "salary")) == pytest.approx(12 / 72, **APPROX)


def test_published_table_has_0_167_closeness_in_salary() -> None:
    table = {"block": [1, 3, 1, 2, 2, 2, 3, 1, 3], "salary": SALARY}
    assert round(a.t_closeness(_spread(table, ["block"], "salary")), 3) == 0.167


def _disease_levels() -> list[Spread]:
    organ = ["stomach" if one in STOMACH else "lung" for one in DISEASE]
    system = ["digestive" if one in STOMACH else "respiratory" for one in DISEASE]
    table = {
        "block": [1, 3, 1, 2, 2, 2, 3, 1, 3],
        "disease": DISEASE, "organ": organ, "system": system,
    }  # fmt: skip
    return [_spread(table, ["block"], name) for name in ("disease", "organ", "system")]


def test_hierarchical_distance_by_hand() -> None:
    # Block 2 {gastritis, flu, bronchitis}: surplus 1/9 + 2/9 + 1/9 at the leaves = 4/9, and
    # respiratory 2/3 against 4/9 = 2/9 on both upper levels: (4/9 + 2/9 + 2/9)/3 = 8/27.
    assert a.t_hierarchical(_disease_levels()) == pytest.approx(8 / 27, **APPROX)


def test_hierarchical_distance_is_the_cheapest_transport() -> None:
    values = sorted(set(DISEASE))
    whole = np.array([DISEASE.count(v) for v in values]) / 9
    far = np.array(
        [[0 if v == w else 1 / 3 if (v in STOMACH) == (w in STOMACH) else 1 for w in values]
         for v in values]
    )  # fmt: skip
    blocks = [[DISEASE[i] for i in rows] for rows in ((0, 2, 7), (3, 4, 5), (1, 6, 8))]
    m = len(values)
    worst = 0.0
    for block in blocks:
        part = np.array([block.count(v) for v in values]) / 3
        rows = np.kron(np.eye(m), np.ones(m))
        columns = np.kron(np.ones(m), np.eye(m))
        found = linprog(far.ravel(), A_eq=np.vstack([rows, columns]), b_eq=[*part, *whole])
        worst = max(worst, found.fun)
    assert a.t_hierarchical(_disease_levels()) == pytest.approx(worst, abs=1e-9)


def test_likeness_and_disclosure_by_hand() -> None:
    table = {"q": ["x"] * 4 + ["y"] * 6, "s": list("aaab") + list("abbbbc")}
    counts = _spread(table, ["q"], "s")
    # Whole: a 4/10, b 5/10, c 1/10. Class x: a 3/4, b 1/4. Class y: a 1/6, b 4/6, c 1/6.
    # (q-p)/p: a in x .35/.4 = .875; b in y (2/3-1/2)/(1/2) = 1/3; c in y (1/6-1/10)/(1/10) = 2/3.
    assert a.basic_beta(counts) == pytest.approx(0.875, **APPROX)
    # -ln(1/10) = 2.30 is above it, so the enhanced bound changes nothing.
    assert a.enhanced_beta(counts) == pytest.approx(0.875, **APPROX)
    # |ln(q/p)|: a in x ln 1.875 = .629; b in x ln ½ = -.693; a in y ln(5/12) = -.875.
    assert a.delta_disclosure(counts) == pytest.approx(math.log(12 / 5), **APPROX)


def test_enhanced_beta_is_capped_by_the_rarest_value() -> None:
    table = {"q": ["x", "y", "y", "y"], "s": ["a", "b", "b", "b"]}
    counts = _spread(table, ["q"], "s")
    # a: p = 1/4, q = 1: gain 3, but -ln(1/4) = 1.386.
    assert a.basic_beta(counts) == 3.0
    assert a.enhanced_beta(counts) == pytest.approx(math.log(4), **APPROX)


@st.composite
def _with_sensitive(draw: st.DrawFn) -> tuple[list[object], list[object]]:
    pairs = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["x", "y", "z"]),
                st.one_of(st.none(), st.integers(0, 6)),
            ),
            min_size=1,
            max_size=30,
        )
    )
    return [q for q, _ in pairs], [s for _, s in pairs]


@given(_with_sensitive(), st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.0, 3.7]))
def test_every_figure_equals_brute_force(
    columns: tuple[list[object], list[object]],
    l: int,  # noqa: E741
    c: float,
) -> None:
    quasi, sensitive = columns
    table = pa.table({"q": quasi, "s": pa.array(sensitive, pa.int64())})
    classes = group(table, ["q"])
    counts = spread(classes, table, "s")
    groups = naive.per_class([(one,) for one in quasi], sensitive)
    assert a.k_anonymity(classes) == min(sum(one.values()) for one in groups)
    assert a.distinct_l(counts) == min(len(one) for one in groups)
    assert a.entropy_l(counts) == pytest.approx(naive.entropy_l(groups), **APPROX)
    assert a.recursive_c(counts, l) == pytest.approx(naive.recursive_c(groups, l), **APPROX)
    assert a.recursive_l(counts, c) == naive.recursive_l(groups, c)
    highest = max(max(one.values()) / sum(one.values()) for one in groups)
    assert a.alpha_k(classes, counts)[0] == pytest.approx(highest, **APPROX)
    for ordered in (False, True):
        expected = float(naive.emd(groups, ordered))
        assert a.t_closeness(counts, ordered=ordered) == pytest.approx(expected, **APPROX)
    assert a.delta_disclosure(counts) == pytest.approx(naive.delta(groups), **APPROX)
    assert a.basic_beta(counts) == pytest.approx(float(naive.beta(groups)), **APPROX)


@given(_with_sensitive())
def test_figures_stay_in_their_bounds(columns: tuple[list[object], list[object]]) -> None:
    table = pa.table({"q": columns[0], "s": pa.array(columns[1], pa.int64())})
    counts = spread(group(table, ["q"]), table, "s")
    assert 1 <= a.entropy_l(counts) <= a.distinct_l(counts) + 1e-9
    equal = a.t_closeness(counts, ordered=False)
    assert 0 <= a.t_closeness(counts, ordered=True) <= equal + 1e-12 <= 1 + 1e-12
    assert 0 <= a.enhanced_beta(counts) <= a.basic_beta(counts)


def test_numbers_are_ordered_and_words_are_not() -> None:
    numbers = _spread({"q": ["x", "x", "y"], "s": [1, 2, 3]}, ["q"], "s")
    words = _spread({"q": ["x", "x", "y"], "s": ["1", "2", "3"]}, ["q"], "s")
    assert a.t_closeness(numbers) == a.t_closeness(numbers, ordered=True)
    assert a.t_closeness(words) == a.t_closeness(words, ordered=False)
    assert a.t_closeness(numbers) != a.t_closeness(words)


def test_one_class_discloses_nothing_beyond_the_table() -> None:
    counts = _spread({"q": ["x"] * 5, "s": list("aabbc")}, ["q"], "s")
    assert a.t_closeness(counts) == 0.0
    assert a.delta_disclosure(counts) == 0.0
    assert a.basic_beta(counts) == 0.0


def test_bad_parameters_are_refused() -> None:
    table = pa.table({"q": ["x"], "s": ["a"]})
    classes = group(table, ["q"])
    counts = spread(classes, table, "s")
    for call in (
        lambda: a.recursive_c(counts, 0),
        lambda: a.recursive_l(counts, 0.0),
        lambda: a.recursive_l(counts, math.nan),
        lambda: a.t_hierarchical([]),
        lambda: spread(classes, table, "q"),
        lambda: spread(classes, pa.table({"s": ["a", "b"]}), "s"),
    ):
        with pytest.raises(PolicyError):
            call()
