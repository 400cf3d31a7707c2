"""Sealed records of many people written at once."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.store.bulk import EPOCH_SHIFT
from safehands.store.engine import driver

__all__ = ["reseal"]

_INCOMING = (
    "CREATE TEMP TABLE resealed (subject_id uuid PRIMARY KEY, sealed bytea, detail int2,"
    " first_seen int8, last_seen int8) ON COMMIT DROP"
)
_MOMENT = "timestamptz '2000-01-01 00:00:00+00' + r.{0} * interval '1 microsecond'"
_UPDATE = (
    "UPDATE subject s SET sealed = r.sealed, detail = r.detail,"
    f" first_seen = least(s.first_seen, {_MOMENT.format('first_seen')}),"
    f" last_seen = greatest(s.last_seen, {_MOMENT.format('last_seen')})"
    " FROM resealed r WHERE s.subject_id = r.subject_id AND NOT s.restricted"
)


def reseal(connection: Connection, rows: Iterable[tuple[bytes, bytes, int, int, int]]) -> None:
    """Replace the sealed records of people in one statement.

    Each row is subject id (16 bytes), sealed record, detail, first and last seen (microseconds
    since 1970); the stored span of sightings only ever widens. Restricted people are left alone
    (PIPL 47 ¶2).
    """
    raw = driver(connection)
    raw.execute(_INCOMING)
    with raw.cursor().copy("COPY resealed FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid", "bytea", "int2", "int8", "int8"])
        for subject, sealed, detail, first, last in sorted(rows):
            moments = (first - EPOCH_SHIFT, last - EPOCH_SHIFT)
            copy.write_row((UUID(bytes=subject), sealed, detail, *moments))
    connection.execute(text("ANALYZE resealed"))
    connection.execute(text(_UPDATE))
    connection.execute(text("DROP TABLE resealed"))
