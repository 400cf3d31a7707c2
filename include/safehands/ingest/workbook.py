"""XLSX, XLSM, XLS and ODS through calamine: cells become the text that a person would read."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    XmlError,
    ZipError,
)

from safehands.errors import TruncatedFile, WrongFileType
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, Opened

__all__ = ["open_workbook"]

_ROWS = 16_384
_EXACT = 10**15  # A spreadsheet number has 15 digits; what is longer has lost its last ones.


def open_workbook(data: bytes, label: str, date1904: bool) -> Opened:
    """Open a workbook's visible sheets; hidden ones are counted, not read.

    Raises ``TruncatedFile`` when the bytes are not a whole workbook and ``WrongFileType`` when it
    has a password.
    """
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        shown = [s for s in book.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
        visible = [s.name for s in shown if s.visible == SheetVisibleEnum.Visible]
        sheets = [book.get_sheet_by_name(name) for name in visible]
    except PasswordError:
        raise WrongFileType("ingest.password", file=label) from None
    except (CalamineError, XmlError, ZipError, OSError):
        raise TruncatedFile("ingest.cut_workbook", file=label) from None
    except BaseException as error:
        # A panic of the Rust reader is no Exception; unnamed by pyo3, it is known by its module.
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise TruncatedFile("ingest.cut_workbook", file=label) from None
    tables = [SheetTable(sheet) for sheet in sheets if sheet.height]
    return Opened(tables, hidden=len(shown) - len(visible), date1904=date1904)


class SheetTable:
    """One sheet as a raw table (see ``tables.RawTable``)."""

    def __init__(self, sheet: CalamineSheet) -> None:
        self.sheet = sheet.name
        self.odd: list[Odd] = []
        self._rows = sheet.iter_rows()
        self._left = (sheet.start or (0, 0))[1]
        self._first = list(islice(self._rows, HEAD_LINES))
        self.head = [
            Line(
                number, ("",) * self._left + tuple("" if c is None else c for c in map(_text, row))
            )
            for number, row in enumerate(self._first, 1)
        ]

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the rows below ``head[header]``; to be called once."""
        del width  # A sheet's rows all have the width of the sheet.
        start = header + 1
        rows = chain(islice(self._first, start, None), self._rows)
        while chunk := list(islice(rows, _ROWS)):
            columns = {i: _column(chunk, i - self._left) for i in wanted}
            numbers = range(start + 1, start + 1 + len(chunk))
            yield Batch(columns, pa.array(numbers, pa.int32()))
            start += len(chunk)


def _column(rows: list[list[Any]], position: int) -> pa.Array:
    if position < 0:
        return pa.nulls(len(rows), pa.string())
    return pa.array([_text(row[position]) for row in rows], pa.string())


def _text(cell: Any) -> str | None:
    return _TEXT.get(type(cell), str)(cell)


def _float(number: float) -> str:
    if abs(number) >= _EXACT:
        return f"{number:.14E}"
    return str(int(number)) if number == int(number) else repr(number)


_TEXT: dict[type, Callable[[Any], str | None]] = {
    str: lambda text: text or None,
    float: _float,
    int: lambda number: str(number) if abs(number) < _EXACT else f"{number:.14E}",
    bool: lambda flag: "true" if flag else "false",
    dt.datetime: lambda moment: moment.isoformat(sep=" "),
    dt.date: lambda day: day.isoformat(),
}
