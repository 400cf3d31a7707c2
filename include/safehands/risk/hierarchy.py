"""Generalisation hierarchies: ever coarser groupings of a column's values.

A hierarchy has levels 0 (the values themselves) to ``height`` (one group ``*`` of everything,
missing values included). Each level joins whole groups of the level before it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safehands.errors import BadInput
from safehands.risk._columns import Codes, Floats

__all__ = ["ANY", "Hierarchy", "from_labels", "read_hierarchy"]

ANY = "*"


@dataclass(frozen=True, repr=False)
class Hierarchy:
    """One column's hierarchy over codes (0 missing, 1 … the values).

    ``maps[level][code]``: group of the code at ``level``, 0 for missing up to the last level.
    ``labels[level][group]``: how the group is written (``None`` for missing); at level 0 unused.
    """

    maps: tuple[Codes, ...]
    labels: tuple[tuple[str | None, ...], ...]

    @property
    def height(self) -> int:
        """Number of the coarsest level."""
        return len(self.maps) - 1

    def losses(self, level: int) -> Floats:
        """Return what a cell of each code loses at ``level``, from 0 to 1.

        (values in its group - 1) / (values - 1): 0 for a value that stays, 1 for ``*``; a missing
        cell loses nothing until ``*``. Source: Iyengar, "Transforming data to satisfy privacy
        constraints" (KDD 2002), the loss metric.
        """
        groups = self.maps[level]
        values = len(groups) - 1
        if values <= 1:
            return np.zeros(len(groups))
        if level == self.height:
            return np.ones(len(groups))
        members = np.bincount(groups[1:], minlength=int(groups.max()) + 1)
        return np.concatenate(([0.0], (members[groups[1:]] - 1) / (values - 1)))


def from_labels(values: int, levels: Sequence[Sequence[str]], column: str) -> Hierarchy:
    """Return the hierarchy whose level i + 1 writes the value with code c as ``levels[i][c - 1]``.

    Levels that join nothing are left out, and ``*`` is added at the top.

    Raises ``BadInput`` (``risk.hierarchy_not_nested``) when a level parts what the one before it
    had joined.
    """
    maps: list[Codes] = [np.arange(values + 1, dtype=np.int32)]
    labels: list[tuple[str | None, ...]] = [()]
    for level in levels:
        groups, written = _groups(level)
        _check_nested(maps[-1], groups, column)
        if len(written) == len(set(maps[-1].tolist())) or len(written) <= 2:
            # The same groups again, or everything in one, which is ``*``.
            continue
        maps.append(groups)
        labels.append(written)
    maps.append(np.zeros(values + 1, dtype=np.int32))
    labels.append((ANY,))
    return Hierarchy(tuple(maps), tuple(labels))


def _groups(level: Sequence[str]) -> tuple[Codes, tuple[str | None, ...]]:
    places: dict[str, int] = {}
    groups = np.array([places.setdefault(one, len(places) + 1) for one in level], dtype=np.int32)
    return np.concatenate((np.zeros(1, dtype=np.int32), groups)), (None, *places)


def _check_nested(before: Codes, after: Codes, column: str) -> None:
    above = np.zeros(int(before.max()) + 1, dtype=np.int32)
    above[before] = after
    parted = int(np.count_nonzero(above[before] != after))
    if parted:
        raise BadInput("risk.hierarchy_not_nested", column=column, count=parted)


def read_hierarchy(path: Path, texts: Sequence[str], column: str) -> Hierarchy:
    """Read a hierarchy as ARX writes it: per line a value and its groups, finest first.

    No header; semicolon, comma or tab. ``texts[code - 1]``: the column's values as text. Values
    that the column lacks are passed over.

    Raises ``BadInput``: ``risk.no_file``, ``risk.hierarchy_unreadable`` (no lines, or lines of
    different length), ``risk.hierarchy_incomplete`` (a value of the column is not in it) and
    ``risk.hierarchy_not_nested``. Errors name the column and how many, never a value.
    """
    rows = _rows(path, column)
    groups = {row[0].strip(): row[1:] for row in rows}
    lacking = sum(one not in groups for one in texts)
    if lacking:
        raise BadInput("risk.hierarchy_incomplete", column=column, count=lacking)
    width = len(rows[0]) - 1
    levels = [[groups[one][level].strip() for one in texts] for level in range(width)]
    return from_labels(len(texts), levels, column)


def _rows(path: Path, column: str) -> list[list[str]]:
    if not path.is_file():
        raise BadInput("risk.no_file", file=path.name)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadInput("risk.hierarchy_unreadable", column=column, file=path.name) from None
    first = lines[0] if lines else ""
    delimiter = max(";,\t", key=lambda one: (first.count(one), one == ";"))
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        raise BadInput("risk.hierarchy_unreadable", column=column, file=path.name)
    return rows
