"""Precision and recall of detectors and scrubbers on the labelled sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelled_addresses import LabelledAddress
from labelled_columns import LabelledColumn, single_cells
from labelled_texts import LabelledText

__all__ = [
    "Figures",
    "addresses_measured",
    "cells_measured",
    "columns_measured",
    "texts_measured",
    "untouched",
]

Spans = Sequence[tuple[int, int, str]]


@dataclass
class Figures:
    """Hits, misses and false alarms per kind."""

    hits: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    @property
    def kinds(self) -> list[str]:
        return sorted(self.hits.keys() | self.missed.keys() | self.false.keys())

    def recall(self, kind: str) -> float:
        return self.hits[kind] / max(self.hits[kind] + self.missed[kind], 1)

    def precision(self, kind: str) -> float:
        return self.hits[kind] / max(self.hits[kind] + self.false[kind], 1)

    def rows(self) -> dict[str, dict[str, float | int]]:
        return {
            kind: {
                "precision": round(self.precision(kind), 3),
                "recall": round(self.recall(kind), 3),
                "of": self.hits[kind] + self.missed[kind],
            }
            for kind in self.kinds
        }


def columns_measured(
    columns: Iterable[LabelledColumn], kind_of: Callable[[list[str]], str]
) -> Figures:
    """Count which columns' kinds are told right."""
    figures = Figures()
    for column in columns:
        found = kind_of(column.cells)
        if found == column.kind:
            figures.hits[found] += 1
        else:
            figures.missed[column.kind] += 1
            figures.false[found] += 1
    return figures


def texts_measured(
    texts: Iterable[LabelledText], find: Callable[[str], Spans], exact: bool = False
) -> Figures:
    """Count which personal parts are taken out.

    A part counts as found when every character of it is covered, by whatever kind; what was found
    is a false alarm when it shares no character with a part of its kind. ``exact``: a found span
    must end where the part ends.
    """
    figures = Figures()
    for labelled in texts:
        found = find(labelled.text)
        covered = {i for start, end, _ in found for i in range(start, end)}
        for start, end, kind in labelled.spans:
            whole = covered.issuperset(range(start, end))
            figures.hits[kind] += whole
            figures.missed[kind] += not whole
        for start, end, kind in found:
            figures.false[kind] += not _meets(start, end, kind, labelled, exact)
    return figures


def _meets(start: int, end: int, kind: str, labelled: LabelledText, exact: bool) -> bool:
    if exact:
        return (start, end, kind) in labelled.spans
    return any(start < e and s < end and kind == k for s, e, k in labelled.spans)


def untouched(texts: Sequence[LabelledText], find: Callable[[str], Spans]) -> float:
    """Return the share of texts in which nothing was found."""
    return sum(not find(one.text) for one in texts) / len(texts)


def cells_measured(seed: int, each: int, kind_of: Callable[[list[str]], str]) -> Figures:
    """Count which single cells' kinds are told right, without a column around them."""
    cells = [LabelledColumn(kind, "", [cell]) for kind, cell in single_cells(seed, each)]
    return columns_measured(cells, kind_of)


def addresses_measured(
    places: Iterable[LabelledAddress], split: Callable[[str], Any]
) -> dict[str, dict[str, float | int]]:
    """Count, per form, addresses whose district, street and detail are right, or a wrong district.

    An address whose district is not recognised is neither right nor wrong.
    """
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for place in places:
        found = split(place.text)
        same = (found.code, found.street, found.detail) == (place.code, place.street, place.detail)
        total[place.form] += 1
        right[place.form] += same
        wrong[place.form] += found.code not in {0, place.code}
    return {
        form: {
            "right": round(right[form] / count, 3),
            "wrong": round(wrong[form] / count, 3),
            "of": count,
        }
        for form, count in total.items()
    }
