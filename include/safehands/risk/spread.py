"""How a sensitive column spreads over the equivalence classes: a sparse table of counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from safehands.errors import PolicyError
from safehands.risk._columns import Encoded, Floats, Ints, Table, as_arrow, encode
from safehands.risk.classes import Classes, distinct_keys

__all__ = ["Spread", "spread"]


@dataclass(frozen=True, repr=False)
class Spread:
    """The non-zero counts of (class, sensitive value), sorted by class and then by value.

    ``owner``, ``value``, ``count``: one entry per non-zero cell. ``sizes``: rows per class.
    ``totals``: rows per value in the whole table; values ascend, a missing value comes last.
    ``ordered``: whether the values are numbers or times. ``whole``: the rows that ``totals`` are
    of, where classes were left out; 0 for the classes' own.
    """

    column: str
    owner: Ints
    value: Ints
    count: Ints
    sizes: Ints
    totals: Ints
    ordered: bool
    whole: int = 0

    @cached_property
    def records(self) -> int:
        """Number of rows that the totals are of."""
        return self.whole or int(self.sizes.sum())

    @cached_property
    def starts(self) -> Ints:
        """Index of each class's first entry. Every class has at least one."""
        return np.searchsorted(self.owner, np.arange(len(self.sizes)))

    @cached_property
    def share(self) -> Floats:
        """Share of the value within its class, per entry (q in the papers)."""
        return np.asarray(self.count / self.sizes[self.owner], dtype=np.float64)

    @cached_property
    def expected(self) -> Floats:
        """Share of the value in the whole table, per entry (p in the papers)."""
        return np.asarray(self.totals[self.value] / self.records, dtype=np.float64)

    def per_class(self, values: Floats) -> Floats:
        """Sum ``values`` (one per entry) over each class."""
        return np.asarray(np.bincount(self.owner, values, len(self.sizes)), dtype=np.float64)


def spread(classes: Classes, table: Table, sensitive: str) -> Spread:
    """Count the values of ``sensitive`` per class.

    A missing sensitive value is a value of its own, after all others in order. ``table`` must be
    the table that was grouped: same rows, same order.

    Raises ``PolicyError`` (``risk.sensitive_is_quasi``, ``risk.other_table``).
    """
    if sensitive in classes.quasi:
        raise PolicyError("risk.sensitive_is_quasi", column=sensitive)
    encoded = encode(as_arrow(table, [sensitive]), sensitive)
    if len(encoded.codes) != classes.records:
        raise PolicyError("risk.other_table", rows=len(encoded.codes), grouped=classes.records)
    return _count(classes, encoded, sensitive)


def _count(classes: Classes, encoded: Encoded, column: str) -> Spread:
    values = np.where(encoded.codes == 0, encoded.values, encoded.codes - 1).astype(np.int64)
    every = np.bincount(values, minlength=encoded.values + 1).astype(np.int64)
    radix = encoded.values + 1
    keys = classes.codes.astype(np.int64) * radix + values
    cells, found = distinct_keys(keys, len(classes) * radix)
    key = np.empty(found, dtype=np.int64)
    key[cells] = keys
    return Spread(
        column=column,
        owner=key // radix,
        value=key % radix,
        count=np.bincount(cells, minlength=found).astype(np.int64),
        sizes=classes.sizes,
        totals=every if every[-1] else every[:-1],
        ordered=encoded.ordered,
    )
