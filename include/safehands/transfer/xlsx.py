"""The same tables for a buyer without Safehands: one workbook, and a receipt form inside it.

The workbook is sealed to the buyer's age key like a package; the stock ``age`` tool opens it. Every
cell is text or a number: nothing that came out of a record is ever a formula.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from openpyxl import Workbook  # type: ignore[import-untyped]
from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]

from safehands.messages import LANGUAGES, say
from safehands.transfer.form import sent

__all__ = ["ROWS_PER_SHEET", "workbook"]

ROWS_PER_SHEET = 1_000_000
"""Excel's own limit is 1,048,576."""

_SHANGHAI = ZoneInfo("Asia/Shanghai")


def workbook(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> bytes:
    """Return an XLSX with a receipt form and one sheet (or more) per table."""
    book = Workbook(write_only=True)
    form = book.create_sheet("收据 receipt")
    for line in _form(manifest):
        form.append([_cell(form, value) for value in line])
    for name, table in tables.items():
        for number, start in enumerate(range(0, max(table.num_rows, 1), ROWS_PER_SHEET)):
            sheet = book.create_sheet(name if number == 0 else f"{name}_{number + 1}")
            sheet.append([_cell(sheet, column) for column in table.column_names])
            for row in _rows(table.slice(start, ROWS_PER_SHEET)):
                sheet.append([_cell(sheet, value) for value in row])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _form(manifest: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Counts and digests to confirm, a place to sign: the receipt confirms nothing else."""
    for lang in LANGUAGES:
        yield (say("transfer.form.title", lang, seller=manifest["seller"]),)
        yield (say("transfer.form.handover", lang), manifest["handover"])
        yield (say("transfer.form.root", lang), manifest["root"])
        if "number" in manifest:
            yield (say("transfer.form.delta", lang), manifest["number"])
            yield (say("transfer.form.how", lang),)
        for name, count in sent(manifest).items():
            yield (name, count, manifest["digests"][name])
        yield (say("transfer.form.sign", lang), "")
        yield ()


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _cell(sheet: Any, value: Any) -> Any:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, bytes):
        shown = value.hex()
    elif isinstance(value, datetime):
        shown = value.replace(tzinfo=value.tzinfo or UTC).astimezone(_SHANGHAI).isoformat()
    else:
        shown = str(value)
    cell = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("", shown))
    # A name that begins with "=" would be a formula otherwise.
    cell.data_type = "s"
    return cell
