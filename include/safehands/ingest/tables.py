"""What every reader hands on, whatever the format: raw tables of text, in batches of columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

__all__ = [
    "HEAD_LINES",
    "TOTALS",
    "Batch",
    "Line",
    "Odd",
    "Opened",
    "RawTable",
    "is_totals",
    "letter",
]

HEAD_LINES = 300
"""How many records of a table are looked at to find its header and the kinds of its columns."""

TOTALS = (
    r"(?i)^[\s'\"]*(本页|本日|当日|本月)?(合计|总计|小计|总数|共计|汇总|合計|總計|小計|grand total"
    r"|subtotal|total|sum)[\s:：]*[\d.,，]*\s*(条|件|元|kg)?[\s'\"]*$|^\s*共\s*\d+\s*[条件单]"
)


@dataclass(frozen=True)
class Line:
    """One record as text. ``row``: 1-based as a person sees it; 0 for names that are no row."""

    row: int
    cells: tuple[str, ...]
    end: int = 0


@dataclass(frozen=True)
class Batch:
    """Columns of equal length by position; ``rows`` (int32) are the records' row numbers.

    Columns are strings, with null for an empty cell, or naive or zoned timestamps where the format
    has types.
    """

    columns: dict[int, pa.Array]
    rows: pa.Array


@dataclass(frozen=True)
class Odd:
    """A record that is not part of the columns; ``rule`` is a quarantine rule or ``totals``.

    ``cells``: how many it has; ``lines``: how many further lines of the file it takes up;
    ``mark``: what it begins with, if comments begin with such a sign.
    """

    row: int
    rule: str
    cells: int = 0
    lines: int = 0
    mark: str = ""


class RawTable(Protocol):
    """A sheet or file that may hold a table.

    ``head`` are its first records, title rows and header among them; ``odd`` grows while the
    batches are drawn and is complete at their end, and so is ``info``: what else was noticed, as
    JSON-able data.
    """

    sheet: str
    head: list[Line]
    odd: list[Odd]
    info: dict[str, Any]

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the records after ``head[header]``: the ``wanted`` columns of ``width``.

        ``header`` -1: the table has none, all records are drawn.
        """
        ...


@dataclass(frozen=True)
class Opened:
    """An opened file: its visible tables and what was learnt while opening."""

    tables: Sequence[RawTable]
    encoding: str = ""
    hidden: int = 0
    date1904: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def letter(position: int) -> str:
    """Return the column's letters as spreadsheets show them; ``position`` counts from 0."""
    letters, rest = "", position + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


_TOTALS = re.compile(TOTALS)


def is_totals(cell: str) -> bool:
    """Say whether a cell is the label of a totals row or a footer such as ``共 20 条``."""
    return _TOTALS.match(cell) is not None
