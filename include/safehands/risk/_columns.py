"""Columns as dense whole numbers: the one door through which cell values enter this package.

Behind it nothing sees a cell any more: 0 stands for a missing value, 1, 2, … for the distinct
values in ascending order. So no figure and no error of this package can hold a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import BadInput, EmptyFile, PolicyError

__all__ = [
    "Bools",
    "Codes",
    "Encoded",
    "Floats",
    "Ints",
    "Table",
    "as_arrow",
    "encode",
    "numbers",
    "whole_numbers",
]

Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Table: TypeAlias = "pa.Table | pd.DataFrame | Mapping[str, npt.NDArray[np.generic]]"
"""What the package accepts: an Arrow table, a DataFrame, or NumPy columns by name."""


@dataclass(frozen=True)
class Encoded:
    """One column as codes: ``codes[row]`` is 0 for missing, else 1 … ``values`` in value order.

    ``ordered`` says whether the values are numbers or points in time (their order has a meaning).
    """

    codes: Codes
    values: int
    ordered: bool


def as_arrow(table: Table, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of ``table`` as an Arrow table (no copy where Arrow can avoid it).

    Raises ``PolicyError`` for a column that is not there (``risk.unknown_column``) or there twice
    (``risk.ambiguous_column``), ``EmptyFile`` (``risk.no_rows``) for a table without rows, and
    ``BadInput`` (``risk.mixed_column``) for a column whose cells are of several types, where
    equality would be a guess.
    """
    present = _names(table)
    for name in columns:
        if present.count(name) != 1:
            key = "risk.ambiguous_column" if name in present else "risk.unknown_column"
            raise PolicyError(key, column=name)
    arrow = pa.table({name: _column(table, name) for name in dict.fromkeys(columns)})
    if arrow.num_rows == 0:
        raise EmptyFile("risk.no_rows")
    return arrow


def _names(table: Table) -> list[str]:
    return table.column_names if isinstance(table, pa.Table) else list(table.keys())


def _column(table: Table, name: str) -> Any:
    if isinstance(table, pa.Table):
        return table.column(name)
    try:
        return pa.array(table[name], from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # The original message quotes the cell that did not fit, so it must not travel on.
        raise BadInput("risk.mixed_column", column=name) from None


def encode(table: pa.Table, name: str) -> Encoded:
    """Encode one column. Null and NaN are missing; ``""`` and 0 are values like any other.

    Negative zero equals zero. Raises ``BadInput`` (``risk.nested_column``) for lists and structs.
    """
    indices, values = _dictionary(table.column(name), name)
    rank, distinct = _ranks(_plain(values))
    # A missing value's index is -1, which finds the 0 behind the ranks.
    return Encoded(np.append(rank, np.int32(0))[indices], distinct, _is_ordered(values.type))


def _dictionary(column: pa.ChunkedArray[Any], name: str) -> tuple[Ints, pa.Array[Any]]:
    """Return (index per row or -1, dictionary); the dictionary may repeat and hold nulls."""
    if pa.types.is_null(column.type):
        return np.full(len(column), -1, dtype=np.int64), pa.nulls(0)
    try:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        array: Any = pa.concat_arrays(column.unify_dictionaries().chunks)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise BadInput("risk.nested_column", column=name) from None
    indices = (
        pc.fill_null(array.indices.cast(pa.int64()), -1) if array.null_count else array.indices
    )
    return indices.to_numpy(zero_copy_only=False), array.dictionary


def _plain(values: pa.Array[Any]) -> pa.Array[Any]:
    """Return the dictionary with NaN as null and -0.0 as 0.0."""
    if not pa.types.is_floating(values.type):
        return values
    missing = pc.is_null(values, nan_is_null=True)
    known: pa.Array[Any] = pc.if_else(missing, None, pc.add(values.cast(pa.float64()), 0.0))
    return known


def _ranks(values: pa.Array[Any]) -> tuple[Codes, int]:
    """Return the rank of each dictionary entry (0 for null, equal entries alike), and how many."""
    if pa.types.is_null(values.type):
        return np.zeros(len(values), dtype=np.int32), 0
    distinct = pc.unique(values).drop_null()
    ascending = distinct.take(pc.sort_indices(distinct))
    place: Any = pc.index_in(values, value_set=ascending)
    rank = pc.fill_null(pc.add(place, 1), 0)
    return rank.to_numpy(zero_copy_only=False).astype(np.int32), len(distinct)


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    )


def whole_numbers(table: pa.Table, name: str) -> Ints | None:
    """Return the number that stands for each code from 1: the value itself, or the code.

    Whole numbers, truth values (0, 1) and dates (days since 1970) stand for themselves, text for
    its place among the values. ``None`` for other columns and for numbers beyond 32 bits.
    """
    values = _plain(_dictionary(table.column(name), name)[1])
    distinct = pc.unique(values).drop_null()
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        return np.arange(1, len(distinct) + 1)
    try:
        if pa.types.is_date(distinct.type):
            distinct = distinct.cast(pa.date32()).cast(pa.int32())
        found = np.sort(distinct.cast(pa.int32()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return found.astype(np.int64)


def numbers(table: pa.Table, name: str) -> Floats:
    """Return a column of finite positive numbers (sampling weights).

    Raises ``BadInput`` (``risk.bad_weight``) when a cell is missing, not a number, infinite, zero
    or negative; the error names the column and how many cells, never their content.
    """
    try:
        column = table.column(name).cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BadInput("risk.bad_weight", column=name, count=table.num_rows) from None
    values: Floats = np.asarray(column.to_numpy(), dtype=np.float64)
    bad = int(np.count_nonzero(~(np.isfinite(values) & (values > 0))))
    if bad:
        raise BadInput("risk.bad_weight", column=name, count=bad)
    return values
