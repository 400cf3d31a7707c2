"""Reaching a target k for what is shared: generalise the columns, then suppress what is left.

What comes out is grouped once more and refused if it should not have the k that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from safehands.errors import PolicyError
from safehands.risk._columns import Ints, Table, as_arrow, encode
from safehands.risk.classes import Classes, Persons, group, group_encoded, persons_of
from safehands.risk.generalise import Choice, choose_levels
from safehands.risk.hierarchy import Hierarchy
from safehands.risk.hierarchy_default import default_hierarchy, distinct_values
from safehands.risk.suppress import Suppressed, suppress_to_k

__all__ = ["HierarchyMaker", "Reached", "reach_k"]

HierarchyMaker: TypeAlias = "Callable[[pa.Array[Any], str], Hierarchy]"
"""Makes a column's hierarchy from its distinct values, ascending, and its name."""


@dataclass(frozen=True, repr=False)
class Reached:
    """The table to share, and what it cost.

    ``table`` has the columns asked for; ``k`` its smallest class (rows, or people with a person
    column), and ``k_before`` that of the table given. ``levels[column]``: generalisation level
    used, and the coarsest there is. ``rows``: rows given; ``left_out``: rows missing from ``table``
    (if none is left, ``k`` is 0);
    ``blanked[column]``: cells set to missing in the others. ``loss``: 0 for the table as it was, 1
    for a table of nothing: the mean over all cells of (values in the group - 1) / (values - 1), and
    1 for a blanked cell and each cell of a row left out (Iyengar 2002). ``discernibility``: sum of
    the squared class sizes, a row left out counting as much as the table has rows (Bayardo and
    Agrawal 2005). ``optimal``: whether no other levels lose less before cells are blanked.
    """

    table: pa.Table
    k: int
    k_before: int
    rows: int
    left_out: int
    blanked: dict[str, int]
    levels: dict[str, tuple[int, int]]
    classes: int
    average_class_size: float
    loss: float
    discernibility: int
    optimal: bool

    def as_dict(self) -> dict[str, object]:
        """Return the figures, without the table, as plain JSON types."""
        return {
            "version": 1,
            **{name: value for name, value in vars(self).items() if name != "table"},
            "levels": {name: list(pair) for name, pair in self.levels.items()},
        }


def reach_k(
    table: Table,
    quasi: Sequence[str],
    k: int,
    *,
    hierarchies: Mapping[str, HierarchyMaker] | None = None,
    generalise: bool = True,
    limit: float = 0.05,
    local: Sequence[str] = (),
    person: str | None = None,
    keep: Sequence[str] = (),
) -> Reached:
    """Return a table whose every equivalence class has at least ``k`` rows, or people.

    First the levels of lowest loss are chosen at which at most the share ``limit`` of the rows is
    below ``k`` (:func:`choose_levels`); ``hierarchies`` says how a column's hierarchy is made, by
    default after its type (:func:`default_hierarchy`). Without ``generalise`` the values stay. Then
    cells of the columns ``local`` are blanked in the rows that are still below, and rows that this
    does not save are left out (:func:`suppress_to_k`). Without ``generalise``, ``limit`` is not
    looked at.

    The result has the columns ``quasi`` and ``keep`` and no other, so nothing is shared that nobody
    named; generalised columns are text. ``person`` is not in it unless kept.

    Raises ``PolicyError``: ``risk.bad_parameter``, ``risk.too_few`` (fewer than k rows or people),
    ``risk.not_reached`` (the result was checked and is refused), and what the parts raise.
    """
    if k < 1:
        raise PolicyError("risk.bad_parameter", name="k")
    extra = [] if person is None else [person]
    arrow = as_arrow(table, [*quasi, *keep, *extra])
    encoded = {name: encode(arrow, name) for name in quasi}
    classes = group_encoded(tuple(quasi), list(encoded.values()))
    persons = None if person is None else persons_of(arrow, person)
    if (classes.records if persons is None else persons.count) < k:
        raise PolicyError("risk.too_few", records=classes.records, k=k)
    made = _hierarchies(arrow, quasi, hierarchies or {}) if generalise else None
    choice = None
    if made is not None:
        choice = choose_levels(classes, made, k, limit=limit, persons=persons)
        arrow = _generalised(arrow, classes, made, choice)
    result = suppress_to_k(arrow, quasi, k, local=local, person=person)
    members = classes.sizes if persons is None else persons.per_class(classes.codes, len(classes))
    columns = list(dict.fromkeys([*quasi, *keep]))
    return _reached(result, classes, int(members.min()), made, choice, k, person, columns)


def _hierarchies(
    arrow: pa.Table, quasi: Sequence[str], makers: Mapping[str, HierarchyMaker]
) -> list[Hierarchy]:
    unknown = sorted(set(makers) - set(quasi))
    if unknown:
        raise PolicyError("risk.hierarchy_for_nothing", column=unknown[0])
    return [
        makers.get(name, default_hierarchy)(distinct_values(arrow, name), name) for name in quasi
    ]


def _generalised(
    arrow: pa.Table, classes: Classes, made: Sequence[Hierarchy], choice: Choice
) -> pa.Table:
    """Write each column as its chosen level does; at level 0 it stays as it is."""
    for place, (name, one, level) in enumerate(
        zip(classes.quasi, made, choice.levels, strict=True)
    ):
        if level:
            groups = one.maps[level][classes.tuples[place]][classes.codes]
            column = pa.DictionaryArray.from_arrays(
                pa.array(groups.astype(np.int32)), pa.array(_labels(one, level), pa.string())
            ).cast(pa.string())
            arrow = arrow.set_column(arrow.column_names.index(name), name, column)
    return arrow


def _labels(hierarchy: Hierarchy, level: int) -> list[str | None]:
    return list(hierarchy.labels[level])


def _reached(
    result: Suppressed,
    before: Classes,
    k_before: int,
    made: Sequence[Hierarchy] | None,
    choice: Choice | None,
    k: int,
    person: str | None,
    columns: Sequence[str],
) -> Reached:
    rows, left_out = before.records, result.rows
    sizes, least = _checked(result.table, before.quasi, k, person)
    tops = [0] * len(before.quasi) if made is None else [one.height for one in made]
    levels = tuple(0 for _ in before.quasi) if choice is None else choice.levels
    return Reached(
        table=result.table.select(columns),
        k=least,
        k_before=k_before,
        rows=rows,
        left_out=left_out,
        blanked=result.cells,
        levels=dict(zip(before.quasi, zip(levels, tops, strict=True), strict=True)),
        classes=len(sizes),
        average_class_size=(rows - left_out) / len(sizes) if len(sizes) else 0.0,
        loss=_loss(result, before, made, levels),
        discernibility=int((sizes * sizes).sum()) + left_out * rows,
        optimal=choice is None or choice.optimal,
    )


def _checked(table: pa.Table, quasi: Sequence[str], k: int, person: str | None) -> tuple[Ints, int]:
    """Group the result once more; return its class sizes and its k."""
    if table.num_rows == 0:
        return np.zeros(0, dtype=np.int64), 0
    classes = group(table, quasi)
    members = classes.sizes
    if person is not None:
        persons: Persons = persons_of(table, person)
        members = persons.per_class(classes.codes, len(classes))
    least = int(members.min())
    if least < k:
        raise PolicyError("risk.not_reached", found=least, k=k)
    return classes.sizes, least


def _loss(
    result: Suppressed,
    before: Classes,
    made: Sequence[Hierarchy] | None,
    levels: Sequence[int],
) -> float:
    lost = float(result.rows * len(before.quasi))
    stays = result.kept
    for place, name in enumerate(before.quasi):
        blanked = result.blank.get(name)
        plain = stays if blanked is None else stays & ~blanked
        lost += 0.0 if blanked is None else int(np.count_nonzero(stays & blanked))
        if made is not None and levels[place]:
            codes = before.tuples[place][before.codes[plain]]
            lost += float(made[place].losses(levels[place])[codes].sum())
    return lost / (before.records * len(before.quasi))
