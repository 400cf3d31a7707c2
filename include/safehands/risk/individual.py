"""The risk of each single record under sampling weights, and the sum over all.

Source: Benedetti and Franconi (1998) and Franconi and Polettini, "Individual risk estimation in
μ-Argus" (2004), with the formulas of sdcMicro's ``freqCalc``, ``indivRisk`` and ``measure_risk``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Bools, Codes, Floats, Ints
from safehands.risk.classes import Classes, combine, distinct_keys

__all__ = ["IndividualRisk", "Missing", "class_risks", "frequencies", "individual_risk"]

Missing = Literal["category", "wildcard"]
"""How a missing value matches; see :func:`frequencies`."""
Method = Literal["approx", "exact"]

_UPWARDS = 50
_TERMS = 60


@dataclass(frozen=True, repr=False)
class IndividualRisk:
    """Per record: ``risk``, its sample frequency ``fk`` and estimated population frequency ``Fk``.

    Over all: ``expected`` re-identifications (the sum of the risks, sdcMicro's
    ``global_risk_ER``), ``share`` of the records (``global_risk``) and ``highest``.
    """

    risk: Floats
    fk: Ints
    Fk: Floats
    expected: float
    share: float
    highest: float


def frequencies(
    classes: Classes, weights: Floats | None = None, *, missing: Missing = "category"
) -> tuple[Ints, Floats]:
    """Return (fk, Fk) per class: matching records and the sum of their weights (1 without).

    ``missing="category"``: a missing value matches only a missing value. ``"wildcard"``: it matches
    every value, as in sdcMicro's ``freqCalc`` with its default ``alpha = 1``; the work grows with
    the square of the number of different patterns of missing cells.

    Raises ``PolicyError`` (``risk.bad_parameter``) when there is not one weight per row.
    """
    mass = _mass(classes, weights)
    if missing == "category":
        return classes.sizes, mass
    return _matching(classes, mass)


def _mass(classes: Classes, weights: Floats | None) -> Floats:
    if weights is None:
        return classes.sizes.astype(np.float64)
    if weights.shape != classes.codes.shape:
        raise PolicyError("risk.bad_parameter", name="weight")
    return np.asarray(np.bincount(classes.codes, weights, len(classes)), dtype=np.float64)


def _matching(classes: Classes, mass: Floats) -> tuple[Ints, Floats]:
    missing = np.stack([column == 0 for column in classes.tuples])
    patterns, which = np.unique(missing, axis=1, return_inverse=True)
    which = which.reshape(-1)
    fk, total = np.zeros(len(classes)), np.zeros(len(classes))
    for one in range(patterns.shape[1]):
        for other in range(patterns.shape[1]):
            shared = np.flatnonzero(~(patterns[:, one] | patterns[:, other]))
            mine, theirs = which == one, which == other
            keys, found = _keys(classes, shared, mine | theirs)
            fk[mine] += _sums(keys, found, classes.sizes.astype(np.float64), theirs)[keys[mine]]
            total[mine] += _sums(keys, found, mass, theirs)[keys[mine]]
    return fk.astype(np.int64), total


def _keys(classes: Classes, columns: Ints, rows: Bools) -> tuple[Codes, int]:
    """Number the combinations of ``columns`` within ``rows``; 0 elsewhere."""
    keys = np.zeros(len(classes), dtype=np.int32)
    if len(columns) == 0:
        return keys, 1
    picked = [classes.tuples[index][rows] for index in columns]
    keys[rows], found = distinct_keys(*combine(picked, [classes.radices[i] for i in columns]))
    return keys, found


def _sums(keys: Codes, found: int, values: Floats, rows: Bools) -> Floats:
    return np.asarray(np.bincount(keys[rows], values[rows], found), dtype=np.float64)


def individual_risk(
    classes: Classes,
    weights: Floats | None = None,
    *,
    missing: Missing = "category",
    method: Method = "approx",
) -> IndividualRisk:
    """Estimate each record's risk, E(1/F | f), from fk, Fk and p = fk / Fk.

    ``approx`` (sdcMicro's default): f = 1: p/(1-p)·ln(1/p); f = 2: p/(1-p) - (p/(1-p))²·ln(1/p);
    f > 2: p / (f - (1 - p)); and 1/f where Fk = fk. ``exact``: (p^f / f)·₂F₁(f, f; f+1; 1-p) for
    every f. Without weights the table is the population: 1/fk.

    Raises ``PolicyError``: ``risk.bad_parameter`` for weights of another length,
    ``risk.population_too_small`` where weights make a class's population smaller than its sample.
    """
    fk, total = frequencies(classes, weights, missing=missing)
    per_class = class_risks(fk, total, method=method)
    risk = per_class[classes.codes]
    expected = float((per_class * classes.sizes).sum())
    return IndividualRisk(
        risk=risk,
        fk=fk[classes.codes],
        Fk=total[classes.codes],
        expected=expected,
        share=expected / classes.records,
        highest=float(per_class.max()),
    )


def class_risks(fk: Ints, total: Floats, *, method: Method = "approx") -> Floats:
    """Return the risk of a record of each class from fk and ``total`` = Fk.

    Formulas, sources and errors as in :func:`individual_risk`.
    """
    short = int(np.count_nonzero(total < fk * (1 - 1e-9)))
    if short:
        raise PolicyError("risk.population_too_small", count=short)
    f = fk.astype(np.float64)
    p = np.minimum(1.0, f / total)
    estimate = _exact(f, p) if method == "exact" else _approximate(f, p)
    return np.where(p == 1.0, 1.0 / f, estimate)


def _exact(f: Floats, p: Floats) -> Floats:
    """Return p·J(f) with J(f) = ∫₀¹ (1 - t)^(f-1) / (1 - (1 - p)t) dt, Euler's form of the series.

    Upwards in f, J(f + 1) = (1/f - p·J(f)) / (1 - p) loses nothing while p < 1/2; the series
    Σ n!/(f+1)ₙ·(1 - p)ⁿ converges within sixty terms for p ≥ 1/2 and for f above fifty.
    """
    result = np.empty(len(f))
    upwards = (p < 0.5) & (f <= _UPWARDS)
    result[upwards] = _by_recursion(f[upwards], p[upwards])
    result[~upwards] = _by_series(f[~upwards], p[~upwards])
    return result


def _by_recursion(f: Floats, p: Floats) -> Floats:
    value = -np.log(p) / (1.0 - p)
    for step in range(1, int(f.max(initial=1))):
        value = np.where(f > step, (1.0 / step - p * value) / (1.0 - p), value)
    return np.asarray(p * value, dtype=np.float64)


def _by_series(f: Floats, p: Floats) -> Floats:
    term, total = np.ones(len(f)), np.ones(len(f))
    for step in range(1, _TERMS):
        term = term * (step * (1.0 - p) / (f + step))
        total += term
    return np.asarray(p / f * total, dtype=np.float64)


def _approximate(f: Floats, p: Floats) -> Floats:
    risk = p / (f - (1.0 - p))
    single, double = f == 1, f == 2
    risk[single] = _single(p[single])
    risk[double] = _double(p[double])
    return risk


def _single(p: Floats) -> Floats:
    q = 1.0 - p
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(q > 0, -p / q * np.log(p), 1.0)


def _double(p: Floats) -> Floats:
    """Return p/q - (p/q)²·ln(1/p); for small q by its series, where the terms would cancel."""
    q = 1.0 - p
    series = p * sum(q**power / ((power + 1) * (power + 2)) for power in range(9))
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = p / q + (p / q) ** 2 * np.log(p)
    return np.where(q < 0.01, series, closed)
