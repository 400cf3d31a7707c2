"""Text in a rarer dialect, rewritten into RFC 4180 as it streams by, record by record.

Blank lines stay, so that record numbers are those of the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from safehands.ingest.dialect import Dialect

__all__ = ["normal_form", "rewritten"]

# Characters for private use (Unicode chapter 23.5) stand for escaped ones while a line is parsed.
_QUOTE, _DELIMITER, _BACKSLASH, _NEWLINE = "\ue0f0", "\ue0f1", "\ue0f2", "\ue0f3"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def normal_form(text: str, dialect: Dialect) -> str:
    """Return ``text`` as RFC 4180 with the same delimiter."""
    return "".join(rewritten(io.StringIO(text, newline=""), dialect))


def rewritten(lines: Iterable[str], dialect: Dialect) -> Iterator[str]:
    """Yield each record of ``lines`` (with their line ends) in RFC 4180 form.

    The delimiter becomes ``\\x1f`` where it is not of one byte (see ``target``).
    """
    if dialect.delimiter == " " and dialect.spaced:
        lines = (line.rstrip() + "\n" for line in lines)
    reader = csv.reader(
        _escaped(lines, dialect) if dialect.backslash else lines,
        delimiter=dialect.parsed,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        skipinitialspace=dialect.spaced,
    )
    back = {
        ord(_QUOTE): dialect.quote or '"',
        ord(_DELIMITER): dialect.delimiter,
        ord(_BACKSLASH): "\\",
        ord(_NEWLINE): "\n",
    }
    for cells in reader:
        if dialect.backslash:
            cells = [cell.translate(back) for cell in cells]
        yield _record(cells, target(dialect), dialect.quote or '"')


def target(dialect: Dialect) -> str:
    """Return the delimiter of the rewritten text."""
    return dialect.parsed if dialect.parsed.isascii() else "\x1f"


def _record(cells: list[str], delimiter: str, quote: str) -> str:
    special = (delimiter, quote, "\n", "\r")
    return (
        delimiter.join(
            f"{quote}{cell.replace(quote, quote * 2)}{quote}"
            if any(character in cell for character in special)
            else cell
            for cell in cells
        )
        + "\n"
    )


def _escaped(lines: Iterable[str], dialect: Dialect) -> Iterator[str]:
    def stand_in(found: re.Match[str]) -> str:
        character = found.group(1)
        if character == (dialect.quote or '"'):
            return _QUOTE
        if character == dialect.delimiter:
            return _DELIMITER
        if character == "\\":
            return _BACKSLASH
        # Anything else behind a backslash means itself: C:\temp keeps it.
        return found.group(0)

    for line in lines:
        yield _ESCAPE.sub(stand_in, line) if "\\" in line else line
