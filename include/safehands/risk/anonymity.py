"""Anonymity of the classes themselves and of what they tell about a sensitive value.

Each function returns the figure that the table **has** (the largest k or l, the smallest t, …
for which the table satisfies the definition); nothing is changed. Values are exact up to floating
point. Where the paper and a well-known tool differ, the docstring says which is followed.

None of these figures promises anonymity in the legal sense: k says nothing about sensitive
values, l nothing about their meaning, t and the others nothing about what an attacker already
knows of one person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Floats, Ints
from safehands.risk.classes import Classes
from safehands.risk.spread import Spread

__all__ = [
    "alpha_k",
    "basic_beta",
    "class_sizes",
    "delta_disclosure",
    "distinct_l",
    "enhanced_beta",
    "entropy_l",
    "k_anonymity",
    "recursive_c",
    "recursive_l",
    "t_closeness",
    "t_hierarchical",
]


def k_anonymity(classes: Classes) -> int:
    """Return k: the size of the smallest class.

    Source: Sweeney, "k-anonymity: a model for protecting privacy" (2002); Samarati (2001).
    """
    return int(classes.sizes.min())


def class_sizes(classes: Classes) -> dict[int, int]:
    """Return the histogram of k: class size → number of classes, ascending by size."""
    sizes, counts = np.unique(classes.sizes, return_counts=True)
    return dict(zip(sizes.tolist(), counts.tolist(), strict=True))


def alpha_k(classes: Classes, sensitive: Spread) -> tuple[float, int]:
    """Return (α, k): α is the highest share that one sensitive value has in any class.

    Source: Wong, Li, Fu, Wang, "(α, k)-anonymity" (KDD 2006), over all sensitive values, as
    pyCANON computes it.
    """
    return float(sensitive.share.max()), k_anonymity(classes)


def distinct_l(sensitive: Spread) -> int:
    """Return the least number of distinct sensitive values in a class.

    Source: Machanavajjhala et al., "l-diversity: privacy beyond k-anonymity" (TKDD 2007), distinct
    l-diversity.
    """
    return int(np.bincount(sensitive.owner).min())


def entropy_l(sensitive: Spread) -> float:
    """Return exp of the lowest entropy (natural logarithm) of a class, a real number ≥ 1.

    The table has entropy l-diversity for every l up to this number. Source: Machanavajjhala et al.
    (2007); sdcMicro's ``Entropy_Ldiversity`` per class is the same. pyCANON cuts it down to a whole
    number after exponentiation (which can turn 2.9999999999999996 into 2).
    """
    share = sensitive.share
    entropy = -sensitive.per_class(share * np.log(share))
    return math.exp(max(0.0, float(entropy.min())))


def recursive_c(sensitive: Spread, l: int) -> float:  # noqa: E741
    """Return the least c that recursive (c, l)-diversity must exceed; ``inf`` if no c would do.

    With a class's value counts in descending order r₁ ≥ r₂ ≥ … ≥ r_m the definition is
    r₁ < c·(r_l + … + r_m); the figure is the highest r₁ / (r_l + … + r_m) of a class, and the
    table satisfies the definition for every c **above** it. A class with fewer than l distinct
    values has an empty sum, hence ``inf``. Source: Machanavajjhala et al. (2007), definition 4.2.
    pyCANON reads the counts in ascending order, so that its c is 1 or 2; that is not followed.

    Raises ``PolicyError`` (``risk.bad_parameter``) for l < 1.
    """
    if l < 1:
        raise PolicyError("risk.bad_parameter", name="l")
    counts, rank = _descending(sensitive)
    top = np.maximum.reduceat(counts, sensitive.starts)
    tail = np.add.reduceat(np.where(rank >= l - 1, counts, 0), sensitive.starts)
    ratio = np.divide(top, tail, out=np.full(len(top), np.inf), where=tail > 0)
    return float(ratio.max())


def recursive_l(sensitive: Spread, c: float) -> int:
    """Return the largest l ≥ 1 for which the table has recursive (c, l)-diversity.

    1 where not even l = 2 holds, as sdcMicro's ``Recursive_Ldiversity`` (its default c is 2).
    Source: Machanavajjhala et al. (2007), strict inequality.

    Raises ``PolicyError`` (``risk.bad_parameter``) unless c is positive.
    """
    if not c > 0:
        raise PolicyError("risk.bad_parameter", name="c")
    counts, rank = _descending(sensitive)
    top = np.maximum.reduceat(counts, sensitive.starts)[sensitive.owner]
    before = np.cumsum(counts) - counts
    end = (before[sensitive.starts] + sensitive.sizes)[sensitive.owner]
    holds = (rank >= 1) & (top < c * (end - before))
    return 1 + int(np.bincount(sensitive.owner, holds).min())


def _descending(sensitive: Spread) -> tuple[Ints, Ints]:
    """Return the counts, descending within each class, and each entry's rank from 0."""
    order = np.lexsort((-sensitive.count, sensitive.owner))
    rank = np.arange(len(order)) - sensitive.starts[sensitive.owner]
    return sensitive.count[order], rank


def t_closeness(sensitive: Spread, *, ordered: bool | None = None) -> float:
    """Return t: the largest earth mover's distance between a class and the whole table.

    ``ordered=False``: equal ground distance, half the sum of |q - p|. ``ordered=True``: ordered
    distance, the sum of the absolute cumulated differences over the m values, divided by m - 1 (a
    missing value counts as the highest). By default numbers and times are ordered and everything
    else is equal, as in pyCANON. A column with one value has t = 0.

    Source: Li, Li, Venkatasubramanian, "t-closeness" (ICDE 2007), sections 4.1 and 4.2.
    """
    use_order = sensitive.ordered if ordered is None else ordered
    distance = _ordered_distance(sensitive) if use_order else _equal_distance(sensitive)
    return max(0.0, float(distance.max()))


def t_hierarchical(levels: Sequence[Spread]) -> float:
    """Return t under the hierarchical distance: leaves are as far apart as their common ancestor.

    ``levels``: one :class:`Spread` per level of a hierarchy whose leaves are all equally deep, from
    the values themselves up to the groups just below the root (so H of them for height H). The
    paper's sum of level(N)/H costs over the inner nodes is the mean, over the levels, of the equal
    distance there.

    Source: Li et al. (2007), section 4.2. Raises ``PolicyError`` (``risk.bad_parameter``) without
    levels.
    """
    if not levels:
        raise PolicyError("risk.bad_parameter", name="levels")
    distances = np.stack([_equal_distance(one) for one in levels])
    return max(0.0, float(distances.mean(axis=0).max()))


def _equal_distance(sensitive: Spread) -> Floats:
    share, expected = sensitive.share, sensitive.expected
    # A value that a class lacks moves its whole expected share; those are one minus the others.
    absent = 1.0 - sensitive.per_class(expected)
    return 0.5 * (sensitive.per_class(np.abs(share - expected)) + absent)


def _ordered_distance(sensitive: Spread) -> Floats:
    values = len(sensitive.totals)
    if values == 1:
        return np.zeros(len(sensitive.sizes))
    below = np.cumsum(sensitive.totals) / sensitive.records
    area = np.concatenate(([0.0], np.cumsum(below)))
    # Between two values that a class has, its cumulated share stays level while the table's rises:
    # what lies between is split where the two cross, and each side is a difference of sums.
    level = _cumulated_share(sensitive)
    start = sensitive.value
    stop = np.append(start[1:], values)
    stop[np.append(sensitive.starts[1:], len(start)) - 1] = values
    cross = np.clip(np.searchsorted(below, level), start, stop)
    under = level * (cross - start) - (area[cross] - area[start])
    over = (area[stop] - area[cross]) - level * (stop - cross)
    lead = area[start[sensitive.starts]]
    return (sensitive.per_class(under + over) + lead) / (values - 1)


def _cumulated_share(sensitive: Spread) -> Floats:
    running = np.cumsum(sensitive.count)
    before = (running - sensitive.count)[sensitive.starts]
    return np.asarray(
        (running - before[sensitive.owner]) / sensitive.sizes[sensitive.owner], dtype=np.float64
    )


def delta_disclosure(sensitive: Spread) -> float:
    """Return δ: the largest |ln(q / p)| of a value that a class has.

    Source: Brickell and Shmatikov, "The cost of privacy" (KDD 2008). Strictly, a value that is
    absent from a class makes δ infinite; pyCANON, which is followed, passes over such values.
    """
    return float(np.abs(np.log(sensitive.share / sensitive.expected)).max())


def basic_beta(sensitive: Spread) -> float:
    """Return β of basic β-likeness: the largest relative gain (q - p) / p, at least 0.

    Source: Cao and Karras, "Publishing microdata with a robust privacy guarantee" (VLDB 2012), as
    pyCANON computes it.
    """
    expected = sensitive.expected
    return max(0.0, float(((sensitive.share - expected) / expected).max()))


def enhanced_beta(sensitive: Spread) -> float:
    """Return β of enhanced β-likeness: basic β, but no more than -ln of the rarest value's share.

    Source: Cao and Karras (2012), bound min(β, -ln p); the maximum over the values is taken as in
    pyCANON.
    """
    rarest = float(sensitive.totals.min()) / sensitive.records
    return min(basic_beta(sensitive), -math.log(rarest))
