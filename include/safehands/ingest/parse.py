"""One pass of Arrow's CSV reader over text: row numbers, and records that do not fit."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Semaphore

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from safehands.errors import BadInput
from safehands.ingest.dialect import Dialect, split_records
from safehands.ingest.limits import BLOCK
from safehands.ingest.tables import Batch, Odd, is_totals
from safehands.ingest.text import Utf8Stream

__all__ = ["Parse", "swallows"]

_BLOCK = BLOCK
_AHEAD, _PATIENCE, _NO_MATTER = 4, 2.0, 1_000
_SIGN = re.compile(r"\s*(?:#|//|%|--|!|;)")


class Parse:
    """One pass of Arrow's reader over a stream, with row numbers and records that do not fit."""

    def __init__(
        self,
        stream: Utf8Stream,
        dialect: Dialect,
        width: int,
        wanted: Sequence[int],
        base: int,
        odd: list[Odd],
        label: str,
        anybody: bool,
    ) -> None:
        self.last_row = self._base = base
        self.short_row = 0
        self._stream, self._width, self._label = stream, width, label
        self._delimiter, self._quote, self._anybody = dialect.delimiter, dialect.quote, anybody
        self._wanted, self._odd = list(wanted), odd
        self._bad: list[int] = []
        self._kept: list[tuple[int, list[str]]] = []
        self._swallowed = 0

    def run(self, quoted: bool) -> Iterator[Batch]:
        """Read to the end; the plain and faster way until the first quote appears."""
        rest: io.RawIOBase = self._stream
        if not quoted:
            plain = _UntilQuote(self._stream, self._label, self._quote.encode())
            yield from self._read(plain, quoted=False)
            rest = plain.rest()
        yield from self._read(rest, quoted=bool(self._quote))

    def _read(self, source: io.RawIOBase, quoted: bool) -> Iterator[Batch]:
        first = source.read(_BLOCK)
        if not first:
            return
        self._base = self.last_row
        paced = _Again(first, source)
        with paced.to_its_end(), self._reader(paced, quoted) as reader:
            while (batch := self._next(reader)) is not None:
                paced.advance()
                if self._swallowed:
                    row = self._swallowed
                    raise BadInput("ingest.quote_open", file=self._label, row=row, column="")
                yield self._numbered(batch)
        if self._kept:
            yield self._with_kept(self._kept_before(self._bad[-1] + 1))
        self.last_row = max([self.last_row, *self._bad[-1:]])

    def _options(self, quoted: bool) -> dict[str, object]:
        names = [str(i) for i in range(self._width)]
        return {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=names
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                quote_char=self._quote if quoted else False,
                newlines_in_values=quoted,
                ignore_empty_lines=False,
                invalid_row_handler=self._set_aside,
            ),
            "convert_options": arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[str(i) for i in self._wanted],
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        }

    def _reader(self, stream: io.RawIOBase, quoted: bool) -> arrow_csv.CSVStreamingReader:
        try:
            return arrow_csv.open_csv(pa.PythonFile(stream, mode="r"), **self._options(quoted))
        except pa.ArrowInvalid:
            raise self._problem() from None

    def _next(self, reader: arrow_csv.CSVStreamingReader) -> pa.RecordBatch | None:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return None
        except pa.ArrowInvalid:
            raise self._problem() from None

    def _problem(self) -> BadInput:
        """Return why the parser gave up: the stream's reason, or a record longer than a block."""
        limit = _BLOCK // 1024
        long = BadInput("ingest.row_too_long", file=self._label, limit=limit)
        return self._stream.problem or long

    def _set_aside(self, row: arrow_csv.InvalidRow) -> str:
        number = self._base + (row.number or 0)
        self._bad.append(number)
        cells = self._cells(row.text)
        filled = [cell for cell in cells if cell.strip()]
        if filled and len(cells) > self._width and not "".join(cells[self._width :]).strip():
            # Delimiters behind the last cell add nothing to a record.
            self._kept.append((number, cells))
            return "skip"
        if any(swallows(cell, self._delimiter, self._width, self._anybody) for cell in filled):
            self._swallowed = number
        lines = row.text.count("\n")
        if len(filled) == 1 and is_totals(filled[0]):
            self._odd.append(Odd(number, "totals", len(cells), lines))
        elif filled:
            mark = _SIGN.match(row.text)
            sign = mark.group().strip() if mark else ""
            self._odd.append(Odd(number, "row_width", len(cells), lines, sign))
            self.short_row = number if row.actual_columns < row.expected_columns else 0
        return "skip"

    def _cells(self, text: str) -> list[str]:
        try:
            dialect = Dialect(self._delimiter, self._quote)
            return list(next(split_records(text, dialect), ()))
        except csv.Error:
            return [text]

    def _numbered(self, batch: pa.RecordBatch) -> Batch:
        count, start = batch.num_rows, self.last_row + 1
        skipped = np.array([n for n in self._bad if n >= start], dtype=np.int64)
        numbers = np.arange(start, start + count + len(skipped))
        numbers = numbers[~np.isin(numbers, skipped)][:count] if len(skipped) else numbers
        self._bad = [n for n in self._bad if not count or n > numbers[-1]]
        self.last_row = int(numbers[-1]) if count else self.last_row
        columns = dict(zip(self._wanted, batch.columns, strict=True))
        made = Batch(columns, _int32(numbers))
        if not self._kept or not count:
            return made
        return _in_order(made, self._with_kept(self._kept_before(self.last_row)))

    def _kept_before(self, row: int) -> list[tuple[int, list[str]]]:
        taken = [kept for kept in self._kept if kept[0] < row]
        self._kept = self._kept[len(taken) :]
        return taken

    def _with_kept(self, kept: list[tuple[int, list[str]]]) -> Batch:
        columns = {i: pa.array([c[i] or None for _, c in kept], pa.string()) for i in self._wanted}
        return Batch(columns, pa.array([row for row, _ in kept], pa.int32()))


class _Again(io.RawIOBase):
    """A stream with its first block put back in front, read no further ahead than is asked for.

    Arrow would read 32 blocks ahead, which is most of the memory a reader may have.
    """

    def __init__(self, first: bytes, rest: io.RawIOBase) -> None:
        self._first, self._rest = first, rest
        self._room = Semaphore(_AHEAD)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | None:
        # Waiting has an end: a block without a single good record is never asked for.
        self._room.acquire(timeout=_PATIENCE)
        first, self._first = self._first, b""
        return first or self._rest.read(_BLOCK if size is None else size)

    def advance(self, blocks: int = 1) -> None:
        """Let so many more blocks be read."""
        self._room.release(blocks)

    @contextmanager
    def to_its_end(self) -> Iterator[None]:
        """Keep pace within, and hold up nobody after it."""
        try:
            yield
        finally:
            self.advance(_NO_MATTER)


class _Before(io.RawIOBase):
    """A stream with bytes that were held back put in front of it."""

    def __init__(self, first: bytes, rest: io.RawIOBase) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | None:
        first, self._first = self._first, b""
        return first or self._rest.read(_BLOCK if size is None else size)


class _UntilQuote(io.RawIOBase):
    """Whole lines of a stream, ending before the first block that holds a quote."""

    def __init__(self, stream: Utf8Stream, label: str, quote: bytes) -> None:
        self._stream, self._label, self._quote = stream, label, quote
        self._carry = b""
        self._held: bytes | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if self._held is not None:
            return b""
        wanted = _BLOCK if size is None or size < 0 else size
        block = self._stream.read(max(1, wanted - len(self._carry)))
        if self._quote and self._quote in block:
            self._held = self._carry + block
            return b""
        whole = self._carry + block
        end = whole.rfind(b"\n") + 1 if block else len(whole)
        self._carry = whole[end:]
        if len(self._carry) >= wanted:
            raise BadInput("ingest.row_too_long", file=self._label, limit=wanted // 1024)
        return whole[:end] or (self.read(size) if block else b"")

    def rest(self) -> io.RawIOBase:
        """Return what was not handed out: everything from the held-back lines on."""
        return _Before(self._held or b"", self._stream)


def _int32(numbers: npt.NDArray[np.int64]) -> pa.Array:
    # Handing a NumPy array to pa.array would import pandas, which costs half a second.
    buffer = pa.py_buffer(numbers.astype(np.int32).tobytes())
    return pa.Array.from_buffers(pa.int32(), len(numbers), [None, buffer])


def _in_order(first: Batch, second: Batch) -> Batch:
    rows = pa.concat_arrays([first.rows, second.rows])
    order = pc.sort_indices(rows)
    columns = {
        i: pa.concat_arrays([column, second.columns[i]]).take(order)
        for i, column in first.columns.items()
    }
    return Batch(columns, rows.take(order))


def swallows(cell: str, delimiter: str, width: int, anybody: bool) -> bool:
    """Say whether a cell holds whole records, as an open quote makes it.

    A station's cells hold no delimiters in several lines. Anybody's may be a letter or a program,
    so there the lines inside must be records of this very table.
    """
    if "\n" not in cell or width < 2:
        return False
    if not anybody:
        return cell.count(delimiter) >= width - 1
    inner = cell.split("\n")[1:-1]
    return width > 2 and len(inner) > 1 and all(x.count(delimiter) == width - 1 for x in inner)
