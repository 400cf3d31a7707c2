"""What pyCANON computes differently, as pyCANON prints it: two l-diversity figures, missing values.

All its other figures are equal to those of :mod:`safehands.risk.anonymity`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from safehands.risk.classes import Classes
from safehands.risk.spread import Spread

__all__ = ["entropy_l_pycanon", "recursive_c_pycanon", "without_missing"]

_CANDIDATES = 10_000


def without_missing(classes: Classes, sensitive: Spread) -> Spread | None:
    """Return the spread without the class of rows that lack the only quasi-identifier.

    pandas groups by several columns with a missing value as a key like any other, and by a single
    column without it: so pyCANON, given one quasi-identifier, leaves those rows out of the classes
    but counts them in the shares of the whole table. ``None`` where no class is left.
    """
    if len(classes.quasi) > 1 or classes.tuples[0][0] != 0:
        return sensitive
    if len(classes) == 1:
        return None
    # Classes ascend by value and a missing one comes first.
    stays = sensitive.owner > 0
    return replace(
        sensitive,
        owner=sensitive.owner[stays] - 1,
        value=sensitive.value[stays],
        count=sensitive.count[stays],
        sizes=sensitive.sizes[1:],
        whole=sensitive.records,
    )


def entropy_l_pycanon(sensitive: Spread) -> int:
    """Return entropy l cut down to a whole number after exponentiation, as pyCANON does.

    So three equally frequent values may give 2, because e^(ln 3) can come out as
    2.9999999999999996. The sum is taken in pyCANON's order, so that this comes out alike (for the
    first 10,000 classes of lowest entropy).
    """
    share = sensitive.share
    entropy = -sensitive.per_class(share * np.log(share))
    lowest = np.flatnonzero(entropy <= entropy.min() + 1e-9)[:_CANDIDATES]
    ends = np.append(sensitive.starts[1:], len(sensitive.count))
    seen = {tuple(sensitive.count[sensitive.starts[one] : ends[one]].tolist()) for one in lowest}
    found = [_entropy(counts) for counts in seen]
    return int(np.min(np.exp(1) ** np.array(found)))


def _entropy(counts: Sequence[int]) -> float:
    total = sum(counts)
    share = np.array([count / total for count in counts])
    return -float(np.sum(share * np.log(share)))


def recursive_c_pycanon(sensitive: Spread, l: int) -> float:  # noqa: E741
    """Return pyCANON's c for recursive (c, l)-diversity; NaN for l = 1, as pyCANON does.

    pyCANON sorts a class's counts in ascending order, r₁ ≤ r₂ ≤ …, and takes the highest
    ⌊r₁ / (r_l + … + r_m) + 1⌋, which is 1 or 2 whatever the table. ``l`` is the distinct l of the
    table (over all sensitive columns that pyCANON was given).
    """
    if l <= 1:
        return math.nan
    order = np.lexsort((sensitive.count, sensitive.owner))
    counts = sensitive.count[order]
    rank = np.arange(len(order)) - sensitive.starts[sensitive.owner]
    tail = np.add.reduceat(np.where(rank >= l - 1, counts, 0), sensitive.starts)
    return float(np.floor(counts[sensitive.starts] / tail + 1).max())
