"""Hierarchies for columns that nobody wrote one for.

Numbers become intervals of 5, 10, 50, 100, …; dates and times become days, months and years; codes
of one length (areas, postcodes) lose their last characters; other text only becomes ``*``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from safehands.risk.hierarchy import Hierarchy, from_labels

__all__ = ["default_hierarchy", "distinct_values", "texts_of"]

_GROUPS = 200
"""The finest intervals are at most about this many."""

_LONGEST_CODE = 12
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T].*)?")
_CODE = re.compile(r"[0-9A-Za-z]+")


def distinct_values(table: pa.Table, name: str) -> pa.Array[Any]:
    """Return a column's distinct values ascending, missing ones left out: code c is entry c - 1."""
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return pa.array([], type=pa.string())
    if pa.types.is_floating(column.type):
        missing = pc.is_null(column, nan_is_null=True)
        column = pc.if_else(missing, None, pc.add(column.cast(pa.float64()), 0.0))
    distinct = pc.unique(column).drop_null()
    return distinct.take(pc.sort_indices(distinct))


def texts_of(values: pa.Array[Any]) -> list[str]:
    """Return values as hierarchy files write them: whole numbers without a point, dates as ISO."""
    return [_text(one) for one in values.to_pylist()]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def default_hierarchy(values: pa.Array[Any], column: str) -> Hierarchy:
    """Return a hierarchy after the type of ``values`` (distinct and ascending)."""
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        levels = _intervals([float(one) for one in values.to_pylist()], pa.types.is_integer(kind))
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        levels = _moments([_iso(one) for one in values.to_pylist()])
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = values.to_pylist()
        levels = _moments(texts) if all(_ISO.fullmatch(one) for one in texts) else _codes(texts)
    else:
        levels = []
    return from_labels(len(values), levels, column)


def _iso(moment: datetime | date) -> str:
    return moment.isoformat()


def _moments(texts: Sequence[str]) -> list[list[str]]:
    return [[one[:length] for one in texts] for length in (10, 7, 4)]


def _codes(texts: Sequence[str]) -> list[list[str]]:
    lengths = {len(one) for one in texts}
    if len(lengths) != 1 or not all(_CODE.fullmatch(one) for one in texts):
        return []
    length = lengths.pop()
    if length > _LONGEST_CODE:
        return []
    return [[one[:-cut] + "*" * cut for one in texts] for cut in range(1, length)]


def _intervals(numbers: Sequence[float], whole: bool) -> list[list[str]]:
    if len(numbers) < 2 or not all(math.isfinite(one) for one in numbers):
        return []
    span = numbers[-1] - numbers[0]
    widths = _widths(max(5.0 if whole else 0.0, span / _GROUPS), span)
    if not widths:
        return []
    # Counted in the finest width, so that rounding cannot part what a finer level joined.
    places = [math.floor(one / widths[0]) for one in numbers]
    found = []
    for width in widths:
        step = round(width / widths[0])
        found.append([_interval(one // step * step, step, widths[0], whole) for one in places])
    return found


def _widths(least: float, span: float) -> list[float]:
    """Return the widths 5·10ⁿ and 10ⁿ from ``least`` to below ``span``; each divides the next."""
    power = math.floor(math.log10(least))
    found = []
    while 10.0**power < span:
        found += [10.0**power, 5 * 10.0**power]
        power += 1
    return [width for width in found if least <= width < span]


def _interval(place: int, step: int, width: float, whole: bool) -> str:
    low, high = place * width, (place + step) * width
    return f"{round(low)}-{round(high) - 1}" if whole else f"[{low:.12g}, {high:.12g})"
