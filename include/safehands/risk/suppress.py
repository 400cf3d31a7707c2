"""Reaching a target k by taking away as little as a simple rule can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import PolicyError
from safehands.risk._columns import Bools, Encoded, Ints, Table, as_arrow, encode
from safehands.risk.classes import (
    Classes,
    Persons,
    group,
    group_encoded,
    keep_rows,
    persons_of,
)

__all__ = ["Suppressed", "suppress_to_k"]


@dataclass(frozen=True, repr=False)
class Suppressed:
    """The table that remains, and what was taken: rows, and cells per column in other rows.

    ``table`` may have no rows. ``classes`` counts the equivalence classes that were below k at the
    start. Per row given: ``kept``, and ``blank[column]`` where the cell was set to missing.
    """

    table: pa.Table
    rows: int
    cells: dict[str, int]
    classes: int
    kept: Bools
    blank: dict[str, Bools]


def suppress_to_k(
    table: Table,
    quasi: Sequence[str],
    k: int,
    *,
    local: Sequence[str] = (),
    person: str | None = None,
) -> Suppressed:
    """Return ``table`` with every equivalence class of at least ``k`` rows.

    With ``person``, the column that tells people apart: of at least ``k`` different people.

    Rows of smaller classes are left out. With ``local``, some of ``quasi`` in the order in which
    they may be given up, cells are blanked first: one column after the other is set to missing in
    the rows that are still in a class below k, and only rows that this does not save are left out.
    The result has k under the rule that missing equals missing, hence also where missing matches
    everything.

    Deterministic; not a minimum of information loss. All columns of ``table`` are kept, and rows
    keep their order. Raises ``PolicyError`` (``risk.bad_parameter``) for k < 1 or a ``local``
    column that is not in ``quasi``, and what :func:`group` raises.
    """
    if k < 1:
        raise PolicyError("risk.bad_parameter", name="k")
    if not set(local) <= set(quasi):
        raise PolicyError("risk.bad_parameter", name="local")
    arrow = as_arrow(table, _all_columns(table, quasi))
    before = group(arrow, quasi)
    encoded = {name: encode(arrow, name) for name in quasi}
    blank = {name: np.zeros(arrow.num_rows, dtype=np.bool_) for name in local}
    persons = None if person is None else persons_of(arrow, person)
    below = _members(before, persons) < k
    small = below[before.codes]
    for name in blank:
        blank[name] = small & (encoded[name].codes > 0)
        encoded[name] = _blanked(encoded[name], blank[name])
        after = group_encoded(tuple(quasi), list(encoded.values()))
        small = (_members(after, persons) < k)[after.codes]
    return Suppressed(
        table=keep_rows(_with_blanks(arrow, blank), ~small),
        rows=int(np.count_nonzero(small)),
        cells={name: int(np.count_nonzero(mask & ~small)) for name, mask in blank.items()},
        classes=int(np.count_nonzero(below)),
        kept=~small,
        blank=blank,
    )


def _members(classes: Classes, persons: Persons | None) -> Ints:
    """Return the size of each class: its rows, or its people."""
    return classes.sizes if persons is None else persons.per_class(classes.codes, len(classes))


def _all_columns(table: Table, quasi: Sequence[str]) -> list[str]:
    names = table.column_names if isinstance(table, pa.Table) else list(table.keys())
    return [*names, *(name for name in quasi if name not in names)]


def _blanked(encoded: Encoded, where: Bools) -> Encoded:
    return Encoded(np.where(where, np.int32(0), encoded.codes), encoded.values, encoded.ordered)


def _with_blanks(arrow: pa.Table, blank: dict[str, Bools]) -> pa.Table:
    for name, mask in blank.items():
        if mask.any():
            column = pc.if_else(pa.array(mask), None, arrow.column(name))
            arrow = arrow.set_column(arrow.column_names.index(name), name, column)
    return arrow
