"""Arrow columns as the bytes of PostgreSQL's binary COPY, missing values and all.

The layout is that of the manual's page on COPY: per row a field count, per field a length (−1:
missing) and the value. Where each field begins is added up by NumPy, and values are scattered into
one buffer, so that no row and no cell needs a loop in Python.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safehands.backup.reading import ARROW
from safehands.backup.tables import Kind
from safehands.store.bulk import EPOCH_SHIFT

__all__ = ["HEAD", "TAIL", "encode"]

HEAD = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TAIL = b"\xff\xff"

Array = npt.NDArray[Any]

_KINDS: dict[pa.DataType, Kind] = {arrow: kind for kind, arrow in ARROW.items()}
_WIRE: dict[Kind, str] = {"i2": ">i2", "i4": ">i4", "i8": ">i8", "f8": ">f8"}
_DAYS_SHIFT = 10_957
_SLICE = 1 << 14
# The binary form of jsonb is its text behind a version byte.
_JSON_VERSION = 1


def encode(table: pa.Table, json_columns: Collection[str] = ()) -> Iterator[bytes]:
    """Yield the rows of ``table`` for ``COPY … FROM STDIN (FORMAT binary)``, without head and tail.

    Columns have the Arrow types of ``backup.reading.ARROW``; those named in ``json_columns`` are
    texts that go into ``jsonb``.
    """
    for start in range(0, table.num_rows, _SLICE):
        piece = table.slice(start, _SLICE)
        yield _rows([_field(piece[n], n in json_columns) for n in piece.column_names])


class _Field:
    """One column of one slice: the length of each value (−1: missing), and all bytes in a row."""

    def __init__(self, lengths: Array, content: Array) -> None:
        self.lengths = lengths.astype(np.int64)
        self.content = content

    @property
    def sizes(self) -> Array:
        """Bytes of each value; a missing one has none."""
        return np.maximum(self.lengths, 0)

    def put(self, out: Array, places: Array) -> None:
        """Write lengths and values to where each field begins."""
        heads = self.lengths.astype(">i4").view(np.uint8).reshape(-1, 4)
        out[places[:, None] + np.arange(4)] = heads
        sizes = self.sizes
        before = np.cumsum(sizes) - sizes
        shift = np.repeat(places + 4 - before, sizes)
        out[shift + np.arange(len(shift))] = self.content


def _rows(fields: list[_Field]) -> bytes:
    widths = np.sum([field.sizes + 4 for field in fields], axis=0) + 2
    starts = np.cumsum(widths) - widths
    out = np.zeros(int(widths.sum()), np.uint8)
    out[starts + 1] = len(fields) & 0xFF
    out[starts] = len(fields) >> 8
    places = starts + 2
    for field in fields:
        field.put(out, places)
        places = places + 4 + field.sizes
    return out.tobytes()


def _field(column: pa.ChunkedArray, is_json: bool) -> _Field:
    array = column.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    kind = _KINDS[array.type]
    present = array.is_valid().to_numpy(zero_copy_only=False)
    return (
        _varying(array, present, is_json)
        if kind in ("text", "bytes")
        else _fixed(kind, array, present)
    )


def _fixed(kind: Kind, array: pa.Array, present: Array) -> _Field:
    values = _values(kind, array)[present]
    width = values.shape[1]
    return _Field(np.where(present, width, -1), values.reshape(-1))


def _values(kind: Kind, array: pa.Array) -> Array:
    """Return the values as bytes, one row each; those of missing ones are never looked at."""
    if kind == "bool":
        bits: Array = array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8)
        return bits[:, None]
    buffer = array.buffers()[1]
    if kind == "uuid":
        raw = np.frombuffer(buffer or b"", np.uint8).reshape(-1, 16)
        return raw[array.offset : array.offset + len(array)]
    native = {"ts": np.int64, "date": np.int32}.get(kind) or np.dtype(_WIRE[kind]).newbyteorder("=")
    values = np.frombuffer(buffer or b"", native)[array.offset : array.offset + len(array)]
    wire = _shifted(kind, values) if kind in ("ts", "date") else values.astype(_WIRE[kind])
    return np.ascontiguousarray(wire).view(np.uint8).reshape(len(array), -1)


def _shifted(kind: Kind, values: Array) -> Array:
    """PostgreSQL counts from 2000; the largest and smallest numbers are its infinities."""
    shift, edge = (EPOCH_SHIFT if kind == "ts" else _DAYS_SHIFT), np.iinfo(values.dtype)
    endless = (values == edge.max) | (values == edge.min)
    counted: Array = np.where(endless, values, values - shift).astype(
        values.dtype.newbyteorder(">")
    )
    return counted


def _varying(array: pa.Array, present: Array, is_json: bool) -> _Field:
    whole = array.fill_null("" if pa.types.is_string(array.type) else b"")
    edges = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset :][: len(whole) + 1]
    data = whole.buffers()[2]
    content = np.frombuffer(data or b"", np.uint8)[edges[0] : edges[-1]]
    lengths = np.where(present, np.diff(edges), -1)
    if not is_json:
        return _Field(lengths, content)
    starts = (edges[:-1] - edges[0])[present]
    return _Field(np.where(present, lengths + 1, -1), np.insert(content, starts, _JSON_VERSION))
