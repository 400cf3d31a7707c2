"""Children under fourteen: rows that tell of one wait, unless a guardian agreed (PIPL 31).

Columns with a date of birth or a resident ID number are dropped: nothing of them is kept anywhere.
At the door they are looked at for one thing, whether the person is under fourteen on the business
date; where a column says that a guardian agreed, the row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from safehands.datasets import MINOR
from safehands.policy import CodeList

__all__ = ["RULE", "children"]

RULE = MINOR
"""The rule under which such rows wait."""

_BIRTH = r"^\s*(?P<y>\d{4})[-/.年]?(?P<m>\d{1,2})[-/.月]?(?P<d>\d{1,2})"
# GB 11643: six digits of the place, eight of the birth, three of the order, one of the check.
_ID = r"^\s*\d{6}(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})\d{3}[\dXx]\s*$"
_PATTERNS = {"birth": _BIRTH, "id": _ID}
_YEARS = 14
_AGE = _YEARS * 10_000


def children(columns: Mapping[str, pa.Array], flags: CodeList, day: date) -> pa.Array | None:
    """Return which rows are of somebody under fourteen without a guardian's yes; None for none.

    ``columns``: ``birth``, ``id`` and ``guardian`` → cells. The fourteenth birthday is the first
    day on which somebody is fourteen. Cells that tell no date say nothing.
    """
    young: pa.Array | None = None
    today = day.year * 10_000 + day.month * 100 + day.day
    for kind, pattern in _PATTERNS.items():
        if kind in columns:
            born = _born(columns[kind].cast(pa.string()), pattern)
            mask = pc.fill_null(
                pc.and_(
                    pc.less(pc.subtract(pa.scalar(today, pa.int64()), born), _AGE),
                    pc.less_equal(born, today),
                ),
                False,
            )
            young = mask if young is None else pc.or_(young, mask)
    if young is None or not pc.any(young).as_py():
        return None
    if "guardian" in columns:
        yes = [word for word, number in flags.by_word.items() if number == 1]
        said = pc.utf8_lower(pc.utf8_trim_whitespace(columns["guardian"].cast(pa.string())))
        agreed = pc.fill_null(pc.is_in(said, value_set=pa.array(yes)), False)
        young = pc.and_not(young, agreed)
    return young


def _born(column: pa.Array, pattern: str) -> pa.Array:
    """Return year, month and day as one number, null where there is none."""
    parts = pc.extract_regex(column, pattern)
    numbers = [pc.struct_field(parts, name).cast(pa.int64()) for name in ("y", "m", "d")]
    year, month, day = numbers
    return pc.add(pc.add(pc.multiply(year, 10_000), pc.multiply(month, 100)), day)
