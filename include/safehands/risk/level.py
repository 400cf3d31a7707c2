"""The de-identification level of GB/T 42460-2023 (Guide for evaluating the effectiveness of
personal information de-identification), chapter 4 and annex D.

The guide's prose speaks of a risk that is "greater than or equal to" the threshold τ where its
formula says "greater than". A class of exactly 1/τ people (k = 20, 5, 3) is accepted in its
examples, so the formula is followed here, and reports say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from safehands.errors import PolicyError
from safehands.risk.classes import Classes

__all__ = ["ACCEPTABLE", "LEAST_CLASS", "LevelRisk", "Release", "assess_level", "level"]

Release = Literal["public", "controlled", "enclave"]

LEAST_CLASS: dict[Release, int] = {"public": 20, "controlled": 5, "enclave": 3}
"""1/τ: the smallest class that each way of sharing allows (τ = 1/20, 1/5, 1/3)."""

ACCEPTABLE = 0.05
"""The highest overall risk R that is acceptable."""


@dataclass(frozen=True)
class LevelRisk:
    """The quantities of annex D, and the level (1 to 4) that follows.

    ``threshold`` τ; ``share_above`` DRa, share of the classes with θ > τ; ``highest`` and
    ``average`` θ over the classes; ``data_risk`` DR; ``context_risk`` CR; ``overall`` R.
    """

    release: str
    level: int
    threshold: float
    share_above: float
    highest: float
    average: float
    data_risk: float
    context_risk: float
    overall: float
    acceptable: bool


def assess_level(
    classes: Classes,
    release: Release,
    *,
    deliberate: float = 1.0,
    inadvertent: float = 1.0,
    breach: float = 1.0,
    direct_identifiers: bool = False,
) -> LevelRisk:
    """Assess a table with quasi-identifiers before it is shared in the way ``release`` names.

    θ = 1 / class size. DRa, the share of classes with θ > τ, must be 0, otherwise R is 1. Else
    R = DR · CR, where DR is the highest θ (public) or the average θ over the classes (controlled,
    enclave) and CR the highest of the probabilities of a deliberate attack, an inadvertent
    recognition and a breach (T1, T2, T3; 1 for public whatever they are). Acceptable: R ≤ 0.05.

    The probabilities are a judgement of whoever assesses; they default to 1, the worst. Level 1
    with direct identifiers, else 3 if acceptable, else 2; for a table without any identifier see
    :func:`level`. An average over records instead of classes would never be higher.

    Raises ``PolicyError`` (``risk.bad_parameter``) for an unknown release or a probability
    outside [0, 1].
    """
    if release not in LEAST_CLASS:
        raise PolicyError("risk.bad_parameter", name="release")
    context = _context(release, {"T1": deliberate, "T2": inadvertent, "T3": breach})
    theta = 1.0 / classes.sizes
    # Sizes are compared, not quotients: 1/τ is a whole number and θ is rounded.
    above = int(np.count_nonzero(classes.sizes < LEAST_CLASS[release])) / len(classes)
    highest, average = float(theta.max()), float(theta.mean())
    data = highest if release == "public" else average
    overall = 1.0 if above else data * context
    # The mean of many times 1/20 may come out a hair above 1/20.
    acceptable = overall <= ACCEPTABLE * (1 + 1e-12)
    return LevelRisk(
        release=release,
        level=level(direct=direct_identifiers, quasi=True, acceptable=acceptable),
        threshold=1.0 / LEAST_CLASS[release],
        share_above=above,
        highest=highest,
        average=average,
        data_risk=data,
        context_risk=context,
        overall=overall,
        acceptable=acceptable,
    )


def _context(release: Release, threats: dict[str, float]) -> float:
    for name, probability in threats.items():
        if not 0 <= probability <= 1:
            raise PolicyError("risk.bad_parameter", name=name)
    return 1.0 if release == "public" else max(threats.values())


def level(*, direct: bool, quasi: bool, acceptable: bool) -> int:
    """Return the level: 1 direct identifiers; 4 no identifier; 3 acceptable risk; 2 otherwise."""
    if direct:
        return 1
    if not quasi:
        return 4
    return 3 if acceptable else 2
