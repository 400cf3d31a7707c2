"""Who was erased on request comes back with a parcel alone.

A station's software exports its customer and preference lists whole, and some put tonight's date on
every row. Such a row is no new relation: only a parcel that arrived after the erasure opens a new
subject (PIPL 47). With it, or when one has been opened before, the lists count again. Somebody
who went because their time was over (retention) comes back with any later row.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands.keys import KeyRing

__all__ = ["without_unopened"]

_LISTS = ("customers", "preferences")
_PHONE = "receiver_phone"

Tables = dict[str, pa.Table | None]


def without_unopened(connection: Connection, ring: KeyRing, tables: Tables) -> tuple[Tables, int]:
    """Keep out list rows of erased people for whom nothing has been opened since.

    Rows older than the erasure are out already. Return the tables and how many rows were kept
    out. Must run under the controller's lock.
    """
    graves = _erased(connection)
    lists = {name: table for name in _LISTS if (table := tables[name]) is not None}
    if not graves or not lists:
        return tables, 0
    unopened = _unopened(connection, ring, lists, tables["parcels"], graves)
    if not unopened:
        return tables, 0
    closed = pa.array(sorted(unopened), pa.string())
    kept = {
        name: table.filter(pc.invert(pc.is_in(table[_PHONE], value_set=closed)))
        for name, table in lists.items()
    }
    removed = sum(lists[name].num_rows - table.num_rows for name, table in kept.items())
    return {**tables, **kept}, removed


def _erased(connection: Connection) -> set[bytes]:
    query = text("SELECT token FROM tombstone WHERE reason = 'request'")
    return {token.bytes for token in connection.execute(query).scalars()}


def _unopened(
    connection: Connection,
    ring: KeyRing,
    lists: dict[str, pa.Table],
    parcels: pa.Table | None,
    graves: Collection[bytes],
) -> set[str]:
    phones = sorted({phone for table in lists.values() for phone in _phones(table)})
    tokens = ring.tombstones("mobile", phones)
    buried = [
        (phone, lookup)
        for phone, token, lookup in zip(
            phones, tokens.tolist(), ring.lookups_of(tokens).tolist(), strict=True
        )
        if token in graves
    ]
    arrived = _phones(parcels) if parcels is not None else set()
    sought = [UUID(bytes=lookup) for _, lookup in buried]
    query = text("SELECT DISTINCT lookup FROM subject WHERE lookup = ANY (:sought)")
    known = {row.bytes for row in connection.execute(query, {"sought": sought}).scalars()}
    return {phone for phone, lookup in buried if phone not in arrived and lookup not in known}


def _phones(table: pa.Table) -> set[str]:
    return set(table[_PHONE].drop_null().unique().to_pylist())
