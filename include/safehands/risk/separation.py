"""Distinction and separation: how nearly a set of columns is a key.

Source: Motwani and Xu, "Efficient algorithms for masking and finding quasi-identifiers" (2007), as
in ARX (``RiskModelAlphaDistinctionSeparation``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Codes, Ints
from safehands.risk.classes import Classes, combine, distinct_keys

__all__ = ["MAX_COLUMNS", "KeyStrength", "distinction", "key_strengths", "separation"]

MAX_COLUMNS = 12
"""Default limit of columns for all combinations: 4,095 of them."""

_DENSE = 1 << 24
"""Up to this many thinkable combinations an array of counts is used; summing it is fastest."""


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
    if records == 1:
        return 1.0
    alike = int((sizes * (sizes - 1) // 2).sum())
    pairs = records * (records - 1) // 2
    return (pairs - alike) / pairs


def key_strengths(classes: Classes, *, limit: int = MAX_COLUMNS) -> list[KeyStrength]:
    """Return distinction and separation of every non-empty combination of quasi-identifiers.

    In order of the number of columns and then of the columns. Each combination is rolled up from
    one that has one column more, so the table is not read again.

    Raises ``PolicyError`` (``risk.too_many_columns``) for more columns than ``limit``: n columns
    have 2ⁿ - 1 combinations.
    """
    if len(classes.quasi) > limit:
        raise PolicyError("risk.too_many_columns", columns=len(classes.quasi), limit=limit)
    found = [
        KeyStrength(
            columns=tuple(classes.quasi[index] for index in members),
            classes=len(sizes),
            distinction=distinction(sizes),
            separation=separation(sizes),
        )
        for members, sizes in _all_sizes(classes)
    ]
    return sorted(found, key=lambda one: (len(one.columns), _positions(classes, one)))


def _positions(classes: Classes, strength: KeyStrength) -> tuple[int, ...]:
    return tuple(classes.quasi.index(name) for name in strength.columns)


@dataclass(frozen=True)
class _Sparse:
    """Distinct combinations of some columns (indices of quasi-identifiers), with their counts."""

    members: tuple[int, ...]
    tuples: tuple[Codes, ...]
    counts: Ints

    @property
    def sizes(self) -> Ints:
        return self.counts

    def without(self, member: int, radices: tuple[int, ...]) -> _Sparse | _Dense:
        position = self.members.index(member)
        members = self.members[:position] + self.members[position + 1 :]
        tuples = self.tuples[:position] + self.tuples[position + 1 :]
        keys, bound = combine(tuples, [radices[index] for index in members])
        if bound <= _DENSE:
            return _dense(members, keys, self.counts, tuple(radices[index] for index in members))
        codes, found = distinct_keys(keys, bound)
        first = np.empty(found, dtype=np.int64)
        first[codes] = np.arange(len(codes))
        counts = _added(codes, self.counts, found)
        return _Sparse(members, tuple(column[first] for column in tuples), counts)


@dataclass(frozen=True)
class _Dense:
    """A count for every thinkable combination, one axis per column."""

    members: tuple[int, ...]
    counts: Ints

    @property
    def sizes(self) -> Ints:
        return self.counts[self.counts > 0]

    def without(self, member: int, radices: tuple[int, ...]) -> _Dense:  # noqa: ARG002
        position = self.members.index(member)
        members = self.members[:position] + self.members[position + 1 :]
        return _Dense(members, self.counts.sum(axis=position))


def _dense(members: tuple[int, ...], keys: Ints, counts: Ints, shape: tuple[int, ...]) -> _Dense:
    cells = _added(keys, counts, math.prod(shape))
    return _Dense(members, cells.reshape(shape))


def _added(keys: Ints | Codes, counts: Ints, length: int) -> Ints:
    # Counts stay below 2**53, where sums of whole numbers in floating point are exact.
    return np.bincount(keys, counts, length).astype(np.int64)


def _all_sizes(classes: Classes) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """Yield each combination (as ascending indices) and its class sizes."""
    every = range(len(classes.quasi))
    # Columns with many values leave first, because most combinations are reached through there.
    order = sorted(every, key=lambda index: -classes.radices[index])
    top = _Sparse(tuple(every), classes.tuples, classes.sizes)
    yield from _walk(top, order, classes.radices)


def _walk(
    node: _Sparse | _Dense, removable: list[int], radices: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """Depth first, so that only one combination per depth is held at a time."""
    yield node.members, node.sizes
    for place, member in enumerate(removable):
        if len(node.members) > 1:
            yield from _walk(node.without(member, radices), removable[place + 1 :], radices)
