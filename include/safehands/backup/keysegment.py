"""The key segment: what leads from a phone number to a subject, and who was removed.

``subject`` objects leave out lookup, epoch and wrapped salt, so that a new epoch rewrites nothing
but this one file. It is one Parquet file with two kinds of rows::

    salt        controller_id, subject_id, generation, lookup, epoch, wrapped_salt
    tombstone   controller_id, token, erased_at, reason

A restore takes both from the newest segment, whatever generation its other tables come from:
erased people have no salt in it, and the tombstones keep them out.

Salts are collected in memory while people are read: about 110 bytes a person.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from safehands.backup.reading import ARROW
from safehands.backup.repository import KEYS, digest
from safehands.backup.tables import KEY_COLUMNS, Table
from safehands.errors import BackupBroken

__all__ = [
    "PART",
    "SEGMENT_TABLES",
    "Salts",
    "key_table",
    "kind_counts",
    "segment_name",
    "segment_number",
    "without_keys",
]

PART = "keys"

SEGMENT_TABLES = ("subject", "tombstone")
"""Tables that the segment is made of."""

_SCHEMA = pa.schema(
    [
        pa.field("kind", ARROW["text"], nullable=False),
        pa.field("controller_id", ARROW["i4"], nullable=False),
        pa.field("subject_id", ARROW["uuid"]),
        pa.field("generation", ARROW["i2"]),
        pa.field("lookup", ARROW["uuid"]),
        pa.field("epoch", ARROW["i4"]),
        pa.field("wrapped_salt", ARROW["bytes"]),
        pa.field("token", ARROW["uuid"]),
        pa.field("erased_at", ARROW["ts"]),
        pa.field("reason", ARROW["text"]),
    ]
)


def segment_name(number: int, data: bytes) -> str:
    """Return the name of segment ``number``."""
    return f"{KEYS}/{number:06d}-{digest(data)[:8]}.age"


def segment_number(name: str) -> int:
    """Return the number in a segment's name."""
    return int(name.removeprefix(f"{KEYS}/").partition("-")[0])


def without_keys(subjects: pa.Table) -> pa.Table:
    """Return the rows of ``subject`` as they may lie in an object."""
    return subjects.drop_columns(list(KEY_COLUMNS))


def key_table(table: Table) -> Table:
    """Return ``subject`` or ``tombstone`` with the columns alone that the segment has of it."""
    return replace(table, columns=tuple(c for c in table.columns if c.name in _SCHEMA.names))


def kind_counts(segment: pa.Table) -> tuple[int, int]:
    """Return the rows of both kinds: salts and tombstones. Raises ``BackupBroken`` for others."""
    if segment.schema.names != _SCHEMA.names:
        raise BackupBroken("backup.part", part=PART, what="columns")
    kinds = segment["kind"].to_pylist()
    salts, tombstones = kinds.count("salt"), kinds.count("tombstone")
    if salts + tombstones != len(kinds):
        raise BackupBroken("backup.part", part=PART, what="rows")
    return salts, tombstones


class Salts:
    """Collects the rows of a segment while the parts go by, in the parts' order."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def take(self, table: str, rows: pa.Table) -> None:
        """Keep what belongs into the segment, if ``table`` has any of it."""
        if table == "subject":
            self._tables.append(_fitted("salt", rows))
        elif table == "tombstone":
            self._tables.append(_fitted("tombstone", rows))

    def table(self) -> pa.Table:
        """Return the segment's rows."""
        return pa.concat_tables([_SCHEMA.empty_table(), *self._tables]).combine_chunks()


def _fitted(kind: str, rows: pa.Table) -> pa.Table:
    count = rows.num_rows
    known = {name: rows[name] for name in rows.schema.names if name in _SCHEMA.names}
    columns = [
        known[field.name] if field.name in known else pa.nulls(count, field.type)
        for field in _SCHEMA
        if field.name != "kind"
    ]
    marks = pa.array([kind], ARROW["text"]).take(pa.array([0] * count, pa.int32()))
    return pa.Table.from_arrays([marks, *columns], schema=_SCHEMA)
