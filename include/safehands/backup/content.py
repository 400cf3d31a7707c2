"""A part's content: its keyed digest, its Parquet file, and both read back.

The digest is HMAC-SHA256 over the columns, not over the rows, so that it costs one pass over
buffers that exist anyway. All numbers are little-endian::

    "safehands-part/1" 0x00
    u64 number of rows, u32 number of columns
    per column, in the table's order:
        u16 length, name (UTF-8);  u16 length, kind ("i2", "ts", "uuid", "text" … as in ``tables``)
        u8  1 if a value is missing, then one byte a row: 1 present, 0 missing
        fixed width:    the values, 1 (bool), 2, 4, 8 or 16 bytes each; a missing one is zeros
        varying width:  u32 length of each value, then all values

Rows are sorted by primary key. ``ts`` counts microseconds since 1970-01-01 UTC, ``date`` days. The
digest depends on neither Parquet, its compression nor the encryption: age makes other bytes each
time, so the file's own digest cannot tell whether something changed.
"""

from __future__ import annotations

import hmac
import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from safehands.backup.reading import ARROW
from safehands.backup.tables import Kind
from safehands.errors import BackupBroken

__all__ = ["content_digest", "from_parquet", "to_parquet"]

_FORMAT = b"safehands-part/1"
_KINDS: dict[pa.DataType, Kind] = {arrow: kind for kind, arrow in ARROW.items()}
_WIDTHS: dict[Kind, int] = {
    "i2": 2,
    "i4": 4,
    "i8": 8,
    "f8": 8,
    "bool": 1,
    "date": 4,
    "ts": 8,
    "uuid": 16,
}


def content_digest(table: pa.Table, key: bytes) -> str:
    """Return the keyed digest of a part's rows as hex (layout: see the module).

    Keyed, because an unkeyed digest of few guessable rows would tell whether a guess is right.
    """
    mac = hmac.new(key, _FORMAT + b"\0", "sha256")
    mac.update(struct.pack("<QI", table.num_rows, table.num_columns))
    for name, column in zip(table.column_names, table.columns, strict=True):
        for piece in _pieces(name, column.combine_chunks()):
            mac.update(piece)
    return mac.hexdigest()


def to_parquet(table: pa.Table, part: str) -> bytes:
    """Return the part as a Parquet file that bears its name; readable without Safehands."""
    marked = table.replace_schema_metadata({"safehands.format": _FORMAT, "safehands.part": part})
    kinds = {field.name: _KINDS[field.type] for field in table.schema}
    # Random ids and ciphertexts do not compress, and trying costs more than all the rest.
    packing = {n: "none" if k in ("uuid", "bytes") else "zstd" for n, k in kinds.items()}
    repeating = [n for n, k in kinds.items() if k in ("i2", "i4", "text")]
    sink = io.BytesIO()
    pq.write_table(
        marked, sink, compression=packing, use_dictionary=repeating, write_statistics=False
    )
    return sink.getvalue()


def from_parquet(data: bytes, part: str) -> pa.Table:
    """Return the rows of a part. Raises ``BackupBroken`` if it is no Parquet or another part."""
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        raise BackupBroken("backup.part", part=part, what="parquet") from None
    marks = table.schema.metadata or {}
    if marks.get(b"safehands.format") != _FORMAT or marks.get(b"safehands.part") != part.encode():
        raise BackupBroken("backup.part", part=part, what="name")
    if not all(field.type in _KINDS for field in table.schema):
        raise BackupBroken("backup.part", part=part, what="columns")
    return table


def _pieces(name: str, column: pa.Array) -> Iterator[bytes | memoryview]:
    kind = _KINDS[column.type]
    for text in (name.encode(), kind.encode()):
        yield struct.pack("<H", len(text)) + text
    yield b"\1" if column.null_count else b"\0"
    if column.null_count:
        yield _bytes(column.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8))
    if kind in _WIDTHS:
        yield _fixed(kind, column)
    else:
        yield from _varying(column)


def _fixed(kind: Kind, column: pa.Array) -> memoryview:
    if kind == "bool":
        return _bytes(column.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8))
    width = _WIDTHS[kind]
    raw = np.frombuffer(column.buffers()[1] or b"", f"V{width}")
    values = raw[column.offset : column.offset + len(column)]
    if column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy(zero_copy_only=False)] = np.zeros(1, f"V{width}")
    return _bytes(values)


def _varying(column: pa.Array) -> Iterator[bytes | memoryview]:
    offsets = np.frombuffer(column.buffers()[1] or b"\0" * 4, np.int32)
    edges = offsets[column.offset : column.offset + len(column) + 1]
    yield _bytes(np.diff(edges).astype("<u4"))
    if edges[-1] > edges[0]:
        yield memoryview(column.buffers()[2])[edges[0] : edges[-1]]


def _bytes(values: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B")
