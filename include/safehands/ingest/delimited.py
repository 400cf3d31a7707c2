"""CSV, TSV and TXT: any of four delimiters, quoting and line ends; read by Arrow in blocks."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from safehands.errors import BadInput, TruncatedFile
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, is_totals, letter
from safehands.ingest.text import HEAD_BYTES, Utf8Stream, head_text

__all__ = ["TextTable"]

_DELIMITERS = (",", "\t", ";", "|")
_BLOCK = 4 * 1024 * 1024

Opener = Callable[[], AbstractContextManager[BinaryIO]]


class TextTable:
    """A delimited text file as a raw table (see ``tables.RawTable``).

    Reading it to the end raises ``WrongEncoding`` (the encoding was a wrong guess),
    ``TruncatedFile`` (the last record is cut) or ``BadInput`` (an open quote swallowed rows, or
    the file is not the one that ``digest`` was taken of).
    """

    sheet = ""

    def __init__(self, opener: Opener, encoding: str, label: str, digest: str) -> None:
        self.odd: list[Odd] = []
        self._opener, self._encoding, self._label, self._digest = opener, encoding, label, digest
        with opener() as handle:
            raw = handle.read(HEAD_BYTES + 1)
        text = head_text(raw[:HEAD_BYTES], encoding, label)
        self.delimiter = _delimiter(text)
        self._quoted = '"' in text or "\n" not in text
        lines = list(_split(text, self.delimiter, HEAD_LINES + 1))
        whole = len(raw) <= HEAD_BYTES and len(lines) <= HEAD_LINES
        self.head = lines if whole else lines[:-1]
        if not self.head:
            raise BadInput("ingest.row_too_long", file=label, limit=HEAD_BYTES // 1024)

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the records after ``head[header]``."""
        line = self.head[header]
        with self._opener() as handle:
            stream = Utf8Stream(handle, self._encoding, self._label, skip=line.end)
            parse = _Parse(stream, self.delimiter, width, wanted, line.row, self.odd, self._label)
            yield from parse.run(self._quoted)
            if stream.digest != self._digest:
                raise BadInput("ingest.changed_while_reading", file=self._label)
        self._check_end(stream, parse, line, width)

    def _check_end(self, stream: Utf8Stream, parse: _Parse, line: Line, width: int) -> None:
        unterminated = not stream.tail.endswith((b"\n", b"\r"))
        cut = unterminated and parse.short_row == parse.last_row and parse.last_row > line.row
        if cut or (stream.quotes % 2 and _ends_quoted(stream.tail, self.delimiter)):
            raise TruncatedFile("ingest.cut_record", file=self._label, row=parse.last_row)
        ends = parse.last_row - line.row - unterminated
        if self._quoted_lines(stream) and stream.newlines > ends:
            self._check_quotes(line, width, stream.quotes % 2 == 1)

    @staticmethod
    def _quoted_lines(stream: Utf8Stream) -> bool:
        return stream.quotes > 0 and stream.newlines > 0

    def _check_quotes(self, line: Line, width: int, odd_quotes: bool) -> None:
        """Read all columns once more: a cell that holds whole records is an open quote's work."""
        with self._opener() as handle:
            stream = Utf8Stream(handle, self._encoding, self._label, skip=line.end)
            parse = _Parse(stream, self.delimiter, width, range(width), line.row, [], self._label)
            last = None
            for batch in parse.run(quoted=True):
                self._check_swallowed(batch, width)
                last = batch.columns[width - 1][-1].as_py() if len(batch.rows) else last
        if odd_quotes and last and "\n" in last:
            raise TruncatedFile("ingest.cut_record", file=self._label, row=parse.last_row)

    def _check_swallowed(self, batch: Batch, width: int) -> None:
        for position, column in batch.columns.items():
            many = pc.match_substring(column, "\n")
            for index in pc.indices_nonzero(many).to_pylist():
                if _swallows(column[index].as_py(), self.delimiter, width):
                    row = batch.rows[index].as_py()
                    raise BadInput(
                        "ingest.quote_open", file=self._label, row=row, column=letter(position)
                    )


class _Parse:
    """One pass of Arrow's reader over a stream, with row numbers and records that do not fit."""

    def __init__(
        self,
        stream: Utf8Stream,
        delimiter: str,
        width: int,
        wanted: Sequence[int],
        base: int,
        odd: list[Odd],
        label: str,
    ) -> None:
        self.last_row = self._base = base
        self.short_row = 0
        self._stream, self._delimiter, self._width, self._label = stream, delimiter, width, label
        self._wanted, self._odd = list(wanted), odd
        self._bad: list[int] = []
        self._swallowed = 0

    def run(self, quoted: bool) -> Iterator[Batch]:
        """Read to the end; the plain and faster way until the first quote appears."""
        rest: io.RawIOBase = self._stream
        if not quoted:
            plain = _UntilQuote(self._stream, self._label)
            yield from self._read(plain, quoted=False)
            rest = plain.rest()
        yield from self._read(rest, quoted=True)

    def _read(self, source: io.RawIOBase, quoted: bool) -> Iterator[Batch]:
        first = source.read(_BLOCK)
        if not first:
            return
        self._base = self.last_row
        with arrow_csv.open_csv(
            pa.PythonFile(_Again(first, source), mode="r"), **self._options(quoted)
        ) as reader:
            while (batch := self._next(reader)) is not None:
                if self._swallowed:
                    row = self._swallowed
                    raise BadInput("ingest.quote_open", file=self._label, row=row, column="")
                yield self._numbered(batch)
        self.last_row = max([self.last_row, *self._bad[-1:]])

    def _options(self, quoted: bool) -> dict[str, object]:
        names = [str(i) for i in range(self._width)]
        return {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=names
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                quote_char='"' if quoted else False,
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

    def _next(self, reader: arrow_csv.CSVStreamingReader) -> pa.RecordBatch | None:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return None
        except pa.ArrowInvalid:
            if self._stream.problem is not None:
                raise self._stream.problem from None
            limit = _BLOCK // 1024
            raise BadInput("ingest.row_too_long", file=self._label, limit=limit) from None

    def _set_aside(self, row: arrow_csv.InvalidRow) -> str:
        number = self._base + (row.number or 0)
        self._bad.append(number)
        cells = self._cells(row.text)
        filled = [cell for cell in cells if cell.strip()]
        if any(_swallows(cell, self._delimiter, self._width) for cell in filled):
            self._swallowed = number
        if len(filled) == 1 and is_totals(filled[0]):
            self._odd.append(Odd(number, "totals"))
        elif filled:
            self._odd.append(Odd(number, "row_width"))
            self.short_row = number if row.actual_columns < row.expected_columns else 0
        return "skip"

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter), [])
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
        return Batch(columns, _int32(numbers))


class _Again(io.RawIOBase):
    """A stream with its first block put back in front."""

    def __init__(self, first: bytes, rest: io.RawIOBase) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | None:
        first, self._first = self._first, b""
        return first or self._rest.read(_BLOCK if size is None else size)


class _UntilQuote(io.RawIOBase):
    """Whole lines of a stream, ending before the first block that holds a quote."""

    def __init__(self, stream: Utf8Stream, label: str) -> None:
        self._stream, self._label = stream, label
        self._carry = b""
        self._held: bytes | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if self._held is not None:
            return b""
        wanted = _BLOCK if size is None or size < 0 else size
        block = self._stream.read(max(1, wanted - len(self._carry)))
        if b'"' in block:
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
        return _Again(self._held or b"", self._stream)


def _int32(numbers: npt.NDArray[np.int64]) -> pa.Array:
    # Handing a NumPy array to pa.array would import pandas, which costs half a second.
    buffer = pa.py_buffer(numbers.astype(np.int32).tobytes())
    return pa.Array.from_buffers(pa.int32(), len(numbers), [None, buffer])


def _swallows(cell: str, delimiter: str, width: int) -> bool:
    return "\n" in cell and width > 1 and cell.count(delimiter) >= width - 1


def _ends_quoted(tail: bytes, delimiter: str) -> bool:
    """Say whether the last line ends inside a quoted cell; a quote within a cell opens nothing."""
    line = tail.rpartition(b"\n")[2].decode("utf-8", "ignore")
    try:
        list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _delimiter(text: str) -> str:
    def score(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(line.cells) for line in _split(text, delimiter, 60))
        width, times = max(widths.items(), key=lambda item: (item[0] > 1, item[1], item[0]))
        return (times if width > 1 else 0, width)

    return max(_DELIMITERS, key=score)


def _split(text: str, delimiter: str, limit: int) -> Iterator[Line]:
    """Cut text into records, each with the byte offset (UTF-8) of its end."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in io.StringIO(text, newline=""):
            taken += len(line.encode("utf-8"))
            yield line

    reader = csv.reader(lines(), delimiter=delimiter)
    try:
        for row, cells in zip(range(1, limit + 1), reader, strict=False):
            yield Line(row, tuple(cells), taken)
    except csv.Error:
        # A cell longer than the csv module reads: an open quote. What came before it stands.
        return
