"""How easily people could be recognised in the pseudonymised tables, as plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from safehands.report.people import QUASI, SENSITIVE
from safehands.risk import Assumptions, assess, group
from safehands.risk.level import LEAST_CLASS, assess_level

__all__ = ["ASSUMED", "BANDS", "exposure"]

ASSUMED = Assumptions(
    threshold=0.2, release="controlled", deliberate=0.4, inadvertent=0.3, breach=0.3
)
"""Our policy, not law: the acceptable risk of one record is 1/5; probabilities of a deliberate
attack, an inadvertent recognition and a breach (T1, T2, T3 of GB/T 42460) until a named person
has judged them. Reports mark them "draft"."""

BANDS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 0))
"""Sizes of groups in the histogram, first and last; 0 stands for "and more"."""


def exposure(people: pa.Table) -> dict[str, Any]:
    """Return the re-identification figures of one row per person, as JSON types.

    ``version`` 1. ``people``; ``k``; ``histogram``: per entry of ``BANDS`` first, last and people;
    ``releases``: for public and controlled sharing the least group, people below it and the level
    of GB/T 42460; ``figures``: all of ``RiskReport.as_dict()``. Without people only ``version``,
    ``people`` and ``k`` (0).

    The figures hold for this table and these quasi-identifiers. They don't say what else an
    attacker knows, and a good one is not anonymity (PIPL 73).
    """
    if people.num_rows == 0:
        return {"version": 1, "people": 0, "k": 0}
    report = assess(people, QUASI, SENSITIVE, assumptions=ASSUMED)
    sizes = np.array(list(report.class_sizes.items()), dtype=np.int64).reshape(-1, 2)
    return {
        "version": 1,
        "people": people.num_rows,
        "k": report.k,
        "histogram": [[low, high, _between(sizes, low, high)] for low, high in BANDS],
        "releases": [_release(people, sizes, name) for name in ("public", "controlled")],
        "figures": report.as_dict(),
    }


def _between(sizes: Any, low: int, high: int) -> int:
    chosen = (sizes[:, 0] >= low) & ((sizes[:, 0] <= high) | (high == 0))
    return int((sizes[chosen, 0] * sizes[chosen, 1]).sum())


def _release(people: pa.Table, sizes: Any, name: Any) -> dict[str, Any]:
    threats = {k: getattr(ASSUMED, k) for k in ("deliberate", "inadvertent", "breach")}
    found = assess_level(group(people, QUASI), name, **threats)
    least = LEAST_CLASS[found.release]  # type: ignore[index]
    return {
        "release": found.release,
        "least": least,
        "below": _between(sizes, 1, least - 1),
        "level": found.level,
        "overall": round(found.overall, 9),
        "acceptable": found.acceptable,
    }
