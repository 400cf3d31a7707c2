"""Tables as the bytes of a CSV, XLSX or Parquet file: the same bytes for the same cells.

Promised within one installation; another version of zlib, openpyxl or Arrow may write others.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Sheet", "csv_bytes", "parquet_bytes", "xlsx_bytes"]


@dataclass(frozen=True)
class Sheet:
    """One sheet of a workbook, row by row."""

    name: str
    rows: Iterable[Sequence[Any]]
    hidden: bool = False


def csv_bytes(rows: Iterable[Sequence[Any]], encoding: str, end: str = "\r\n") -> bytes:
    """Return delimited text; ``rows`` may differ in width."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(rows)
    return text.getvalue().encode(encoding)


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def xlsx_bytes(sheets: Iterable[Sheet]) -> bytes:
    """Return a workbook without the times at which it was made."""
    # The library takes a third of a second to import and only workbooks need it.
    from openpyxl import Workbook  # type: ignore[import-untyped]

    book = Workbook(write_only=True)
    for sheet in sheets:
        made = book.create_sheet(sheet.name)
        made.sheet_state = "hidden" if sheet.hidden else "visible"
        for row in sheet.rows:
            made.append([None if cell == "" else cell for cell in row])
    sink = io.BytesIO()
    book.save(sink)
    return _timeless(sink.getvalue())


_STAMPS = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def _timeless(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(sink, "w") as target:
        for part in source.infolist():
            content = source.read(part)
            if part.filename == "docProps/core.xml":
                content = _STAMPS.sub(rb"\g<1>2026-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(part.filename, (1980, 1, 1, 0, 0, 0))
            target.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=6)
    return sink.getvalue()
