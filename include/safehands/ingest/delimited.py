"""CSV, TSV and TXT: any of four delimiters, quoting and line ends; read by Arrow in blocks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from safehands.errors import BadInput, TruncatedFile, WrongEncoding
from safehands.ingest.dialect import Dialect, split_records
from safehands.ingest.limits import BLOCK
from safehands.ingest.rewrite import normal_form, target
from safehands.ingest.sniff import detect
from safehands.ingest.source import Source
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, is_totals, letter
from safehands.ingest.text import HEAD_BYTES, Utf8Stream, head_text

__all__ = ["TextTable"]

_BLOCK = BLOCK
_SIGN = re.compile(r"\s*(?:#|//|%|--|!|;)")


class TextTable:
    """A delimited text file as a raw table (see ``tables.RawTable``).

    Reading it to the end raises ``WrongEncoding`` (the encoding was a wrong guess),
    ``TruncatedFile`` (the last record is cut) or ``BadInput`` (an open quote swallowed rows, or
    the file is not the one that its digest was taken of). ``certain``: the encoding needs no
    header to speak for it.
    """

    sheet = ""

    def __init__(self, source: Source, encoding: str, certain: bool = True) -> None:
        self.odd: list[Odd] = []
        self._source, self._encoding, self._label = source, encoding, source.label
        self._certain = certain
        with source.open() as handle:
            raw = handle.read(HEAD_BYTES + 1)
        text = head_text(raw[:HEAD_BYTES], encoding, self._label)
        self.dialect = detect(text, careful=not source.anybody)
        if not self.dialect.plain:
            text = normal_form(text, self.dialect)
        self._delimiter = target(self.dialect)
        self._quoted = bool(self.dialect.quote) and (self.dialect.quote in text or "\n" not in text)
        lines = list(_split(text, self.dialect, self._delimiter, HEAD_LINES + 1))
        whole = len(raw) <= HEAD_BYTES and len(lines) <= HEAD_LINES
        self.head = lines if whole else lines[:-1]
        if not self.head:
            limit = HEAD_BYTES // 1024
            raise BadInput("ingest.row_too_long", file=self._label, limit=limit)
        _check_width(self.head, source)
        self.info: dict[str, Any] = {
            "delimiter": self.dialect.delimiter,
            "quote": self.dialect.quote,
            "escape": "backslash" if self.dialect.backslash else "doubled",
            "line_end": _line_end(raw, encoding),
        }

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the records after ``head[header]``."""
        self._check_certain(header)
        line, self.odd[:] = self._start(header), []
        with self._source.open_part() as handle:
            stream = self._stream(handle, line)
            parse = self._parse(stream, width, wanted, line.row, self.odd)
            yield from parse.run(self._quoted)
            self._source.check_digest(stream.digest)
        self._check_end(stream, parse, line, width)

    def _start(self, header: int) -> Line:
        part = self._source.part
        if part is not None and part.start:
            return Line(part.row - 1, (), 0)
        return self.head[header] if header >= 0 else Line(0, (), 0)

    def _stream(self, handle: BinaryIO, line: Line) -> Utf8Stream:
        return Utf8Stream(handle, self._encoding, self._label, line.end, self.dialect)

    def _parse(
        self, stream: Utf8Stream, width: int, wanted: Sequence[int], base: int, odd: list[Odd]
    ) -> _Parse:
        quote = self.dialect.quote
        dialect, anybody = Dialect(self._delimiter, quote), self._source.anybody
        return _Parse(stream, dialect, width, wanted, base, odd, self._label, anybody)

    def _check_certain(self, header: int) -> None:
        """Believe a doubtful encoding only if the header is in it and was understood."""
        if self._certain or (self._source.anybody and self._encoding == "utf-8"):
            return
        names = self.head[header].cells if header >= 0 else ()
        if self._source.anybody or all(name.isascii() for name in names):
            raise WrongEncoding("ingest.encoding_unclear", file=self._label)

    def _check_end(self, stream: Utf8Stream, parse: _Parse, line: Line, width: int) -> None:
        if self._source.part is not None and self._source.part.number < self._source.part.of:
            odd_quotes = False  # It was cut behind a record; only the last part may end wrong.
        else:
            odd_quotes = stream.quotes % 2 == 1
        unterminated = not stream.tail.endswith((b"\n", b"\r"))
        cut = unterminated and parse.short_row == parse.last_row and parse.last_row > line.row
        if cut and self._source.anybody:
            cut = False  # Anybody's file may well end in a short record; it is set aside.
        quoting = self.dialect.quote and odd_quotes
        if cut or (quoting and _ends_quoted(stream.tail, self._delimiter, self.dialect.quote)):
            raise TruncatedFile("ingest.cut_record", file=self._label, row=parse.last_row)
        ends = parse.last_row - line.row - unterminated
        if self._quoted_lines(stream) and stream.newlines > ends:
            self._check_quotes(line, width, odd_quotes)

    def _quoted_lines(self, stream: Utf8Stream) -> bool:
        return bool(self.dialect.quote) and stream.quotes > 0 and stream.newlines > 0

    def _check_quotes(self, line: Line, width: int, odd_quotes: bool) -> None:
        """Read all columns once more: a cell that holds whole records is an open quote's work."""
        with self._source.open_part() as handle:
            stream = self._stream(handle, line)
            parse = self._parse(stream, width, range(width), line.row, [])
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
                if _swallows(column[index].as_py(), self._delimiter, width, self._source.anybody):
                    row = batch.rows[index].as_py()
                    raise BadInput(
                        "ingest.quote_open", file=self._label, row=row, column=letter(position)
                    )


class _Parse:
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
        stream = pa.PythonFile(_Again(first, source), mode="r")
        with self._reader(stream, quoted) as reader:
            while (batch := self._next(reader)) is not None:
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

    def _reader(self, stream: pa.PythonFile, quoted: bool) -> arrow_csv.CSVStreamingReader:
        try:
            return arrow_csv.open_csv(stream, **self._options(quoted))
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
        if any(_swallows(cell, self._delimiter, self._width, self._anybody) for cell in filled):
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
        return _Again(self._held or b"", self._stream)


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


def _swallows(cell: str, delimiter: str, width: int, anybody: bool) -> bool:
    """Say whether a cell holds whole records, as an open quote makes it.

    A station's cells hold no delimiters in several lines. Anybody's may be a letter or a program, so
    there the lines inside must be records of this very table.
    """  # noqa: E501
    if "\n" not in cell or width < 2:
        return False
    if not anybody:
        return cell.count(delimiter) >= width - 1
    inner = cell.split("\n")[1:-1]
    return width > 2 and len(inner) > 1 and all(x.count(delimiter) == width - 1 for x in inner)


def _ends_quoted(tail: bytes, delimiter: str, quote: str) -> bool:
    """Say whether the last line ends inside a quoted cell; a quote within a cell opens nothing."""
    line = tail.rpartition(b"\n")[2].decode("utf-8", "ignore")
    try:
        list(csv.reader([line], delimiter=delimiter, quotechar=quote, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _split(text: str, dialect: Dialect, delimiter: str, limit: int) -> Iterator[Line]:
    """Cut text in normal form into records, each with the byte offset (UTF-8) of its end."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in io.StringIO(text, newline=""):
            taken += len(line.encode("utf-8"))
            yield line

    reader = csv.reader(
        lines(),
        delimiter=delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    try:
        for row, cells in zip(range(1, limit + 1), reader, strict=False):
            yield Line(row, tuple(cells), taken)
    except csv.Error:
        # A cell longer than the csv module reads: an open quote. What came before it stands.
        return


def _check_width(head: Sequence[Line], source: Source) -> None:
    limit = source.limits.columns
    for line in head:
        if len(line.cells) > limit:
            raise BadInput("ingest.too_many_columns", file=source.label, row=line.row, limit=limit)


def _line_end(raw: bytes, encoding: str) -> str:
    text = raw[:65536].decode(encoding, "ignore")
    ends = {"\r\n": text.count("\r\n")}
    ends["\n"] = text.count("\n") - ends["\r\n"]
    ends["\r"] = text.count("\r") - ends["\r\n"]
    return max(ends, key=lambda end: ends[end]) if any(ends.values()) else ""
