"""Distinction and separation: how nearly a set of columns is a key.

Source: Motwani and Xu, "Efficient algorithms for masking and finding quasi-identifiers" (2007), as
in ARX (``RiskModelAlphaDistinctionSeparation``).
"""

from __future__ import annotations

from dataclasses import dataclass

from safehands.errors import PolicyError
from safehands.risk._columns import Ints
from safehands.risk._lattice import tallies
from safehands.risk.classes import Classes

__all__ = ["MAX_COLUMNS", "KeyStrength", "distinction", "key_strengths", "separation"]

MAX_COLUMNS = 12
"""Default limit of columns for all combinations: 4,095 of them."""


@dataclass(frozen=True)
class KeyStrength:
    """How nearly ``columns`` are a key: both figures are 1 for a key."""

    columns: tuple[str, ...]
    classes: int
    distinction: float
    separation: float


def distinction(sizes: Ints) -> float:
    """Return classes / records: the share of records that would remain as distinct ones."""
    return len(sizes) / int(sizes.sum())


def separation(sizes: Ints) -> float:
    """Return the share of unordered record pairs that differ in at least one column.

    1 for a single record, which has no pair.
    """
    records = int(sizes.sum())
    return _share_apart(records * (records - 1) // 2, int((sizes * (sizes - 1) // 2).sum()))


def _share_apart(pairs: int, alike: int) -> float:
    return (pairs - alike) / pairs if pairs else 1.0


def key_strengths(classes: Classes, *, limit: int = MAX_COLUMNS) -> list[KeyStrength]:
    """Return distinction and separation of every non-empty combination of quasi-identifiers.

    In order of the number of columns and then of the columns. They are counted from the
    classes, so the table is not read again.

    Raises ``PolicyError`` (``risk.too_many_columns``) for more columns than ``limit``: n columns
    have 2ⁿ - 1 combinations.
    """
    if len(classes.quasi) > limit:
        raise PolicyError("risk.too_many_columns", columns=len(classes.quasi), limit=limit)
    records = classes.records
    pairs = records * (records - 1) // 2
    return [
        KeyStrength(
            columns=tuple(classes.quasi[index] for index in members),
            classes=count,
            distinction=count / records,
            separation=_share_apart(pairs, (squares - records) // 2),
        )
        for members, count, squares in sorted(tallies(classes), key=lambda one: (len(one[0]), one))
    ]
