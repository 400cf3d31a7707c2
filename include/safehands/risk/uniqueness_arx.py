"""Population uniqueness as ARX's code computes it, where that differs from the papers.

Read from ARX's ``ModelSNB``, ``ModelPitman``, ``RiskModelPopulationUniqueness`` and the solver
they use. The differences:

- SNB: in Shlosser's sum ARX takes 1 off the product (1 - f)ⁱ·(1 + f)ⁱ·cᵢ once per size, not off
  the power; and in the second equation (1 - d)^(α+2) multiplies instead of dividing. Its matrix of
  derivatives belongs to the divided form, so the steps are not Newton's and mostly lead nowhere:
  for sampling fractions below about 0.8 ARX's SNB rarely has an answer.
- Pitman: solutions with θ < 0 are refused.
- The decision rule then falls back to Zayatz more often.

ARX starts from random points and stops when both equations are within 10⁻⁶. Here the starts are a
fixed grid and the root is followed to full precision, so ARX's figure agrees to about its own
precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from safehands.risk._columns import Floats

__all__ = ["dankar_arx", "snb_arx"]

_STARTS = 40
"""Starting points per axis, inside (0, 1): ARX draws from (-1, 1), where β < 0 has no power."""

_STEPS = 200
_CLOSE = 1e-6
_POLISH = 60


class _Known(NamedTuple):
    """Population classes K, sampling fraction, observed classes of one and of two records."""

    total: float
    fraction: float
    ones: float
    twos: float


def snb_arx(size: Floats, classes: Floats, population: int) -> float | None:
    """Return ARX's SNB estimate K·β^α; ``None`` where its iteration finds no solution.

    ``size`` ascending with ``classes[i]`` classes of ``size[i]`` records.
    """
    fraction = float((size * classes).sum()) / population
    ones, twos = (float(classes[size == n].sum()) for n in (1, 2))
    if ones == 0:
        return 0.0
    with np.errstate(all="ignore"):
        known = _Known(_total(size, classes, ones, fraction), fraction, ones, twos)
        point = _solve(known)
    if point is None:
        return None
    alpha, beta = point
    uniques = known.total * beta**alpha
    return uniques if np.isfinite(uniques) and uniques != 0 else None


def _total(size: Floats, classes: Floats, ones: float, f: float) -> float:
    """Return ARX's estimate of the population's number of classes."""
    missed = (1 - f) ** size * classes
    first = (size * f**2 * (1 - f**2) ** (size - 1) * classes).sum()
    seen = ((1 - f**2) ** size * classes - 1).sum()
    second = missed.sum() / (size * f * (1 - f) ** (size - 1) * classes).sum()
    return float(classes.sum() + ones * (first / seen) * second**2)


def _solve(known: _Known) -> tuple[float, float] | None:
    axis = (np.arange(_STARTS) + 0.5) / _STARTS
    alpha, beta = (grid.ravel() for grid in np.meshgrid(axis, axis))
    for _ in range(_STEPS):
        one, two = _excess(known, alpha, beta)
        close = (np.abs(one) <= _CLOSE) & (np.abs(two) <= _CLOSE)
        if close.any():
            place = int(np.argmax(close))
            return _polished(known, alpha[place : place + 1], beta[place : place + 1])
        alpha, beta = _next(known, alpha, beta, one, two)
    return None


def _polished(known: _Known, alpha: Floats, beta: Floats) -> tuple[float, float]:
    best, found = np.inf, (float(alpha[0]), float(beta[0]))
    for _ in range(_POLISH):
        one, two = _excess(known, alpha, beta)
        worst = max(abs(float(one[0])), abs(float(two[0])))
        if not worst < best:
            break
        best, found = worst, (float(alpha[0]), float(beta[0]))
        alpha, beta = _next(known, alpha, beta, one, two)
    return found


def _excess(known: _Known, alpha: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return what ARX's two equations miss zero by."""
    k, f, ones, twos = known
    d = (1 - f) * (1 - beta)
    one = k * f * (beta / (1 - d)) ** alpha * (alpha * d / (1 - d) + 1) - ones
    two = k * f**2 * alpha * beta**alpha * (1 - beta) / 2
    return one, two * (1 - d) ** (alpha + 2) * (2 - (1 - alpha) * d) - twos


def _next(
    known: _Known, alpha: Floats, beta: Floats, one: Floats, two: Floats
) -> tuple[Floats, Floats]:
    """Return the next point: a Newton step with the derivatives of the papers' equations."""
    k, f, _, _ = known
    d = (1 - f) * (1 - beta)
    left, slope = 1 - d, f - 1
    power = (beta / left) ** alpha
    bracket = alpha * d / left + 1
    one_alpha = k * f * power * (np.log(beta / left) * bracket + d / left)
    # d falls with β at the rate 1 - f, so left rises at it.
    one_beta = (
        k * f * power * (alpha * bracket * (1 / beta + slope / left) + alpha * slope / left**2)
    )
    level = k * f**2 / 2 * beta**alpha / left ** (alpha + 2)
    tail = 2 - (1 - alpha) * d
    two_alpha = level * (1 - beta) * (tail + alpha * (np.log(beta / left) * tail + d))
    two_beta = (level * alpha) * (
        (1 - beta) * (tail * (alpha / beta + (alpha + 2) * slope / left) - (1 - alpha) * slope)
        - tail
    )
    determinant = one_alpha * two_beta - one_beta * two_alpha
    return (
        alpha - (two_beta * one - one_beta * two) / determinant,
        beta - (one_alpha * two - two_alpha * one) / determinant,
    )


def dankar_arx(
    fraction: float, by_zayatz: float, by_pitman: float | None, by_snb: float | None
) -> tuple[float, str]:
    """Return (estimate, model) by ARX's reading of the decision rule, from ARX's estimates."""
    if fraction <= 0.1:
        return (by_pitman, "pitman") if by_pitman else (by_zayatz, "zayatz")
    return (by_snb, "snb") if by_snb and by_snb <= by_zayatz else (by_zayatz, "zayatz")
