"""The bytes of a package: tables gathered part by part, a signed manifest, one ZIP to be sealed.

One file: an age container (C2SP age, X25519) around a ZIP without compression::

    manifest.json        canonical JSON (:mod:`safehands.transfer.package`)
    manifest.note        signed note (Ed25519, the seller's ledger key) over the manifest's digest
    <table>.parquet      one per table of ``contents.SCHEMAS``; a row group per part that has rows

Leaves of the Merkle root (RFC 6962) are ``<table> <sha256 of the Parquet bytes>``, in the order of
the tables.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safehands.ledger import Frontier, SigningKey, leaf_hash, sign
from safehands.transfer.contents import FORMAT, GONE, SCHEMAS, TABLES

__all__ = ["Gathered", "container", "merkle_root", "note_text", "types"]


class Gathered:
    """The tables of a package while they are written, one part after the other.

    Only compressed bytes and counts stay in memory when a part is done.
    """

    def __init__(self) -> None:
        self._sinks = {name: io.BytesIO() for name in TABLES}
        self._writers = {
            name: pq.ParquetWriter(
                self._sinks[name],
                SCHEMAS[name],
                compression="zstd",
                compression_level=1,
                use_dictionary=["station"] if "station" in SCHEMAS[name].names else False,
            )
            for name in TABLES
        }
        self.parts: dict[str, list[int]] = {name: [] for name in TABLES}
        self.purposes: dict[str, int] = {}
        self.clocks: dict[str, dict[str, str]] = {}

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Write the tables of one part."""
        for name in TABLES:
            table = tables[name]
            self.parts[name].append(table.num_rows)
            if table.num_rows:
                self._writers[name].write_table(table, row_group_size=table.num_rows)
        for one in tables["consent"]["purpose"].value_counts().to_pylist():
            self.purposes[one["values"]] = self.purposes.get(one["values"], 0) + one["counts"]
        for name, column in _CLOCKS:
            self._run(f"{name}.{column}", tables[name][column])

    @property
    def counts(self) -> dict[str, int]:
        """Rows per table."""
        return {name: sum(rows) for name, rows in self.parts.items()}

    def files(self) -> dict[str, bytes]:
        """End the tables and return their Parquet bytes."""
        for writer in self._writers.values():
            writer.close()
        return {name: sink.getvalue() for name, sink in self._sinks.items()}

    def _run(self, clock: str, column: pa.ChunkedArray) -> None:
        """Keep the earliest and the latest day: retention goes on from the dates in the rows."""
        ends = pc.min_max(column.cast(pa.int64())).as_py()
        if ends["min"] is None:
            return
        days = {
            end: datetime.fromtimestamp(ends[end] / 1e6, tz=UTC).date().isoformat() for end in ends
        }
        known = self.clocks.get(clock, days)
        self.clocks[clock] = {
            "min": min(days["min"], known["min"]),
            "max": max(days["max"], known["max"]),
        }


def merkle_root(digests: Mapping[str, str]) -> str:
    """Return the root over the tables' digests, as hex."""
    leaves = (leaf_hash(f"{name} {digests[name]}".encode()) for name in _order(digests))
    return Frontier().extend(leaves).root().hex()


def note_text(manifest: bytes) -> str:
    """Return the text that is signed for a manifest."""
    return f"{FORMAT}\nmanifest\nsha256:{hashlib.sha256(manifest).hexdigest()}\n"


def types(schema: pa.Schema) -> dict[str, str]:
    """Return column → type, for the manifest."""
    return {field.name: str(field.type) for field in schema}


def container(manifest: bytes, key: SigningKey, files: Mapping[str, bytes]) -> bytes:
    """Return the ZIP: the same bytes for the same tables."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as box:
        for name, data in _members(manifest, key, files):
            box.writestr(zipfile.ZipInfo(name), data)
    return sink.getvalue()


def _members(
    manifest: bytes, key: SigningKey, files: Mapping[str, bytes]
) -> Iterable[tuple[str, bytes]]:
    yield "manifest.json", manifest
    yield "manifest.note", sign(note_text(manifest), key).encode()
    for name in _order(files):
        yield f"{name}.parquet", files[name]


def _order(given: Mapping[str, object]) -> Iterable[str]:
    return (name for name in (*TABLES, GONE) if name in given)


_CLOCKS = (("parcel", "arrived_at"), ("person", "last_seen"), ("preference", "updated_at"))
