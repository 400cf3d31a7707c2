"""Population uniques: by hand, against independent solutions, and on simulated populations."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from safehands.errors import PolicyError
from safehands.risk import uniqueness as u
from safehands.risk.classes import Classes, group

Ints = npt.NDArray[np.int64]


def _classes(sizes: Ints) -> Classes:
    return group({"q": np.repeat(np.arange(len(sizes)), sizes)}, ["q"])


def _sampled(population: int, sample: int, kinds: int, seed: int) -> tuple[Ints, int]:
    """Class sizes of a sample from a long-tailed population, and that population's uniques."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, kinds + 1)
    people = rng.choice(kinds, population, p=weight / weight.sum())
    drawn = rng.choice(people, sample, replace=False)
    uniques = int((np.unique(people, return_counts=True)[1] == 1).sum())
    return np.unique(drawn, return_counts=True)[1].astype(np.int64), uniques


def test_zayatz_by_hand() -> None:
    # Four of eight people in classes of 1, 1, 2. H(1) = 4/8; H(2) = 2·C(6,3)/C(8,4) = 40/70.
    # P = 2·(1/2) / (2·(1/2) + 4/7) = 7/11; 2·(7/11) / (4/8) = 28/11.
    assert u.zayatz(np.array([1, 1, 2]), 8) == pytest.approx(28 / 11, rel=1e-14)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 400))
def test_zayatz_equals_the_hypergeometric_formula(sizes: list[int], more: int) -> None:
    sample, population = sum(sizes), sum(sizes) + more
    ones = sizes.count(1)
    chance = {s: stats.hypergeom.pmf(1, population, s, sample) for s in {*sizes, 1}}
    weight = sum(chance[s] for s in sizes)
    expected = ones * (ones * chance[1] / weight) * population / sample if ones else 0.0
    found = u.zayatz(np.array(sizes, dtype=np.int64), population)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_pitman_equals_an_independent_maximum(seed: int) -> None:
    sizes, _ = _sampled(100_000, 4_000, 30_000, seed)
    classes, records = len(sizes), int(sizes.sum())

    i = np.arange(1, classes)
    within = np.concatenate([np.arange(1, size) for size in sizes])

    def loss(point: npt.NDArray[np.float64]) -> float:
        theta, alpha = math.exp(point[0]), 1 / (1 + math.exp(-point[1]))
        fall = np.log(theta + np.arange(1, records)).sum() - np.log(theta + i * alpha).sum()
        return float(fall - np.log(within - alpha).sum())

    def slopes(point: npt.NDArray[np.float64]) -> list[float]:
        theta, alpha = point
        return [
            (1 / (theta + i * alpha)).sum() - (1 / (theta + np.arange(1, records))).sum(),
            (i / (theta + i * alpha)).sum() - (1 / (within - alpha)).sum(),
        ]

    log_theta, logit = optimize.minimize(loss, [5.0, 0.0], method="Nelder-Mead").x
    start = [math.exp(log_theta), 1 / (1 + math.exp(-logit))]
    (theta, alpha), _, ok, _ = optimize.fsolve(slopes, start, full_output=True, xtol=1e-13)
    assert ok == 1
    assert 0 < alpha < 1
    expected = math.exp(math.lgamma(theta + 1) - math.lgamma(theta + alpha)) * 100_000**alpha
    assert u.pitman(sizes, 100_000) == pytest.approx(expected, rel=1e-9)


def test_pitman_is_the_same_by_terms_and_by_digamma(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, _ = _sampled(200_000, 9_000, 60_000, 7)
    by_terms = u.pitman(sizes, 200_000)
    monkeypatch.setattr(u, "_DIRECT", 1)
    assert u.pitman(sizes, 200_000) == pytest.approx(by_terms, rel=1e-9)


@pytest.mark.parametrize("start", [50.0, 333.25, 1e6, 1e12])
@pytest.mark.parametrize("count", [1, 50, 20_000])
def test_digamma_differences_keep_their_digits(start: float, count: int) -> None:
    expected = math.fsum(1 / (start + i) for i in range(count))
    assert u._digamma_gap(start, count) == pytest.approx(expected, rel=1e-13)


def test_pitman_has_no_answer_without_a_maximum() -> None:
    assert u.pitman(np.ones(50, dtype=np.int64), 1000) is None
    assert u.pitman(np.array([1], dtype=np.int64), 1000) is None
    assert u.pitman(np.array([1, *[40] * 30]), 10_000) is None


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.05), (2.0, 0.5), (1.0, 0.01), (10.0, 0.5)])
@pytest.mark.parametrize("fraction", [0.12, 0.3, 0.7])
def test_snb_expectations_are_those_of_its_model(
    alpha: float, beta: float, fraction: float
) -> None:
    # A class has 1 + X people; each is drawn with probability f.
    people = np.arange(1, 6_000)
    weight = stats.nbinom.pmf(people - 1, alpha, beta)
    ones, twos = (
        1000 * float((weight * stats.binom.pmf(seen, people, fraction)).sum()) for seen in (1, 2)
    )
    point = np.array([math.log(alpha), math.log(beta / (1 - beta))])
    found = np.exp(u._snb_expected(1000.0, fraction, point))
    assert found.tolist() == pytest.approx([ones, twos], rel=1e-8)
    # And from the two numbers the model's own share of uniques comes back.
    assert u._solve_snb(1000.0, fraction, ones, twos) == pytest.approx(1000 * beta**alpha, rel=1e-4)


def test_snb_estimates_a_simulated_population() -> None:
    rng = np.random.default_rng(3)
    people = 1 + rng.negative_binomial(1, 0.3, 100_000)
    drawn = rng.binomial(people, 0.5)
    found = u.snb(drawn[drawn > 0], int(people.sum()))
    assert found == pytest.approx(int((people == 1).sum()), rel=0.03)


def test_a_huge_class_does_not_overflow() -> None:
    sizes = np.array([1] * 40 + [2] * 15 + [3_000_000], dtype=np.int64)
    found = u.snb(sizes, 6_000_000)
    assert found is not None
    assert 0 < found < 1000


def test_dankar_picks_by_the_sampling_fraction() -> None:
    sizes, _ = _sampled(100_000, 5_000, 30_000, 1)
    low = u.population_uniqueness(_classes(sizes), 100_000)
    assert (low.model, low.dankar) == ("pitman", low.pitman)
    high = u.population_uniqueness(_classes(sizes), 20_000)
    assert high.sampling_fraction == 0.25
    assert high.snb is not None
    assert high.dankar == min(high.snb, high.zayatz)
    assert high.model == ("snb" if high.snb <= high.zayatz else "zayatz")
    assert high.share == high.dankar / 20_000


def test_dankar_falls_back_to_zayatz() -> None:
    all_unique = _classes(np.ones(50, dtype=np.int64))
    found = u.population_uniqueness(all_unique, 1000)
    assert (found.pitman, found.model, found.dankar) == (None, "zayatz", found.zayatz)
    found = u.population_uniqueness(all_unique, 100)
    assert (found.snb, found.model) == (None, "zayatz")


def test_a_sample_without_uniques_estimates_none() -> None:
    found = u.population_uniqueness(_classes(np.array([2, 3])), 1000)
    assert (found.model, found.dankar, found.share, found.sample_uniques) == ("none", 0.0, 0.0, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=2, max_size=40))
def test_a_whole_population_has_the_uniques_it_has(sizes: list[int]) -> None:
    found = u.population_uniqueness(_classes(np.array(sizes)), sum(sizes))
    assert found.sampling_fraction == 1.0
    assert found.dankar == pytest.approx(sizes.count(1), abs=1e-9)


def test_a_population_below_the_sample_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        u.population_uniqueness(_classes(np.array([1, 2])), 2)
    assert caught.value.key == "risk.population_below_sample"
