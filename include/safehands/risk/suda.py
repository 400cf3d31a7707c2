"""SUDA2: minimal sample uniques, the records that few columns suffice to single out.

Sources: Elliot, Manning, Ford, "A computational algorithm for handling the special uniques
problem" (2002); Manning, Haglin, Keane, "A recursive search algorithm for statistical disclosure
assessment" (2008); Skinner and Elliot, "A measure of disclosure risk for microdata" (2002) for
DIS; sdcMicro's ``suda2`` for the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb, factorial

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Bools, Floats, Ints
from safehands.risk.classes import Classes, combine, distinct_keys

__all__ = ["MAX_COLUMNS", "Suda", "Tally", "search", "suda2"]

MAX_COLUMNS = 16
"""Default limit of columns: the search visits up to 2ⁿ - 1 combinations."""


@dataclass(frozen=True, repr=False)
class Suda:
    """SUDA2 over a table of M columns.

    Per record: ``score``, ``dis_score`` (0 for a record without a minimal sample unique) and
    ``smallest`` (columns of its smallest one, 0 for none). ``by_size[s - 1]``: minimal sample
    uniques of s columns. ``contribution[column]``: share of the total score that involves the
    column, 0 … 1 (one minimal sample unique of s columns counts for each of them).
    ``dis``: estimated probability that a match with a sample unique is right.
    """

    score: Floats
    dis_score: Floats
    smallest: Ints
    by_size: tuple[int, ...]
    contribution: dict[str, float]
    dis: float


@dataclass
class Tally:
    """What the search adds up, per class."""

    score: Floats
    smallest: Ints
    by_size: list[int]
    involved: list[float]


def suda2(
    classes: Classes,
    *,
    sampling_fraction: float = 0.01,
    largest: int | None = None,
    ihsn: bool = False,
    limit: int = MAX_COLUMNS,
) -> Suda:
    """Find all minimal sample uniques and score the records.

    A minimal sample unique is a set of columns in which a record is alone, while it is alone in no
    proper subset of them; a missing value is never part of one. ``largest`` bounds their size
    (default: all columns). One of s out of M columns scores (M - s)! (Elliot et al.; sdcMicro's
    default), or with ``ihsn`` (2^(M-s) - 1)·s!(M-s)!/M! (``original_scores=FALSE``).

    DIS = U·π / (U·π + P·(1 - π)) with U unique records, P records in pairs and π the
    ``sampling_fraction``; dis_score = 1 / (1 + (U/DIS - U) / (score^Q · Σ score^-Q)) with
    Q = 1 + (8 - M)/20, as in ARX. sdcMicro's code differs in DIS, see
    :mod:`safehands.risk.suda_sdcmicro`; the scores agree.

    Raises ``PolicyError``: ``risk.too_many_columns`` above ``limit``; ``risk.bad_parameter`` for a
    sampling fraction outside (0, 1] or ``largest`` below 1.
    """
    width = len(classes.quasi)
    if width > limit:
        raise PolicyError("risk.too_many_columns", columns=width, limit=limit)
    if not 0 < sampling_fraction <= 1:
        raise PolicyError("risk.bad_parameter", name="sampling_fraction")
    if largest is not None and largest < 1:
        raise PolicyError("risk.bad_parameter", name="largest")
    tally = search(classes, min(width, largest or width), ihsn=ihsn, width=width)
    dis = _dis(classes.sizes, sampling_fraction)
    return Suda(
        score=tally.score[classes.codes],
        dis_score=_dis_scores(classes, tally.score, dis)[classes.codes],
        smallest=tally.smallest[classes.codes],
        by_size=tuple(tally.by_size),
        contribution=_contributions(classes, tally),
        dis=dis,
    )


def search(classes: Classes, largest: int, *, ihsn: bool, width: int) -> Tally:
    """Visit the combinations by size; only classes of one record can hold a minimal unique.

    Being alone is inherited by supersets, so a combination is minimal for a record exactly when
    the record is alone in it and in none of the combinations with one column less. ``width`` is
    the number of columns for the scores.
    """
    every = range(len(classes.quasi))
    tally = Tally(
        np.zeros(len(classes)), np.zeros(len(classes), dtype=np.int64), [], [0.0] * len(every)
    )
    below: dict[tuple[int, ...], Bools] = {}
    for size in range(1, largest + 1):
        weight = _weight(size, width, ihsn)
        level: dict[tuple[int, ...], Bools] = {}
        tally.by_size.append(0)
        for members in combinations(every, size):
            alone = _alone(classes, members)
            minimal = alone.copy()
            for smaller in _one_less(members, below):
                minimal &= ~smaller
            level[members] = alone
            _add(tally, members, minimal, weight)
        below = level
    return tally


def _one_less(members: tuple[int, ...], below: dict[tuple[int, ...], Bools]) -> Iterator[Bools]:
    if len(members) > 1:
        yield from (below[part] for part in combinations(members, len(members) - 1))


def _alone(classes: Classes, members: tuple[int, ...]) -> Bools:
    """Mark the classes whose only record is alone in ``members``, with no value missing there."""
    columns = [classes.tuples[index] for index in members]
    keys, found = distinct_keys(*combine(columns, [classes.radices[i] for i in members]))
    counts = np.bincount(keys, classes.sizes, found)
    alone: Bools = counts[keys] == 1
    for column in columns:
        alone &= column > 0
    return alone


def _add(tally: Tally, members: tuple[int, ...], minimal: Bools, weight: float) -> None:
    count = int(np.count_nonzero(minimal))
    tally.by_size[-1] += count
    tally.score[minimal] += weight
    tally.smallest[minimal & (tally.smallest == 0)] = len(members)
    for index in members:
        tally.involved[index] += weight * count


def _weight(size: int, width: int, ihsn: bool) -> float:
    if ihsn:
        return (2.0 ** (width - size) - 1) / comb(width, size)
    return float(factorial(width - size))


def _dis(sizes: Ints, fraction: float) -> float:
    uniques = int(np.count_nonzero(sizes == 1))
    paired = 2 * int(np.count_nonzero(sizes == 2))
    if uniques == 0:
        return 0.0
    return uniques * fraction / (uniques * fraction + paired * (1.0 - fraction))


def _dis_scores(classes: Classes, score: Floats, dis: float) -> Floats:
    uniques = int(np.count_nonzero(classes.sizes == 1))
    scored = score > 0
    result = np.zeros(len(score))
    if not scored.any():
        return result
    power = score[scored] ** (1.0 + (8.0 - len(classes.quasi)) / 20.0)
    adjustment = float((1.0 / power).sum())
    result[scored] = 1.0 / (1.0 + (uniques / dis - uniques) / (power * adjustment))
    return result


def _contributions(classes: Classes, tally: Tally) -> dict[str, float]:
    total = float(tally.score.sum())
    shares = [part / total if total else 0.0 for part in tally.involved]
    return dict(zip(classes.quasi, shares, strict=True))
