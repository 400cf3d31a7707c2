"""Fingerprints of rows: what was packed, so that the final delta holds what has changed since.

A row's key is its name in the package (and its arrival, where one number was used twice); its
fingerprint is 64 bits over all its columns. They stand in one sealed file beside the package, under
a key of this hand-over that is destroyed at cut-over. Not promised: resistance against somebody who
makes rows collide on purpose; both sides of a comparison are the seller's own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safehands.keys import age
from safehands.transfer.contents import GONE_SCHEMA, TABLES

__all__ = ["KEYS", "Before", "Prints", "keys_of", "prints_of"]

Array = npt.NDArray[Any]

KEYS: dict[str, tuple[str, ...]] = {
    "person": ("person",),
    "parcel": ("waybill", "arrived_at"),
    "custody": ("waybill", "arrived_at"),
    "preference": ("person",),
    "consent": ("person", "purpose", "at"),
}
"""The columns that name a row of each table of a package."""

_NAMES = {"person": "person", "parcel": "waybill", "custody": "waybill", "preference": "person"}
"""The name under which the buyer knows a row; consents only grow."""

_SCHEMA = pa.schema(
    [
        ("table", pa.int8()),
        ("key", pa.binary(16)),
        ("print", pa.uint64()),
        ("name", pa.binary(16)),
        ("arrived_at", GONE_SCHEMA.field("arrived_at").type),
    ]
)


class Prints:
    """Fingerprints of what is packaged, part after part."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Take the rows of one part in."""
        self._parts += [_printed(name, tables[name]) for name in TABLES]

    def sealed(self, recipient: str) -> bytes:
        """Return all of them, sealed to an age recipient of the seller's."""
        sink = io.BytesIO()
        whole = pa.concat_tables([_SCHEMA.empty_table(), *self._parts])
        # Keys and fingerprints look random: nothing would be gained by packing them.
        pq.write_table(whole, sink, compression="none", use_dictionary=False)
        return age.encrypt(sink.getvalue(), [recipient])


class Before:
    """What was packaged before: says which rows are new or changed, and which are gone."""

    def __init__(self, sealed: bytes, identity: str) -> None:
        table = pq.read_table(io.BytesIO(age.decrypt(sealed, identity)))
        self._of = {
            name: table.filter(pc.equal(table["table"], number)).combine_chunks()
            for number, name in enumerate(TABLES)
        }
        self._seen = {name: np.zeros(len(one), dtype=bool) for name, one in self._of.items()}

    def changed(self, name: str, table: pa.Table) -> Array:
        """Return which rows of a part are new or have changed, and remember all of them as seen."""
        known = self._of[name]
        place = pc.index_in(_binary(keys_of(name, table)), value_set=known["key"].combine_chunks())
        there = place.is_valid().to_numpy(zero_copy_only=False)
        at = place.fill_null(0).to_numpy(zero_copy_only=False)
        self._seen[name][at[there]] = True
        if not len(known):
            return np.asarray(~there)
        same = known["print"].to_numpy()[at] == prints_of(table)
        return np.asarray(~(there & same))

    def gone(self) -> pa.Table:
        """Return what was packaged and was not seen again; asked when all parts were."""
        parts = []
        for name in _NAMES:
            left = self._of[name].filter(pa.array(~self._seen[name]))
            columns = [pa.array([name] * len(left)), left["name"], left["arrived_at"]]
            parts.append(pa.Table.from_arrays(columns, schema=GONE_SCHEMA))
        return pa.concat_tables(parts).combine_chunks()


def _printed(name: str, table: pa.Table) -> pa.Table:
    number, rows = TABLES.index(name), table.num_rows
    named = table[_NAMES[name]] if name in _NAMES else pa.nulls(rows, pa.binary(16))
    arrived = "arrived_at" in table.column_names
    columns = [
        pa.array(np.full(rows, number, np.int8)),
        _binary(keys_of(name, table)),
        pa.array(prints_of(table), pa.uint64()),
        named,
        table["arrived_at"] if arrived else pa.nulls(rows, _SCHEMA.field("arrived_at").type),
    ]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _binary(keys: Array) -> pa.Array:
    whole = pa.py_buffer(np.ascontiguousarray(keys))
    return pa.Array.from_buffers(pa.binary(16), len(keys), [None, whole])


_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def keys_of(name: str, table: pa.Table) -> Array:
    """Return the key of each row, 128 bits as ``V16``."""
    columns = [table[column] for column in KEYS[name]]
    both = np.empty((table.num_rows, 2), dtype=np.uint64)
    both[:, 0] = _mixed(columns, np.uint64(1))
    both[:, 1] = _mixed(columns, np.uint64(2))
    return both.view("V16").reshape(-1)


def prints_of(table: pa.Table) -> Array:
    """Return a fingerprint of each row over all columns, ``uint64``."""
    return _mixed([table[name] for name in table.column_names], np.uint64(0))


def _mixed(columns: list[Any], seed: np.uint64) -> Array:
    made = np.full(len(columns[0]) if columns else 0, seed, dtype=np.uint64)
    for column in columns:
        for words in _words(column):
            made = (made ^ words) * _PRIME
            made ^= made >> _SHIFT
    return made


def _words(column: Any) -> list[Array]:
    """Return a column as 64-bit words; text by BLAKE2b, nothing as a word of its own."""
    joined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(joined, pa.ChunkedArray):
        joined = pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.nulls(0, column.type)
    kind = joined.type
    if pa.types.is_dictionary(kind):
        words = _texts(joined.dictionary.to_pylist())
        place = joined.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return [words[place] if len(words) else np.zeros(len(joined), np.uint64)]
    if pa.types.is_fixed_size_binary(kind):
        pairs = _fixed(joined)
        return [np.ascontiguousarray(pairs[:, i]) for i in range(pairs.shape[1])]
    if pa.types.is_string(kind):
        return _words(joined.dictionary_encode("encode"))
    whole = joined.cast(pa.int64()) if not pa.types.is_boolean(kind) else joined.cast(pa.int8())
    missing = joined.is_null().to_numpy(zero_copy_only=False)
    numbers = whole.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return [numbers.view(np.uint64), missing.astype(np.uint64)]


def _fixed(column: pa.Array) -> Array:
    """Return fixed-width bytes as rows of 64-bit words; nothing is all zeros."""
    width = column.type.byte_width // 8
    if not len(column):
        return np.empty((0, width), np.uint64)
    whole = np.frombuffer(column.buffers()[1], dtype=np.uint64).reshape(-1, width)
    pairs = whole[column.offset : column.offset + len(column)]
    if column.null_count:
        there = column.is_valid().to_numpy(zero_copy_only=False)
        pairs = np.where(there[:, None], pairs, np.uint64(0))
    return pairs


def _texts(values: list[str | None]) -> Array:
    raw = b"".join(
        b"\xff" * 8 if one is None else hashlib.blake2b(one.encode(), digest_size=8).digest()
        for one in values
    )
    return np.frombuffer(raw, dtype=np.uint64)
