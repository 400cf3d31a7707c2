"""Individual risk: sdcMicro's published example, closed forms, integration, brute force."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import risk_naive as naive
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from safehands.errors import PolicyError
from safehands.risk.classes import group
from safehands.risk.individual import frequencies, individual_risk

# The eight records of sdcMicro's data set francdat (Capobianchi, Polettini, Lucarelli).
FRANC = {
    "key1": [1, 1, 1, 3, 4, 4, 6, 1],
    "key2": [2, 2, 2, 3, 3, 3, 2, 2],
    "key3": [5, 1, 1, 1, 1, 1, 1, 5],
    "key4": [1, 1, 1, 5, 4, 1, 5, 1],
}
WEIGHTS = np.array([18, 45.5, 39, 17, 541, 8, 5, 92])


def test_published_example() -> None:
    found = individual_risk(group(pa.table(FRANC), list(FRANC)), WEIGHTS)
    assert found.fk.tolist() == [2, 2, 2, 1, 1, 1, 1, 2]
    assert found.Fk.tolist() == [110, 84.5, 84.5, 17, 541, 8, 5, 110]
    assert [round(one, 8) for one in found.risk.tolist()] == [
        0.01714426, 0.02204233, 0.02204233, 0.17707583, 0.01165448, 0.29706308, 0.40235948,
        0.01714426,
    ]  # fmt: skip
    assert found.expected == pytest.approx(found.risk.sum(), rel=1e-15)
    assert found.share == found.expected / 8
    assert found.highest == found.risk.max()


def test_formulas_by_hand() -> None:
    classes = group({"q": np.repeat([0, 1, 2, 3], [1, 2, 4, 3])}, ["q"])
    weights = np.concatenate([[10.0], [10.0] * 2, [10.0] * 4, [1.0] * 3])
    risk = individual_risk(classes, weights).risk
    # p = 1/10: (1/9)·ln 10; (1/9) - (1/81)·ln 10; 0.1/(4 - 0.9); and 1/3 where fk = Fk.
    assert risk[0] == pytest.approx(math.log(10) / 9, rel=1e-14)
    assert risk[1] == pytest.approx(1 / 9 - math.log(10) / 81, rel=1e-13)
    assert risk[3] == pytest.approx(0.1 / 3.1, rel=1e-14)
    assert risk[9] == 1 / 3


def test_without_weights_the_table_is_the_population() -> None:
    found = individual_risk(group({"q": np.array([0, 0, 1])}, ["q"]))
    assert found.risk.tolist() == [0.5, 0.5, 1.0]
    assert found.expected == 2.0


@pytest.mark.parametrize("f", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("p", [0.01, 0.02, 0.5, 0.9, 0.999])
def test_exact_risk_is_the_mean_of_the_definition(f: int, p: float) -> None:
    classes = group({"q": np.zeros(f)}, ["q"])
    found = individual_risk(classes, np.full(f, 1 / p), method="exact").highest
    # F given f is negative binomial: f successes with probability p; the risk is the mean of 1/F.
    people = np.arange(f, 30_000)
    expected = float((stats.nbinom.pmf(people - f, f, p) / people).sum())
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("f", [1, 2])
def test_both_methods_agree_where_the_formula_is_exact(f: int) -> None:
    for gap in (1e-12, 1e-6, 0.0099, 0.0101, 0.3, 0.99, 1 - 1e-9):
        weights = np.full(f, 1 / (1 - gap))
        classes = group({"q": np.zeros(f)}, ["q"])
        approx = individual_risk(classes, weights).highest
        exact = individual_risk(classes, weights, method="exact").highest
        assert approx == pytest.approx(exact, rel=1e-9)


@given(naive.tables(most=15), st.randoms(use_true_random=False))
def test_wildcards_equal_brute_force(table: dict[str, list[object]], dice: object) -> None:
    columns = ["q0", "q1", "q2"]
    rows = naive.rows_of(table, columns)
    weights = [dice.uniform(1, 9) for _ in rows]  # type: ignore[attr-defined]
    classes = group(pa.table(table), columns)
    fk, total = frequencies(classes, np.array(weights), missing="wildcard")
    expected_fk, expected_total = naive.wildcard(rows, weights)
    assert fk[classes.codes].tolist() == expected_fk
    assert total[classes.codes].tolist() == pytest.approx(expected_total, rel=1e-12)


@given(naive.tables())
def test_a_category_never_matches_more_than_a_wildcard(table: dict[str, list[object]]) -> None:
    classes = group(pa.table(table), ["q0", "q1", "q2"])
    own, _ = frequencies(classes)
    every, _ = frequencies(classes, missing="wildcard")
    assert (own <= every).all()
    assert individual_risk(classes).expected == pytest.approx(len(classes), rel=1e-12)


def test_more_weight_is_less_risk() -> None:
    classes = group({"q": np.array([0, 1, 1, 2, 2, 2])}, ["q"])
    risks = [individual_risk(classes, np.full(6, w)).risk for w in (1.0, 1.001, 2.0, 50.0)]
    for before, after in pairwise(risks):
        assert (after < before).all()


def test_weights_that_cannot_be_are_refused() -> None:
    classes = group({"q": np.array([0, 0])}, ["q"])
    for weights, key in (
        (np.ones(3), "risk.bad_parameter"),
        (np.array([0.5, 0.5]), "risk.population_too_small"),
    ):
        with pytest.raises(PolicyError) as caught:
            individual_risk(classes, weights)
        assert caught.value.key == key
