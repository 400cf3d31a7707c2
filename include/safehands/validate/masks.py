"""Which rows break a rule: our own vectorised reading of each kind of expectation.

Great Expectations can say how many rows are bad in a second or two for a million; which ones takes
it a minute and gigabytes. So it counts and we point. Each function takes a prepared table (see
``frames``) and the expectation's kwargs and returns a NumPy boolean mask of the **bad** rows. A
null is never bad but for the rule that asks for it, as in Great Expectations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import PolicyError

__all__ = ["KINDS", "ROW_COUNT", "Bools", "Ints", "bad_rows", "check_kind", "considered_rows"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]
Kwargs = Mapping[str, Any]
_AMBIGUOUS = re.compile(r"(?<!\\)\$|\\[dDwWsSbB]")
ROW_COUNT = "expect_table_row_count_to_be_between"


def bad_rows(kind: str, table: pa.Table, kwargs: Kwargs) -> Bools:
    """Return the mask of rows of ``table`` that break an expectation of ``kind``.

    The row-count rule has no rows to point at: its mask is all false.
    """
    return KINDS[kind](table, kwargs)


def considered_rows(kind: str, table: pa.Table, kwargs: Kwargs) -> Bools | None:
    """Return the mask of rows that the rule looks at, or None for all of them."""
    if kind in {NOT_NULL, ROW_COUNT}:
        return None
    columns = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs]
    if not any(table[column].null_count for column in columns):
        return None
    present = [_numpy(pc.is_valid(table[column])) for column in columns]
    return np.asarray(np.logical_and.reduce(present), dtype=bool)


def check_kind(rule: str, kind: str, kwargs: Kwargs) -> None:
    """Raise ``PolicyError`` when no mask reads this rule as Great Expectations would."""
    known = KWARGS.get(kind)
    if known is None:
        raise PolicyError("validate.unknown_kind", rule=rule, kind=kind)
    for name in kwargs.keys() - known - {"column", "mostly"}:
        raise PolicyError("validate.unknown_option", rule=rule, name=name)
    if kind == PAIR and kwargs.get("ignore_row_if") != "either_value_is_missing":
        raise PolicyError("validate.unknown_option", rule=rule, name="ignore_row_if")
    if "regex" in kwargs:
        _check_pattern(rule, kwargs["regex"])


def _check_pattern(rule: str, pattern: str) -> None:
    # Arrow's engine (RE2) has no look-around, ends `$` elsewhere than Python does, and takes `\d`
    # and the like for ASCII only: such patterns could not be compared.
    try:
        pc.match_substring_regex(pa.array([""]), _for_arrow(pattern))
    except pa.ArrowInvalid:
        raise PolicyError("validate.unknown_option", rule=rule, name="regex") from None
    if _AMBIGUOUS.search(pattern):
        raise PolicyError("validate.unknown_option", rule=rule, name="regex")


def _for_arrow(pattern: str) -> str:
    """Return a Python pattern as RE2 spells it: the very end is ``\\z`` there."""
    return pattern.replace(r"\Z", r"\z")


def _null(table: pa.Table, kwargs: Kwargs) -> Bools:
    return _numpy(pc.is_null(table[kwargs["column"]]))


def _outside(table: pa.Table, kwargs: Kwargs) -> Bools:
    column = table[kwargs["column"]]
    bad = np.zeros(table.num_rows, dtype=bool)
    if kwargs.get("min_value") is not None:
        bad |= _numpy(pc.less(column, _scalar(kwargs["min_value"], column.type)))
    if kwargs.get("max_value") is not None:
        bad |= _numpy(pc.greater(column, _scalar(kwargs["max_value"], column.type)))
    return bad


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    # A bound like 0.5 on a column of whole numbers keeps its own type.
    return pa.scalar(value, kind) if pa.types.is_timestamp(kind) else pa.scalar(value)


def _not_listed(table: pa.Table, kwargs: Kwargs) -> Bools:
    column = table[kwargs["column"]]
    listed = pc.is_in(column, value_set=pa.array(kwargs["value_set"], column.type))
    return _numpy(pc.and_(pc.invert(listed), pc.is_valid(column)))


def _listed(table: pa.Table, kwargs: Kwargs) -> Bools:
    column = table[kwargs["column"]]
    listed = pc.is_in(column, value_set=pa.array(kwargs["value_set"], column.type))
    return _numpy(pc.and_(listed, pc.is_valid(column)))


def _unmatched(table: pa.Table, kwargs: Kwargs) -> Bools:
    pattern = _for_arrow(kwargs["regex"])
    return _numpy(pc.invert(pc.match_substring_regex(table[kwargs["column"]], pattern)))


def _matched(table: pa.Table, kwargs: Kwargs) -> Bools:
    return _numpy(pc.match_substring_regex(table[kwargs["column"]], _for_arrow(kwargs["regex"])))


def _repeated(table: pa.Table, kwargs: Kwargs) -> Bools:
    column = table[kwargs["column"]]
    codes = column.combine_chunks().dictionary_encode().indices
    present = _numpy(pc.is_valid(codes))
    filled = codes.fill_null(0).to_numpy()
    often = np.bincount(filled[present], minlength=1) > 1
    return np.asarray(present & often[filled], dtype=bool)


def _not_greater(table: pa.Table, kwargs: Kwargs) -> Bools:
    compare = pc.less if kwargs.get("or_equal") else pc.less_equal
    return _numpy(compare(table[kwargs["column_A"]], table[kwargs["column_B"]]))


def _no_rows(table: pa.Table, _kwargs: Kwargs) -> Bools:
    return np.zeros(table.num_rows, dtype=bool)


def _numpy(mask: pa.ChunkedArray | pa.Array) -> Bools:
    """Return a boolean Arrow column as NumPy, null read as false."""
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


NOT_NULL = "expect_column_values_to_not_be_null"
PAIR = "expect_column_pair_values_a_to_be_greater_than_b"
KINDS: dict[str, Callable[[pa.Table, Kwargs], Bools]] = {
    NOT_NULL: _null,
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": _not_listed,
    "expect_column_values_to_not_be_in_set": _listed,
    "expect_column_values_to_match_regex": _unmatched,
    "expect_column_values_to_not_match_regex": _matched,
    "expect_column_values_to_be_unique": _repeated,
    PAIR: _not_greater,
    ROW_COUNT: _no_rows,
}
# The options each mask reads. Another one would change Great Expectations' count and not ours.
KWARGS: dict[str, set[str]] = {
    NOT_NULL: set(),
    "expect_column_values_to_be_between": {"min_value", "max_value"},
    "expect_column_values_to_be_in_set": {"value_set"},
    "expect_column_values_to_not_be_in_set": {"value_set"},
    "expect_column_values_to_match_regex": {"regex"},
    "expect_column_values_to_not_match_regex": {"regex"},
    "expect_column_values_to_be_unique": set(),
    PAIR: {"column_A", "column_B", "or_equal", "ignore_row_if"},
    ROW_COUNT: {"min_value"},
}
