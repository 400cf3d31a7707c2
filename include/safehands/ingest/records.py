"""Parquet and JSON Lines: records with named fields, so there is no header row to find."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safehands.errors import BadInput, ContradictoryHeader, TruncatedFile
from safehands.ingest.door import sha256_of
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, letter
from safehands.ingest.text import Utf8Stream

__all__ = ["JsonTable", "ParquetTable"]

_ROWS = 65_536
_EXACT = 2**53

Opener = Callable[[], AbstractContextManager[BinaryIO]]


class ParquetTable:
    """A Parquet file as a raw table. Nested columns have no text and are refused if wanted."""

    sheet = ""

    def __init__(self, opener: Opener, label: str, digest: str) -> None:
        self.odd: list[Odd] = []
        self._opener, self._label, self._digest = opener, label, digest
        with opener() as handle:
            file = self._guard(lambda: pq.ParquetFile(handle))
            self._fields = list(file.schema_arrow)
            if len({f.name for f in self._fields}) < len(self._fields):
                raise ContradictoryHeader("ingest.same_name_twice", file=label)
            flat = [i for i, f in enumerate(self._fields) if not pa.types.is_nested(f.type)]
            sample = self._guard(lambda: self._sample(file, flat))
        names = tuple(f.name for f in self._fields)
        self.head = [Line(0, names), *sample]

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all records; their numbers count from 1."""
        del header, width
        start = 1
        with self._opener() as handle:
            file = self._guard(lambda: pq.ParquetFile(handle))
            for batch in self._draw(file, wanted):
                numbers = pa.array(range(start, start + batch.num_rows), pa.int32())
                start += batch.num_rows
                texts = [self._typed(i, c) for i, c in zip(wanted, batch.columns, strict=True)]
                yield Batch(dict(zip(wanted, texts, strict=True)), numbers)
            handle.seek(0)
            if sha256_of(handle) != self._digest:
                raise BadInput("ingest.changed_while_reading", file=self._label)

    def _draw(self, file: pq.ParquetFile, wanted: Sequence[int]) -> Iterator[pa.RecordBatch]:
        names = [self._fields[i].name for i in wanted]
        batches = self._guard(lambda: file.iter_batches(_ROWS, columns=names, use_threads=False))
        while (batch := self._guard(lambda: next(batches, None))) is not None:
            yield batch.select(names)

    def _sample(self, file: pq.ParquetFile, flat: list[int]) -> list[Line]:
        names = [self._fields[i].name for i in flat]
        batch = next(file.iter_batches(HEAD_LINES, columns=names, use_threads=False), None)
        if batch is None:
            return []
        texts = {i: _plain(as_text(batch.column(self._fields[i].name))) for i in flat}
        width, count = len(self._fields), batch.num_rows
        empty = [""] * count
        rows = zip(*(texts.get(i, empty) for i in range(width)), strict=True)
        return [Line(number, tuple(row)) for number, row in enumerate(rows, 1)]

    def _typed(self, position: int, column: pa.Array) -> pa.Array:
        if pa.types.is_nested(column.type):
            raise self._not_text(position)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_timestamp(column.type):
            return column
        try:
            return as_text(column)
        except pa.ArrowException:
            raise self._not_text(position) from None

    def _not_text(self, position: int) -> BadInput:
        return BadInput("ingest.not_text", file=self._label, column=letter(position))

    def _guard(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except (pa.ArrowException, OSError, ValueError):
            raise TruncatedFile("ingest.cut_parquet", file=self._label) from None


def as_text(column: pa.Array) -> pa.Array:
    """Return a flat column as strings; whole floats lose their ``.0``, dates are ISO 8601."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if pa.types.is_floating(kind):
        return _floats(column.cast(pa.float64()))
    if pa.types.is_string(kind):
        return column
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.Array:
    exact = pc.less(pc.abs(column), float(_EXACT))
    whole = pc.and_(exact, pc.equal(pc.floor(column), column))
    digits = pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string())
    valid = pc.if_else(pc.is_nan(column), None, column)
    return pc.coalesce(digits, valid.cast(pa.string()))


def _plain(texts: pa.Array) -> list[str]:
    return [text or "" for text in texts.to_pylist()]


class JsonTable:
    """A JSON Lines file as a raw table: its columns are all keys of all records.

    Numbers keep the digits they are written with. A line that is no JSON object is set aside as
    ``row_unreadable``; a cut last line raises ``TruncatedFile``.
    """

    sheet = ""

    def __init__(self, opener: Opener, encoding: str, label: str, digest: str) -> None:
        self.odd: list[Odd] = []
        self._opener, self._encoding, self._label, self._digest = opener, encoding, label, digest
        records = self._records()
        first = list(islice(records, HEAD_LINES))
        keys: dict[str, None] = {}
        for _, record in chain(first, records):
            keys.update(dict.fromkeys(record))
        self._keys = list(keys)
        self.head = [Line(0, tuple(self._keys))]
        self.head += [
            Line(row, tuple(_cell(r.get(k)) or "" for k in self._keys)) for row, r in first
        ]

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all records; their numbers are line numbers."""
        del header, width
        self.odd.clear()
        records = self._records()
        while chunk := list(islice(records, _ROWS)):
            columns = {i: self._column(chunk, self._keys[i]) for i in wanted}
            yield Batch(columns, pa.array([row for row, _ in chunk], pa.int32()))

    @staticmethod
    def _column(chunk: list[tuple[int, dict[str, Any]]], key: str) -> pa.Array:
        return pa.array([_cell(record.get(key)) for _, record in chunk], pa.string())

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with self._opener() as handle:
            stream = Utf8Stream(handle, self._encoding, self._label)
            lines = _lines(stream)
            for row, line in enumerate(lines, 1):
                record = _record(line)
                if record is not None:
                    yield row, record
                elif line.strip():
                    self._set_aside(row, cut=not line.endswith("\n"))
            if stream.digest != self._digest:
                raise BadInput("ingest.changed_while_reading", file=self._label)

    def _set_aside(self, row: int, cut: bool) -> None:
        if cut:
            raise TruncatedFile("ingest.cut_record", file=self._label, row=row)
        self.odd.append(Odd(row, "row_unreadable"))


class _Readable(io.RawIOBase):
    """What ``io.BufferedReader`` asks of a stream."""

    def __init__(self, stream: Utf8Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _lines(stream: Utf8Stream) -> io.TextIOWrapper:
    buffered = io.BufferedReader(_Readable(stream), buffer_size=1 << 20)
    return io.TextIOWrapper(buffered, "utf-8", newline="\n")


def _record(line: str) -> dict[str, Any] | None:
    try:
        found = _DECODER.decode(line.strip())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: "")
