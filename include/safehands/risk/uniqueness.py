"""How many people are unique in the population, estimated from a sample's class sizes.

Estimators as ARX offers them: Zayatz, Pitman, the slide negative binomial (SNB), and the decision
rule of Dankar et al. that picks between them. All assume a simple random sample. They are
estimates of a number of people, not probabilities for one person.

An estimate is ``None`` when its model has no answer for the data (no solution of its equations, or
a solution outside the population).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special  # type: ignore[import-untyped]

from safehands.errors import PolicyError
from safehands.risk import uniqueness_arx as arx
from safehands.risk._columns import Floats, Ints
from safehands.risk.classes import Classes

__all__ = ["Uniqueness", "pitman", "population_uniqueness", "sample_uniques", "snb", "zayatz"]

_DIRECT = 1 << 14
"""Up to this many terms a sum is added term by term; beyond, by digamma differences."""


_STARTS = (0.0, -2.0, 2.0, -4.5, 4.5, -8.0, 8.0)
_FARTHEST = 40.0


@dataclass(frozen=True)
class Uniqueness:
    """Uniques of the sample and estimated uniques of the population (numbers of people).

    ``dankar`` is the estimate that the decision rule chose, ``model`` the name of its model
    (``none`` when the sample has no uniques). ``share`` is ``dankar`` / ``population``. The fields
    that end in ``_arx`` are what ARX's code gives (why it differs: :mod:`.uniqueness_arx`);
    ``zayatz`` is the same in both.
    """

    records: int
    population: int
    sampling_fraction: float
    sample_uniques: int
    sample_share: float
    zayatz: float
    pitman: float | None
    snb: float | None
    dankar: float
    model: str
    share: float
    pitman_arx: float | None
    snb_arx: float | None
    dankar_arx: float
    model_arx: str
    share_arx: float


@dataclass(frozen=True)
class _Histogram:
    """Class sizes ascending, how many classes have each, and the sums ARX calls n, u, c1, c2."""

    size: Floats
    classes: Floats

    @property
    def records(self) -> float:
        return float((self.size * self.classes).sum())

    @property
    def total(self) -> float:
        return float(self.classes.sum())

    def of_size(self, size: int) -> float:
        return float(self.classes[self.size == size].sum())


def sample_uniques(classes: Classes) -> int:
    """Return how many records are alone in their class."""
    return int(np.count_nonzero(classes.sizes == 1))


def population_uniqueness(classes: Classes, population: int) -> Uniqueness:
    """Estimate the uniques of a population of ``population`` people by all models.

    Decision rule (Dankar, El Emam, Neisa, Roffey, "Estimating the re-identification risk of
    clinical data sets", 2012; ARX's ``RiskModelPopulationUniqueness``): up to a sampling fraction
    of 0.1 Pitman, or Zayatz where Pitman has no answer; above it the lower of Zayatz and SNB, or
    Zayatz where SNB has no answer. Without sample uniques everything is 0.

    Raises ``PolicyError`` (``risk.population_below_sample``).
    """
    if population < classes.records:
        raise PolicyError("risk.population_below_sample", records=classes.records)
    uniques = sample_uniques(classes)
    fraction = classes.records / population
    by_zayatz = zayatz(classes.sizes, population)
    by_pitman, theta = _pitman(classes.sizes, population)
    by_snb = snb(classes.sizes, population)
    dankar, model = _dankar(fraction, by_zayatz, by_pitman, by_snb)
    # ARX refuses a solution with a negative θ.
    pitman_arx = by_pitman if theta >= 0 else None
    size, counts = np.unique(classes.sizes, return_counts=True)
    snb_arx = arx.snb_arx(size.astype(np.float64), counts.astype(np.float64), population)
    dankar_arx, model_arx = arx.dankar_arx(fraction, by_zayatz, pitman_arx, snb_arx)
    return Uniqueness(
        records=classes.records,
        population=population,
        sampling_fraction=fraction,
        sample_uniques=uniques,
        sample_share=uniques / classes.records,
        zayatz=by_zayatz,
        pitman=by_pitman,
        snb=by_snb,
        dankar=dankar,
        model=model if uniques else "none",
        share=dankar / population,
        pitman_arx=pitman_arx,
        snb_arx=snb_arx,
        dankar_arx=dankar_arx,
        model_arx=model_arx if uniques else "none",
        share_arx=dankar_arx / population,
    )


def _dankar(
    fraction: float, by_zayatz: float, by_pitman: float | None, by_snb: float | None
) -> tuple[float, str]:
    if fraction <= 0.1 and by_pitman is not None:
        return by_pitman, "pitman"
    if fraction > 0.1 and by_snb is not None and by_snb <= by_zayatz:
        return by_snb, "snb"
    return by_zayatz, "zayatz"


def _histogram(sizes: Ints) -> _Histogram:
    size, classes = np.unique(sizes, return_counts=True)
    return _Histogram(size.astype(np.float64), classes.astype(np.float64))


def zayatz(sizes: Ints, population: int) -> float:
    """Estimate by Zayatz: uniques of the sample, times P(unique in the population), / fraction.

    With u classes of which c_j have j records, and H(j) the hypergeometric probability that a
    sample of n out of N holds exactly one of j people: P = c₁·H(1) / Σ c_j·H(j).

    Source: Zayatz, "Estimation of the number of unique population elements using a sample" (U.S.
    Bureau of the Census, 1991); ARX's ``ModelZayatz``.
    """
    histogram = _histogram(sizes)
    uniques = histogram.of_size(1)
    if uniques == 0:
        return 0.0
    chance = _one_of(histogram.size, int(histogram.records), population)
    fraction = histogram.records / population
    weight = float((histogram.classes * chance).sum())
    return uniques * (uniques * float(chance[0]) / weight) / fraction


def _one_of(size: Floats, sample: int, population: int) -> Floats:
    """Return the probability that a sample holds exactly one of ``size`` people, per size.

    size · n/N · the product over i < size - 1 of (N - n - i) / (N - 1 - i); as a running sum of
    logarithms, because factorials of millions lose every digit.
    """
    steps = np.arange(int(size[-1]) - 1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_step = np.log1p(-np.minimum(1.0, (sample - 1) / (population - 1 - steps)))
    running = np.concatenate(([0.0], np.cumsum(log_step)))
    chance = size * (sample / population) * np.exp(running[size.astype(np.int64) - 1])
    return np.asarray(chance, dtype=np.float64)


def pitman(sizes: Ints, population: int) -> float | None:
    """Estimate by Pitman's sampling formula: Γ(θ+1) / Γ(θ+α) · N^α.

    θ and α maximise the likelihood of the class sizes; instead of Newton steps from a guess (ARX)
    both equations are bracketed and solved, so there is no start value to be lucky with. ``None``
    when the likelihood has no maximum inside 0 < α < 1, θ > -α (all unique, or no surplus of small
    classes) or when the estimate exceeds the population.

    Source: Hoshino, "Applying Pitman's sampling formula to microdata disclosure risk assessment"
    (Journal of Official Statistics 17, 2001); ARX's ``ModelPitman``.
    """
    return _pitman(sizes, population)[0]


def _pitman(sizes: Ints, population: int) -> tuple[float | None, float]:
    """Return (estimate, θ), θ being 0 without an estimate."""
    histogram = _histogram(sizes)
    if histogram.of_size(1) == 0:
        return 0.0, 0.0
    if histogram.total == histogram.records or histogram.total == 1:
        return None, 0.0
    alpha = _root(lambda value: _alpha_slope(histogram, value), 1e-9, 1 - 1e-12)
    if alpha is None:
        return None, 0.0
    theta = _best_theta(histogram, alpha)
    uniques = float(special.poch(theta + alpha, 1 - alpha)) * float(population) ** alpha
    return (uniques, theta) if uniques <= population else (None, 0.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float | None:
    if not function(low) > 0 > function(high):
        return None
    return float(optimize.brentq(function, low, high, xtol=1e-15, rtol=1e-14, maxiter=500))


def _best_theta(histogram: _Histogram, alpha: float) -> float:
    """Return the θ at which the likelihood's slope in θ is zero, for a given α.

    The slope falls from +∞ at -α to below zero, so the search runs on the logarithm of θ + α.
    """

    def slope(log_shift: float) -> float:
        theta = float(np.exp(log_shift)) - alpha
        return _inverse_sum(theta, alpha, histogram.total) - _inverse_sum(
            theta, 1.0, histogram.records
        )

    high = float(np.log(histogram.records)) + 2.0
    while slope(high) > 0:
        high += 2.0
    low = -2.0
    while slope(low) < 0:
        low -= 2.0
    root = float(optimize.brentq(slope, low, high, xtol=1e-15, rtol=1e-14, maxiter=500))
    return float(np.exp(root)) - alpha


def _alpha_slope(histogram: _Histogram, alpha: float) -> float:
    """Return the likelihood's slope in α along the ridge of best θ."""
    theta = _best_theta(histogram, alpha)
    large = histogram.size > 1
    sums = special.digamma(histogram.size[large] - alpha) - special.digamma(1.0 - alpha)
    return _weighted_sum(theta, alpha, histogram.total) - float(
        (histogram.classes[large] * sums).sum()
    )


def _inverse_sum(theta: float, step: float, count: float) -> float:
    """Return the sum of 1 / (θ + i·step) for i = 1 … count - 1."""
    if count <= _DIRECT:
        return float((1.0 / (theta + step * np.arange(1, int(count)))).sum())
    return _digamma_gap(1.0 + theta / step, count - 1) / step


def _weighted_sum(theta: float, step: float, count: float) -> float:
    """Return the sum of i / (θ + i·step) for i = 1 … count - 1."""
    if count <= _DIRECT:
        index = np.arange(1, int(count))
        return float((index / (theta + step * index)).sum())
    return (count - 1 - theta * _inverse_sum(theta, step, count)) / step


def _digamma_gap(start: float, count: float) -> float:
    """Return ψ(start + count) - ψ(start), without cancellation for a large start."""
    end = start + count
    if start < 50:
        return float(special.digamma(end) - special.digamma(start))
    return float(np.log1p(count / start)) + _digamma_tail(end) - _digamma_tail(start)


def _digamma_tail(value: float) -> float:
    """Return ψ(value) - ln(value) for value ≥ 50 (asymptotic series, error below 1e-17)."""
    inverse = 1.0 / (value * value)
    return -0.5 / value - inverse * (1 / 12 - inverse * (1 / 120 - inverse * (1 / 252)))


def snb(sizes: Ints, population: int) -> float | None:
    """Estimate by the slide negative binomial model: K·β^α.

    A population class has 1 + X people, X negative binomial (α, β); K is the number of population
    classes by Shlosser's modified estimator; α and β make the expected numbers of sample classes
    of one and of two records equal to the observed. ``None`` when no α > 0, 0 < β < 1 does.

    Sources: Chen and Keller-McNulty, "Estimation of identification disclosure risk in microdata"
    (Journal of Official Statistics 14, 1998); Haas and Stokes, "Estimating the number of classes in
    a finite population" (1998). The formulas are those papers'; ARX's code differs from them in two
    places, see :func:`safehands.risk.uniqueness_arx.snb_arx`.
    """
    histogram = _histogram(sizes)
    ones, twos = histogram.of_size(1), histogram.of_size(2)
    fraction = histogram.records / population
    if ones == 0:
        return 0.0
    if twos == 0 or fraction >= 1:
        return ones if fraction >= 1 else None
    total = _population_classes(histogram, fraction)
    return _solve_snb(total, fraction, ones, twos)


def _population_classes(histogram: _Histogram, fraction: float) -> float:
    """Estimate the population's number of classes (Shlosser, modified; Haas and Stokes 1998)."""
    size, classes, f = histogram.size, histogram.classes, fraction
    missed = (1 - f) ** size * classes
    # (1 - f)^i·((1 + f)^i - 1), written so that a large class does not overflow.
    seen = (1 - f**2) ** size * classes - missed
    first = (size * f**2 * (1 - f**2) ** (size - 1) * classes).sum() / seen.sum()
    second = missed.sum() / (size * f * (1 - f) ** (size - 1) * classes).sum()
    return histogram.total + histogram.of_size(1) * float(first) * float(second) ** 2


def _solve_snb(total: float, fraction: float, ones: float, twos: float) -> float | None:
    """Solve the two equations in ln α and logit β from a fixed grid of starts; first root wins."""

    def excess(point: Floats) -> Floats:
        return _snb_expected(total, fraction, point) - np.log([ones, twos])

    for log_alpha in _STARTS:
        for logit_beta in _STARTS:
            found = optimize.root(excess, [log_alpha, logit_beta], tol=1e-14)
            if np.abs(found.fun).max() < 1e-10 and np.abs(found.x).max() < _FARTHEST:
                alpha, beta = np.exp(found.x[0]), special.expit(found.x[1])
                return total * float(beta**alpha)
    return None


def _snb_expected(total: float, fraction: float, point: Floats) -> Floats:
    """Return the logarithms of the expected numbers of sample classes of one and two records.

    With d = (1 - f)(1 - β): K·f·(β/(1-d))^α·(1 + α·d/(1-d)) and
    K·f²·α·(1-β)·β^α·(2 - (1-α)·d) / (2·(1-d)^(α+2)).
    """
    alpha = np.exp(np.clip(point[0], -_FARTHEST, _FARTHEST))
    log_beta, log_rest = special.log_expit(point[1]), special.log_expit(-point[1])
    d = (1 - fraction) * np.exp(log_rest)
    log_left = np.log1p(-d)
    level = np.log(total * fraction) + alpha * (log_beta - log_left)
    twice = 2 - (1 - alpha) * d
    return np.array(
        [
            level + np.log1p(alpha * d / (1 - d)),
            level + np.log(fraction * alpha / 2) + log_rest - 2 * log_left + np.log(twice),
        ]
    )
