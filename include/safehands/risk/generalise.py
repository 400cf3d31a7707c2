"""Full-domain generalisation: one level per column for the whole table, as little as reaches k.

Source: Samarati, "Protecting respondents' identities in microdata release" (2001); the loss is
Iyengar's (2002). A combination of levels is judged from the classes alone: generalising joins
classes, so no row is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Bools, Codes, Floats, Ints
from safehands.risk.classes import Classes, Persons, combine, distinct_keys
from safehands.risk.hierarchy import Hierarchy

__all__ = ["Choice", "choose_levels"]

_WORK = 400_000_000
"""Classes looked at times columns, over all combinations tried: about half a minute."""

_LATTICE = 1 << 20


@dataclass(frozen=True)
class Choice:
    """``levels`` per quasi-identifier; ``suppressed`` rows still below k; ``loss`` from 0 to 1.

    ``optimal``: no combination of levels has a lower loss under the limit; otherwise the search
    ended early, with the best one found.
    """

    levels: tuple[int, ...]
    suppressed: int
    loss: float
    optimal: bool
    tried: int


def choose_levels(
    classes: Classes,
    hierarchies: Sequence[Hierarchy],
    k: int,
    *,
    limit: float = 0.0,
    persons: Persons | None = None,
) -> Choice:
    """Return the levels of lowest loss at which at most ``limit`` of the rows are below ``k``.

    A row that stays below k counts as lost whole. Combinations are tried in the order of the loss
    that they have without suppression; as soon as that alone is no better than the best one found,
    the best one is optimal. Deterministic.

    ``persons``: whose the rows are, where classes are to have k people instead of k rows.

    Raises ``PolicyError``: ``risk.bad_parameter`` for k < 1 or a limit outside [0, 1];
    ``risk.too_few`` when the whole table has fewer than k rows (or people).
    """
    if k < 1 or not 0 <= limit <= 1:
        raise PolicyError("risk.bad_parameter", name="k" if k < 1 else "limit")
    search = _Search(classes, hierarchies, k, limit, persons)
    search.consider(tuple(one.height for one in hierarchies))
    if search.best is None:
        raise PolicyError("risk.too_few", records=classes.records, k=k)
    _climb(search)
    optimal = _sweep(search)
    levels, suppressed, loss = search.best
    return Choice(levels, suppressed, loss, optimal, search.tried)


class _Search:
    """The best combination so far, and what judging one costs."""

    def __init__(
        self,
        classes: Classes,
        hierarchies: Sequence[Hierarchy],
        k: int,
        limit: float,
        persons: Persons | None,
    ) -> None:
        self.classes, self.hierarchies = classes, hierarchies
        self.k, self.persons = k, persons
        self.allowed = int(limit * classes.records)
        self.width = classes.records * len(hierarchies)
        self.cell_losses = [
            [one.losses(level) for level in range(one.height + 1)] for one in hierarchies
        ]
        counted = [
            np.bincount(codes, classes.sizes, radix)
            for codes, radix in zip(classes.tuples, classes.radices, strict=True)
        ]
        self.losses: list[Floats] = [
            np.array([float((lost * counts).sum()) for lost in levels]) / self.width
            for levels, counts in zip(self.cell_losses, counted, strict=True)
        ]
        self.best: tuple[tuple[int, ...], int, float] | None = None
        self.seen: dict[tuple[int, ...], tuple[int, float]] = {}

    @property
    def tried(self) -> int:
        """Number of combinations judged."""
        return len(self.seen)

    def consider(self, levels: tuple[int, ...]) -> tuple[int, float]:
        """Judge ``levels``: (rows below k, loss); keep it if it is the best allowed one."""
        if levels not in self.seen:
            small = self._small(levels)
            rows = int(self.classes.sizes[small].sum())
            loss = self._loss(levels, small, rows)
            self.seen[levels] = rows, loss
            if rows <= self.allowed and (self.best is None or loss < self.best[2]):
                self.best = levels, rows, loss
        return self.seen[levels]

    def _small(self, levels: tuple[int, ...]) -> Bools:
        maps = [one.maps[level] for one, level in zip(self.hierarchies, levels, strict=True)]
        columns = [groups[codes] for groups, codes in zip(maps, self.classes.tuples, strict=True)]
        merged, found = distinct_keys(*combine(columns, [int(one.max()) + 1 for one in maps]))
        return self._counts(merged, found)[merged] < self.k

    def _counts(self, merged: Codes, found: int) -> Ints:
        if self.persons is None:
            return np.bincount(merged, self.classes.sizes, found).astype(np.int64)
        return self.persons.per_class(merged[self.classes.codes], found)

    def _loss(self, levels: tuple[int, ...], small: Bools, rows: int) -> float:
        """Return the loss of the rows that stay, plus one for each that does not."""
        kept = np.where(small, 0, self.classes.sizes)
        lost = float(rows * len(levels))
        for losses, level, codes in zip(self.cell_losses, levels, self.classes.tuples, strict=True):
            lost += float((losses[level][codes] * kept).sum()) if level else 0.0
        return lost / self.width


def _climb(search: _Search) -> None:
    """From no generalisation, raise the column that costs least, until nothing gets better."""
    levels = tuple(0 for _ in search.hierarchies)
    rows, loss = search.consider(levels)
    while True:
        nexts = list(_above(search, levels))
        if not nexts:
            return
        judged = [(search.consider(one), one) for one in nexts]
        (new_rows, new_loss), chosen = min(judged, key=lambda each: (each[0][1], each[1]))
        if rows <= search.allowed and new_loss >= loss:
            return
        levels, rows, loss = chosen, new_rows, new_loss


def _above(search: _Search, levels: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [
        (*levels[:place], levels[place] + 1, *levels[place + 1 :])
        for place, one in enumerate(search.hierarchies)
        if levels[place] < one.height
    ]


def _sweep(search: _Search) -> bool:
    """Try combinations by rising loss before suppression; return whether the best is proved."""
    shape = [len(one) for one in search.losses]
    if float(np.prod(shape)) > _LATTICE:
        return False
    least = np.zeros(1)
    for losses in search.losses:
        least = (least[:, None] + losses[None, :]).ravel()
    looked_at = search.classes.records if search.persons else len(search.classes)
    budget = max(1, _WORK // max(1, looked_at * len(shape)))
    for place in np.argsort(least, kind="stable"):
        assert search.best is not None
        if least[place] >= search.best[2]:
            return True
        if search.tried >= budget:
            return False
        search.consider(tuple(int(one) for one in np.unravel_index(int(place), shape)))
    return True
