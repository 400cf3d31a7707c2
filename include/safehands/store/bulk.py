"""Bulk load and bulk read through PostgreSQL's binary COPY, built from columns.

Rows of fixed width are laid out by NumPy as one array of records, so that a million rows need no
loop in Python. The format is that of the manual's page on COPY: a 19-byte head, per row a field
count and per field a length and the big-endian value, a closing −1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import psycopg

__all__ = [
    "EPOCH_SHIFT",
    "INFINITY",
    "NOBODY",
    "Kind",
    "by_width",
    "copy_in",
    "copy_out",
    "read_out",
    "uuids",
]

Kind = Literal["i2", "i4", "i8", "ts", "uuid", "bytes"]
Connection = psycopg.Connection[Any]

EPOCH_SHIFT = 946_684_800_000_000
"""Microseconds from 1970-01-01 to PostgreSQL's 2000-01-01 (UTC)."""

INFINITY = np.iinfo(np.int64).max
"""PostgreSQL's ``infinity`` as a binary timestamp: stands for "not yet" in a fixed-width row."""

NOBODY = b"\0" * 16
"""The nil UUID: stands for "no person" in a fixed-width row."""

_WIDTH = {"i2": ">i2", "i4": ">i4", "i8": ">i8", "ts": ">i8", "uuid": "V16"}
_HEAD = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TAIL = b"\xff\xff"
_SLICE = 65_536


def copy_in(
    connection: Connection, target: str, columns: Sequence[tuple[Kind, npt.NDArray[Any]]]
) -> None:
    """Load equally long columns into ``target`` (``table (a, b, …)``), in their order.

    ``ts`` columns are int64 microseconds since 1970 (UTC) or ``INFINITY``; ``uuid`` columns are
    ``V16`` arrays (see ``uuids``), ``bytes`` columns void arrays of one width (see
    ``by_width``). No value may be missing.
    """
    rows = len(columns[0][1])
    layout = _layout([_width(kind, values) for kind, values in columns])
    with connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEAD)
        for start in range(0, rows, _SLICE):
            copy.write(_records(columns, layout, start, min(start + _SLICE, rows)))
        copy.write(_TAIL)


def copy_out(connection: Connection, query: str, kinds: Sequence[Kind]) -> list[npt.NDArray[Any]]:
    """Read the rows of ``query`` as columns of ``kinds``; the query must leave no value missing."""
    layout = _layout([_WIDTH[kind] for kind in kinds])
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
        raw = b"".join(copy)
    table = np.frombuffer(raw[len(_HEAD) : len(raw) - len(_TAIL)], dtype=layout)
    return [_native(kind, table[f"v{i}"]) for i, kind in enumerate(kinds)]


def read_out(connection: Connection, query: str, kinds: Sequence[Kind]) -> list[npt.NDArray[Any]]:
    """Read like :func:`copy_out`, but all rows as one value: a third of the time.

    The driver is asked once instead of once a row. For some hundred thousand rows at a time: a
    value of PostgreSQL's holds 1 GB, and each side keeps it whole. The order of rows is not kept.
    """
    # record_send: a field count, then per field its type, a length and the big-endian value.
    layout = _layout([_WIDTH[kind] for kind in kinds], head=">i4", typed=True)
    rows = f"SELECT string_agg(record_send(r), '') FROM ({query}) r"
    cursor: Any = connection.cursor(binary=True)
    raw = cursor.execute(rows.encode()).fetchone()[0] or b""
    table = np.frombuffer(raw, dtype=layout)
    return [_native(kind, table[f"v{i}"]) for i, kind in enumerate(kinds)]


def uuids(values: Sequence[bytes]) -> npt.NDArray[Any]:
    """Return 16-byte values as a ``V16`` array."""
    return np.frombuffer(b"".join(values), dtype="V16")


def by_width(values: Sequence[bytes]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """Yield positions and a void array per distinct length: what ``bytes`` columns ask for."""
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    for length in np.unique(lengths).tolist():
        positions = np.flatnonzero(lengths == length)
        joined = b"".join(values[i] for i in positions.tolist())
        yield positions, np.frombuffer(joined, dtype=f"V{length}")


def _width(kind: Kind, values: npt.NDArray[Any]) -> str:
    return f"V{values.dtype.itemsize}" if kind == "bytes" else _WIDTH[kind]


def _layout(widths: Sequence[str], head: str = ">i2", *, typed: bool = False) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("n", head)]
    for i, width in enumerate(widths):
        fields += [(f"t{i}", ">i4")] if typed else []
        fields += [(f"l{i}", ">i4"), (f"v{i}", width)]
    return np.dtype(fields)


def _records(
    columns: Sequence[tuple[Kind, npt.NDArray[Any]]], layout: np.dtype[Any], start: int, stop: int
) -> bytes:
    table = np.empty(stop - start, dtype=layout)
    table["n"] = len(columns)
    for i, (kind, values) in enumerate(columns):
        table[f"l{i}"] = layout[f"v{i}"].itemsize
        part = values[start:stop]
        table[f"v{i}"] = _shifted(part) if kind == "ts" else part
    return table.tobytes()


def _shifted(micros: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(micros == INFINITY, INFINITY, micros - EPOCH_SHIFT)


def _native(kind: Kind, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if kind == "uuid":
        return np.ascontiguousarray(values)
    native = values.astype(values.dtype.newbyteorder("="))
    if kind == "ts":
        return np.where(native == INFINITY, INFINITY, native + EPOCH_SHIFT)
    return native
