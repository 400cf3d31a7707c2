"""Cells on their way out: text that a spreadsheet would run as a formula is made harmless.

Inside, cells are kept as they came. Whatever writes CSV or a workbook for people passes its text
through ``neutral`` (OWASP, "CSV Injection"; CWE-1236), or writes with ``write_csv``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

__all__ = ["neutral", "write_csv"]

# Excel and WPS take full-width signs for formulas too; tab and line ends may hide one behind them.
_STARTS = re.compile(r"[\s\u200b\ufeff]*[=+\-@＝＋－＠|%]|[\t\r\n]")
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?%?")


def neutral(cell: object) -> object:
    """Return ``cell``; a text that begins like a formula with an apostrophe in front.

    Numbers and texts that are plain negative numbers stay. Of dates and the like, nothing changes.
    """
    if not isinstance(cell, str) or not _STARTS.match(cell) or _PLAIN_NUMBER.fullmatch(cell):
        return cell
    return "'" + cell


def write_csv(out: TextIO, rows: Iterable[Sequence[object]]) -> None:
    """Write ``rows`` as RFC 4180, every cell neutral. ``out`` is opened with ``newline=""``."""
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([neutral(cell) for cell in row])
