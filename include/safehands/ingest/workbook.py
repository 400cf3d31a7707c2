"""XLSX, XLSM, XLS and ODS through calamine: cells become the text that a person would read.

Formulas have the result that was stored with them; nothing is computed, run or followed.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
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

from safehands.datasets import safe_name
from safehands.errors import BadInput, TruncatedFile, WrongFileType
from safehands.ingest.package import Package, look_into
from safehands.ingest.source import Source
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, Opened

__all__ = ["open_workbook"]

_ROWS = 16_384
_EXACT = 10**15  # A spreadsheet number has 15 digits; what is longer has lost its last ones.
_KEPT = 4_000_000  # Sheets of smaller files stay in memory between looking and reading.
_VBA = "_VBA_PROJECT".encode("utf-16-le")


def open_workbook(source: Source, kind: str) -> Opened:
    """Open a workbook's visible sheets; hidden ones are counted, and read if ``source`` says so.

    Raises ``TruncatedFile`` when the bytes are not a whole workbook, ``WrongFileType`` when it has
    a password and ``BadInput`` when it unpacks to too much.
    """
    data = source.read()
    package = Package(macros=_VBA in data) if kind == "xls" else look_into(data, source)
    with _Guard(source.label):
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        shown = [s for s in book.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
        hidden = {s.name for s in shown if s.visible != SheetVisibleEnum.Visible}
        names = [s.name for s in shown if source.hidden or s.name not in hidden]
        if source.sheet:
            names = [s.name for s in shown if s.name == source.sheet]
        keep = len(names) == 1 or len(data) < _KEPT
        tables = [SheetTable(book, name, source, package, keep) for name in names]
    facts = {**package.facts(), "format": kind, "hidden_names": sorted(map(safe_name, hidden))}
    facts["sheet_names"] = [safe_name(s.name) for s in shown]
    filled = [table for table in tables if table.head]
    return Opened(filled, hidden=len(hidden), date1904=package.date1904, facts=facts)


class _Guard:
    """Turns the failures of the workbook's reader into problems of the file."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        if error is None or isinstance(error, BadInput | MemoryError):
            return
        if isinstance(error, PasswordError):
            raise WrongFileType("ingest.password", file=self._label) from None
        known = isinstance(error, CalamineError | XmlError | ZipError | OSError)
        # A panic of the Rust reader is no Exception; unnamed by pyo3, it is known by its module.
        if known or type(error).__module__ == "pyo3_runtime":
            raise TruncatedFile("ingest.cut_workbook", file=self._label) from None


class SheetTable:
    """One sheet as a raw table (see ``tables.RawTable``).

    ``info``: ``kinds`` of cells per column, ``merged`` ranges (first row, first column, last row,
    last column, from 0), ``errors`` and ``long_numbers`` (more than 15 digits) counted per column.
    """

    def __init__(
        self, book: CalamineWorkbook, name: str, source: Source, package: Package, keep: bool
    ) -> None:
        self.sheet = name
        self.odd: list[Odd] = []
        self._book, self._source, self._errors = book, source, package.of_sheet(name)
        sheet = book.get_sheet_by_name(name)
        self._sheet: CalamineSheet | None = sheet
        self._left = (sheet.start or (0, 0))[1]
        self._kinds: dict[int, set[str]] = {}
        self._long: dict[int, int] = {}
        rows = list(islice(sheet.iter_rows(), HEAD_LINES)) if sheet.height else []
        self._check_width(sheet)
        self.head = [self._line(number, row) for number, row in enumerate(rows)]
        merged = sheet.merged_cell_ranges or []
        self.info: dict[str, Any] = {
            "merged": [[*first, *last] for first, last in merged if first[0] < HEAD_LINES],
            "rows": sheet.total_height,
        }
        if not keep:
            self._sheet = None

    def _check_width(self, sheet: CalamineSheet) -> None:
        limit = self._source.limits.columns
        if self._left + sheet.width > limit:
            raise BadInput("ingest.too_many_columns", file=self._source.label, row=1, limit=limit)

    def _line(self, number: int, row: list[Any]) -> Line:
        cells = ["" if text is None else text for text in map(_text, row)]
        cells = [""] * self._left + cells
        for column, cell in enumerate(cells):
            if not cell and self._errors:
                cells[column] = self._errors.get((number, column), "")
        return Line(number + 1, tuple(cells))

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the rows below ``head[header]``."""
        del width  # A sheet's rows all have the width of the sheet.
        self._kinds, self._long = {}, {}
        start = header + 1
        with _Guard(self._source.label):
            sheet = self._sheet or self._book.get_sheet_by_name(self.sheet)
            rows = islice(sheet.iter_rows(), start, None)
        while chunk := list(islice(rows, _ROWS)):
            columns = {i: self._column(chunk, i, start) for i in wanted}
            numbers = range(start + 1, start + 1 + len(chunk))
            yield Batch(columns, pa.array(numbers, pa.int32()))
            start += len(chunk)
        self.info["kinds"] = {str(i): sorted(kinds) for i, kinds in self._kinds.items()}
        self.info["long_numbers"] = {str(i): count for i, count in self._long.items()}
        self.info["errors"] = sum(row >= header + 1 for row, _ in self._errors)

    def _column(self, rows: list[list[Any]], position: int, start: int) -> pa.Array:
        index = position - self._left
        if index < 0:
            return pa.nulls(len(rows), pa.string())
        cells = [row[index] for row in rows]
        self._note(position, cells)
        texts = [_text(cell) for cell in cells]
        if self._errors:
            texts = [
                self._errors.get((number, position)) if text is None else text
                for number, text in enumerate(texts, start)
            ]
        return pa.array(texts, pa.string())

    def _note(self, position: int, cells: list[Any]) -> None:
        kinds = self._kinds.setdefault(position, set())
        types = set(map(type, cells))
        kinds.update(_KINDS[kind] for kind in types if kind in _KINDS)
        if str in types and any(cell != "" for cell in cells if type(cell) is str):
            kinds.add("text")
        numbers = [cell for cell in cells if type(cell) is float] if float in types else []
        if numbers:
            whole = all(map(float.is_integer, numbers))
            kinds.add("integer" if whole else "decimal")
            long = sum(abs(number) >= _EXACT for number in numbers)
            if long:
                self._long[position] = self._long.get(position, 0) + long
                kinds.add("long")


_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
}


def _text(cell: Any) -> str | None:
    return _TEXT.get(type(cell), str)(cell)


def _float(number: float) -> str:
    if abs(number) >= _EXACT:
        return f"{number:.14E}"
    return str(int(number)) if number == int(number) else repr(number)


def _duration(span: dt.timedelta) -> str:
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


_TEXT: dict[type, Callable[[Any], str | None]] = {
    str: lambda text: text or None,
    float: _float,
    int: lambda number: str(number) if abs(number) < _EXACT else f"{number:.14E}",
    bool: lambda flag: "true" if flag else "false",
    dt.datetime: lambda moment: moment.isoformat(sep=" "),
    dt.date: lambda day: day.isoformat(),
    dt.timedelta: _duration,
}
