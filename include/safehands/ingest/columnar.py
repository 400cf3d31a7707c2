"""Parquet: columns with names and types, so there is no header row to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safehands.errors import BadInput, ContradictoryHeader, TruncatedFile
from safehands.ingest.door import sha256_of
from safehands.ingest.source import Source
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, letter

__all__ = ["ParquetTable", "as_text"]

_ROWS = 65_536
_EXACT = 2**53
_LEAST_CELL = 4  # Bytes that a cell takes once it is unpacked: an offset.


class ParquetTable:
    """A Parquet file as a raw table. Nested columns have no text and are refused if wanted.

    For anybody's file the columns keep their types, nested ones too.
    """

    sheet = ""

    def __init__(self, source: Source) -> None:
        self.odd: list[Odd] = []
        self._source, self._label = source, source.label
        with source.open() as handle:
            file = self._guard(lambda: pq.ParquetFile(handle))
            self._check_size(file)
            self._fields = list(file.schema_arrow)
            if len({f.name for f in self._fields}) < len(self._fields):
                raise ContradictoryHeader("ingest.same_name_twice", file=self._label)
            flat = [i for i, f in enumerate(self._fields) if not pa.types.is_nested(f.type)]
            sample = self._guard(lambda: self._sample(file, flat))
            self.info: dict[str, Any] = {"rows": file.metadata.num_rows}
        names = tuple(f.name for f in self._fields)
        self.head = [Line(0, names), *sample]

    def _check_size(self, file: pq.ParquetFile) -> None:
        limits, columns = self._source.limits, len(file.schema_arrow)
        if columns > limits.columns:
            limit = limits.columns
            raise BadInput("ingest.too_many_columns", file=self._label, row=0, limit=limit)
        # Repeated values take no room in the file, and all the room once they are read.
        most = limits.unpacked(self._source.size)
        if file.metadata.num_rows * max(1, columns) * _LEAST_CELL > most:
            raise BadInput("ingest.too_large", file=self._label, limit=most // 1_000_000)

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all records; their numbers count from 1."""
        del header, width
        start = 1
        with self._source.open() as handle:
            file = self._guard(lambda: pq.ParquetFile(handle))
            for batch in self._draw(file, wanted):
                numbers = pa.array(range(start, start + batch.num_rows), pa.int32())
                start += batch.num_rows
                texts = [self._typed(i, c) for i, c in zip(wanted, batch.columns, strict=True)]
                yield Batch(dict(zip(wanted, texts, strict=True)), numbers)
            handle.seek(0)
            self._source.check_digest(sha256_of(handle))

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
        texts = {i: _plain(self._shown(batch.column(self._fields[i].name))) for i in flat}
        width, count = len(self._fields), batch.num_rows
        empty = [""] * count
        rows = zip(*(texts.get(i, empty) for i in range(width)), strict=True)
        return [Line(number, tuple(row)) for number, row in enumerate(rows, 1)]

    def _shown(self, column: pa.Array) -> pa.Array:
        try:
            return as_text(column)
        except pa.ArrowException:
            return pa.nulls(len(column), pa.string())

    def _typed(self, position: int, column: pa.Array) -> pa.Array:
        if self._source.anybody:
            return column
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
        except pa.ArrowMemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError):
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
