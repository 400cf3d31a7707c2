"""How a text file writes its cells, and its records in RFC 4180 form."""

from __future__ import annotations  # noqa: I001

import csv
import io
from typing import Literal
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Dialect", "split_records"]


@dataclass(frozen=True)
class Dialect:
    """``quote`` may be empty: quotes are characters like others. ``delimiter`` may be empty: the
    records have one cell. ``backslash``: a backslash escapes quote, delimiter and itself.
    ``spaced``: blanks behind a delimiter are no part of the cell.
    """

    delimiter: str = ","
    quote: str = '"'
    backslash: bool = False
    spaced: bool = False

    @property
    def plain(self) -> bool:
        """Say whether it is RFC 4180 up to the delimiter and quote, each of one byte."""
        simple = not self.backslash and not self.spaced
        return simple and self.delimiter.isascii() and self.quote.isascii()

    @property
    def parsed(self) -> str:
        """The delimiter to parse with: for one column, a character that no text holds."""
        return self.delimiter or "\x1f"


def split_records(text: str, dialect: Dialect) -> Iterator[tuple[str, ...]]:
    """Cut text in RFC 4180 form into records; stops before a cell that is absurdly long."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.parsed,
        quotechar=dialect.quote or None,
        quoting=quoting,
    )
    try:
        for cells in reader:
            yield tuple(cells)
    except csv.Error:
        # A cell longer than the csv module reads: an open quote. What came before it stands.
        return
