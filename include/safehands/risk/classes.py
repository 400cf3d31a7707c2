"""Equivalence classes: the rows that share one combination of quasi-identifier values.

Every figure of this package is a function of these classes, so a table is grouped once.

The rule for missing values, stated because tools differ: **a missing value (null or NaN) is a
category of its own and equals other missing values** of the same column. ARX counts suppressed
cells that way by default; sdcMicro lets a missing value match every value (see
:func:`safehands.risk.individual.frequencies` for that reading).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from safehands.errors import PolicyError
from safehands.risk._columns import Bools, Codes, Encoded, Ints, Table, as_arrow, encode

__all__ = ["Classes", "Persons", "distinct_keys", "group", "one_row_per_person", "persons_of"]

_WORKERS = 2
"""Threads that encode columns."""

_DENSE = 1 << 24
"""Up to this many possible combinations an array of counts beats hashing or sorting."""


@dataclass(frozen=True, repr=False)
class Classes:
    """A table's equivalence classes.

    ``codes[row]``: class of the row, 0 … ``len(self) - 1``. ``sizes[class]``: its rows, ≥ 1.
    ``tuples[column][class]``: the class's value of each quasi-identifier as a code, 0 for missing.
    ``radices``: per quasi-identifier one more than its number of distinct values.

    Holds codes, never values. Classes are numbered in ascending order of their values.
    """

    quasi: tuple[str, ...]
    codes: Codes
    sizes: Ints
    tuples: tuple[Codes, ...]
    radices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def records(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def __repr__(self) -> str:
        return f"Classes({len(self.quasi)} columns, {self.records} rows, {len(self)} classes)"


def group(table: Table, quasi: Sequence[str]) -> Classes:
    """Group ``table`` by the columns ``quasi``.

    Raises ``PolicyError``: ``risk.no_quasi`` for an empty list, ``risk.repeated_column`` for a
    name given twice, and what :func:`as_arrow` raises. Takes time linear in the rows.
    """
    columns = _checked(quasi)
    arrow = as_arrow(table, columns)
    # Arrow and NumPy work outside the interpreter's lock.
    with ThreadPoolExecutor(_WORKERS) as pool:
        encoded = list(pool.map(lambda name: encode(arrow, name), columns))
    return group_encoded(columns, encoded)


def _checked(quasi: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(quasi)
    if not columns:
        raise PolicyError("risk.no_quasi")
    for name in columns:
        if columns.count(name) > 1:
            raise PolicyError("risk.repeated_column", column=name)
    return columns


def group_encoded(columns: tuple[str, ...], encoded: Sequence[Encoded]) -> Classes:
    """Group rows whose columns are already codes."""
    radices = tuple(column.values + 1 for column in encoded)
    keys, bound = combine([column.codes for column in encoded], radices)
    codes, found = distinct_keys(keys, bound)
    first = np.empty(found, dtype=np.int64)
    # Written backwards, so that what stays for each class is its first row.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return Classes(
        quasi=columns,
        codes=codes,
        sizes=np.bincount(codes, minlength=found).astype(np.int64),
        tuples=tuple(column.codes[first] for column in encoded),
        radices=radices,
    )


def combine(columns: Sequence[Codes], radices: Sequence[int]) -> tuple[Ints, int]:
    """Return one whole number per row that tells combinations apart, and its exclusive bound.

    The number is mixed-radix; whenever the next column would leave 63 bits, the numbers so far
    are renumbered densely first.
    """
    keys, bound = columns[0].astype(np.int64), radices[0]
    for column, radix in zip(columns[1:], radices[1:], strict=True):
        if bound * radix >= 1 << 62:
            dense, bound = distinct_keys(keys, bound)
            keys = dense.astype(np.int64)
        keys *= radix
        keys += column
        bound *= radix
    return keys, bound


def distinct_keys(keys: Ints, bound: int) -> tuple[Codes, int]:
    """Renumber ``keys`` (0 ≤ key < ``bound``) densely in ascending order; return how many."""
    if bound <= min(_DENSE, max(1024, 8 * len(keys))):
        used = np.zeros(bound, dtype=np.int32)
        used[keys] = 1
        rank = np.cumsum(used, dtype=np.int32)
        return rank[keys] - np.int32(1), int(rank[-1])
    return _sorted_ranks(keys, bound)


def _sorted_ranks(keys: Ints, bound: int) -> tuple[Codes, int]:
    ascending, order = _sorted(keys, bound)
    step = np.empty(len(keys), dtype=np.int32)
    step[0] = 0
    np.not_equal(ascending[1:], ascending[:-1], out=step[1:], casting="unsafe")
    np.cumsum(step, out=step)
    codes = np.empty_like(step)
    codes[order] = step
    return codes, int(step[-1]) + 1


def _sorted(keys: Ints, bound: int) -> tuple[Ints, Ints]:
    """Return the keys in ascending order and the rows they come from."""
    rows = len(keys)
    bits = rows.bit_length()
    if bound << bits < 1 << 62:
        # Sorting key and row number as one whole number is several times faster than argsort.
        packed = keys << bits
        packed |= np.arange(rows)
        packed.sort()
        return packed >> bits, packed & ((1 << bits) - 1)
    order = np.argsort(keys)
    return keys[order], order


def one_row_per_person(table: Table, quasi: Sequence[str], person: str) -> tuple[Bools, int]:
    """Return which rows to keep so that each class counts people, and the number of people.

    The rule: of the rows of one person with the same quasi-identifier values only the first stays.
    So a class's size is its number of people; a person whose rows differ in a quasi-identifier can
    be found through each of them and is a member of each class. Other columns (sensitive values,
    weights) come from the kept row. Rows whose person is missing are each a person of their own.
    """
    arrow = as_arrow(table, [*quasi, person])
    classes = group(arrow.select(list(quasi)), quasi)
    people = encode(arrow, person)
    known = people.codes > 0
    keep = ~known
    keep[_first_rows(classes.codes[known], people.codes[known], np.flatnonzero(known))] = True
    return keep, people.values + int(np.count_nonzero(~known))


def _first_rows(classes: Codes, people: Codes, rows: Ints) -> Ints:
    if len(rows) == 0:
        return rows
    radix = int(people.max()) + 1
    pairs, found = distinct_keys(
        classes.astype(np.int64) * radix + people, (int(classes.max()) + 1) * radix
    )
    first = np.empty(found, dtype=np.int64)
    first[pairs[::-1]] = rows[::-1]
    return first


@dataclass(frozen=True, repr=False)
class Persons:
    """Whose each row is: ``codes[row]`` from 0 to ``count`` - 1, rows without a person apart."""

    codes: Ints
    count: int

    def per_class(self, classes: Codes, found: int) -> Ints:
        """Return the number of distinct people in each of ``found`` classes (``classes[row]``)."""
        pairs = classes.astype(np.int64) * self.count + self.codes
        numbered, distinct = distinct_keys(pairs, found * self.count)
        owner = np.empty(distinct, dtype=np.int64)
        owner[numbered] = classes
        return np.bincount(owner, minlength=found).astype(np.int64)


def persons_of(table: Table, person: str) -> Persons:
    """Number the people of the column ``person``; a row without one is a person of its own."""
    encoded = encode(as_arrow(table, [person]), person)
    codes = encoded.codes.astype(np.int64) - 1
    nobody = np.flatnonzero(codes < 0)
    codes[nobody] = encoded.values + np.arange(len(nobody))
    return Persons(codes, encoded.values + len(nobody))


def keep_rows(arrow: pa.Table, keep: Bools) -> pa.Table:
    """Return the rows of ``arrow`` that ``keep`` marks."""
    return arrow.filter(pa.array(keep))
