"""How easily people could be recognised in the pseudonymised tables, as plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from safehands.report.people import QUASI, SENSITIVE
from safehands.risk import Assumptions, assess, group
from safehands.risk.level import LEAST_CLASS, assess_level
from safehands.threats import Judged

__all__ = ["BANDS", "exposure"]

_THRESHOLD = 0.2
"""Our policy, not law: the acceptable risk of one record is 1/5."""

BANDS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 0))
"""Sizes of groups in the histogram, first and last; 0 stands for "and more"."""


def exposure(people: pa.Table, threats: Judged) -> dict[str, Any]:
    """Return the re-identification figures of one row per person, as JSON types.

    ``version`` 1. ``people``; ``k``; ``histogram``: per entry of ``BANDS`` first, last and people;
    ``releases``: for public and controlled sharing the least group, people below it and the level
    of GB/T 42460; ``figures``: all of ``RiskReport.as_dict()``. Without people only ``version``,
    ``people`` and ``k`` (0). ``threats``: what somebody judged, or the worst.

    The figures hold for this table and these quasi-identifiers. They don't say what else an
    attacker knows, and a good one is not anonymity (PIPL 73).
    """
    if people.num_rows == 0:
        return {"version": 1, "people": 0, "k": 0}
    assumed = Assumptions(threshold=_THRESHOLD, **threats.probabilities())
    report = assess(people, QUASI, SENSITIVE, assumptions=assumed)
    sizes = np.array(list(report.class_sizes.items()), dtype=np.int64).reshape(-1, 2)
    return {
        "version": 1,
        "people": people.num_rows,
        "k": report.k,
        "histogram": [[low, high, _between(sizes, low, high)] for low, high in BANDS],
        "releases": [_release(people, sizes, n, threats) for n in ("public", "controlled")],
        "figures": report.as_dict(),
    }


def _between(sizes: Any, low: int, high: int) -> int:
    chosen = (sizes[:, 0] >= low) & ((sizes[:, 0] <= high) | (high == 0))
    return int((sizes[chosen, 0] * sizes[chosen, 1]).sum())


def _release(people: pa.Table, sizes: Any, name: Any, threats: Judged) -> dict[str, Any]:
    found = assess_level(group(people, QUASI), name, **threats.probabilities())
    least = LEAST_CLASS[found.release]  # type: ignore[index]
    return {
        "release": found.release,
        "least": least,
        "below": _between(sizes, 1, least - 1),
        "level": found.level,
        "overall": round(found.overall, 9),
        "acceptable": found.acceptable,
    }
