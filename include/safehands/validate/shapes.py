"""The shapes of cells that break a rule: what is wrong can be seen, and no value can.

Every digit becomes 9, every letter A, every Chinese character 文; a few marks that people type
stay, anything else becomes ·. Three equal signs or more are written with their number: ``9{11}``.
Counted are at most ``MOST`` cells of a table; the rest says nothing new.
"""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MOST", "SHAPED", "SHOWN", "shapes"]

SHAPED = ("expect_column_values_to_match_regex", "expect_column_values_to_not_match_regex")
"""Kinds of rules that are about how a cell is written."""

MOST = 5_000
SHOWN = 8
"""How many shapes are kept per rule and station, the most frequent first."""

_LONGEST = 40
# RE2. Chinese characters first, because they are letters too; the sign that stands for them is
# one that no cell holds after reading.
_STEPS = (
    (r"\p{Han}", "\x01"),
    (r"[\p{L}\p{M}]", "A"),
    (r"\p{N}", "9"),
    ("[^\x01A9 +*/.()#:_-]", "·"),
    ("\x01", "文"),
)
_RUN = re.compile(r"(.)\1{2,}")


def shapes(cells: pa.ChunkedArray) -> dict[str, int]:
    """Return shape → how many of ``cells`` have it; cells that are missing have none."""
    masked = pc.drop_null(cells).slice(0, MOST).cast(pa.string())
    for pattern, sign in _STEPS:
        masked = pc.replace_substring_regex(masked, pattern, sign)
    found: Counter[str] = Counter()
    for entry in pc.value_counts(masked).to_pylist():
        found[_short(entry["values"])] += entry["counts"]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:SHOWN])


def _short(shape: str) -> str:
    runs = _RUN.sub(lambda run: f"{run[1]}{{{len(run[0])}}}", shape)
    return runs if len(runs) <= _LONGEST else f"{runs[:_LONGEST]}…"
