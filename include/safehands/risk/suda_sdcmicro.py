"""DIS-SUDA as sdcMicro's C++ code computes it, where that differs from the papers.

Read from sdcMicro's ``Suda2.h`` and ``suda2.R``. The minimal sample uniques and their scores are
the same; the differences are:

- a record that is unique is counted for DIS only if no other record has the same 16-bit hash of its
  values, so with many records most uniques are not counted;
- DIS and the exponent Q are in single precision;
- with one or two columns, columns of ones are added up to three, which changes scores and Q.

The hash is over the cells as numbers: numbers truncated to whole ones (only whole ones are
followed here), text as the place of the value among the sorted distinct ones, missing as -999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safehands.risk._columns import Floats, Ints
from safehands.risk.classes import Classes
from safehands.risk.suda import Suda, search

__all__ = ["SudaSdcMicro", "suda_sdcmicro"]

_MISSING = -999
_LEAST_COLUMNS = 3
_BUCKETS = 1 << 16


@dataclass(frozen=True, repr=False)
class SudaSdcMicro:
    """sdcMicro's figures: per record ``score`` and ``dis_score``; ``dis`` over all."""

    score: Floats
    dis_score: Floats
    dis: float


def suda_sdcmicro(
    classes: Classes,
    values: Sequence[Ints],
    *,
    sampling_fraction: float = 0.01,
    found: Suda | None = None,
) -> SudaSdcMicro:
    """Return sdcMicro's ``score`` and ``disScore``.

    ``values[column][code - 1]``: the whole number that sdcMicro would see for the value with that
    code. ``found``: the result of :func:`suda2`, which saves the search. Where every unique record
    collides, sdcMicro divides zero by zero: ``dis_score`` is NaN.
    """
    width = max(_LEAST_COLUMNS, len(classes.quasi))
    if found is None or width > len(classes.quasi):
        score = search(classes, len(classes.quasi), ihsn=False, width=width).score
    else:
        score = np.zeros(len(classes))
        score[classes.codes] = found.score
    in_bucket = np.bincount(_hashes(classes, values, width), classes.sizes, _BUCKETS)
    uniques = int(np.count_nonzero(in_bucket == 1))
    dis = _dis(uniques, 2 * int(np.count_nonzero(classes.sizes == 2)), sampling_fraction)
    dis_score = _dis_scores(score, uniques, dis, width)
    return SudaSdcMicro(score[classes.codes], dis_score[classes.codes], float(dis))


def _hashes(classes: Classes, values: Sequence[Ints], width: int) -> Ints:
    """Return per class: for each cell, rotate 16 bits left by one and add the cell."""
    found = np.zeros(len(classes), dtype=np.int64)
    columns = [
        np.append(_MISSING, known)[codes]
        for codes, known in zip(classes.tuples, values, strict=True)
    ]
    ones = np.ones(len(classes), dtype=np.int64)
    for cells in columns + [ones] * (width - len(columns)):
        carried = found >> 15
        found = (((found << 1) & 0xFFFF) + cells) & 0xFFFF
        found = (found + carried) & 0xFFFF
    return found


def _dis(uniques: int, paired: int, fraction: float) -> np.float32:
    share = np.float32(fraction)
    right = np.float32(uniques) * share
    with np.errstate(invalid="ignore"):
        return right / (right + np.float32(paired) * (np.float32(1) - share))


def _dis_scores(score: Floats, uniques: int, dis: np.float32, width: int) -> Floats:
    scored = score > 0
    exponent = float(np.float32(1) + (np.float32(8) - np.float32(width)) / np.float32(20))
    power = score[scored] ** exponent
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = float(np.float32(uniques) / dis - np.float32(uniques))
        result = np.zeros(len(score))
        result[scored] = 1.0 / (1.0 + gap / (power * float((1.0 / power).sum())))
    return result
