"""CSV, TSV and TXT: any delimiter, quoting and line ends; read by Arrow in blocks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow.compute as pc

from safehands.errors import BadInput, TruncatedFile, WrongEncoding
from safehands.ingest.dialect import Dialect
from safehands.ingest.limits import BLOCK
from safehands.ingest.parse import Parse, swallows
from safehands.ingest.rewrite import normal_form, target
from safehands.ingest.sniff import detect
from safehands.ingest.source import Source
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, letter
from safehands.ingest.text import HEAD_BYTES, Utf8Stream, head_text

__all__ = ["TextTable"]

_BLOCK = BLOCK
_AHEAD, _PATIENCE, _NO_MATTER = 4, 2.0, 1_000
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
    ) -> Parse:
        quote = self.dialect.quote
        dialect, anybody = Dialect(self._delimiter, quote), self._source.anybody
        return Parse(stream, dialect, width, wanted, base, odd, self._label, anybody)

    def _check_certain(self, header: int) -> None:
        """Believe a doubtful encoding only if the header is in it and was understood."""
        if self._certain or (self._source.anybody and self._encoding == "utf-8"):
            return
        names = self.head[header].cells if header >= 0 else ()
        if self._source.anybody or all(name.isascii() for name in names):
            raise WrongEncoding("ingest.encoding_unclear", file=self._label)

    def _check_end(self, stream: Utf8Stream, parse: Parse, line: Line, width: int) -> None:
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
                if swallows(column[index].as_py(), self._delimiter, width, self._source.anybody):
                    row = batch.rows[index].as_py()
                    raise BadInput(
                        "ingest.quote_open", file=self._label, row=row, column=letter(position)
                    )


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
