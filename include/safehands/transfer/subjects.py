"""New people of a package: a salt, a ciphertext and a lookup under the buyer's keys."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.pseudonymise.parcels import micros
from safehands.store import driver
from safehands.store.bulk import Kind, by_width, copy_in, uuids
from safehands.transfer.known import People
from safehands.transfer.temporary import fresh

__all__ = ["write_people"]


def write_people(
    connection: Connection,
    ring: KeyRing,
    controller: int,
    people: People,
    plain: list[bytes],
    table: pa.Table,
) -> None:
    """Insert whom the buyer did not know; widen the span of sightings of whom it did."""
    raw = driver(connection)
    fresh(raw, "incoming_person", _INCOMING)
    new = np.array(people.new, dtype=np.int64)
    first, last = micros(table["first_seen"], 0), micros(table["last_seen"], 0)
    if len(new):
        ids = [people.ids[i] for i in new]
        raw_salts = os.urandom(16 * len(new))
        salts = [raw_salts[i : i + 16] for i in range(0, len(raw_salts), 16)]
        graves = people.graves[new].tolist()
        wrapped = ring.wrap_salts(ids, [s + g for s, g in zip(salts, graves, strict=True)])
        sealed = ring.seal("person", ids, salts, [plain[i] for i in new])
        secrets = np.frombuffer(b"".join(wrapped), dtype=f"V{len(wrapped[0])}")
        generations = np.array([people.generations[i] for i in new], dtype=np.int16)
        who = uuids(ids)
        for at, blobs in by_width(sealed):
            columns: list[tuple[Kind, Any]] = [
                ("uuid", who[at]),
                ("uuid", people.lookups[new[at]]),
                ("i2", generations[at]),
                ("bytes", secrets[at]),
                ("bytes", blobs),
                ("ts", first[new[at]]),
                ("ts", last[new[at]]),
            ]
            copy_in(raw, "incoming_person", columns)
    values = {"controller": controller, "epoch": ring.epoch, "version": ring.version}
    connection.execute(text(_INSERT), values)
    if people.joined:
        spans = [
            {"id": people.ids[i].hex(), "first": int(first[i]), "last": int(last[i])}
            for i in people.joined
        ]
        connection.execute(text(_WIDEN), [{**one, "controller": controller} for one in spans])


_INCOMING = (
    "subject_id uuid, lookup uuid, generation int2, wrapped_salt bytea, sealed bytea,"
    " first_seen timestamptz, last_seen timestamptz"
)
_INSERT = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen)"
    " SELECT :controller, subject_id, lookup, generation, :epoch, wrapped_salt, :version, sealed,"
    " 0, first_seen, last_seen FROM incoming_person ORDER BY subject_id"
)
_MOMENT = "timestamptz '1970-01-01 00:00:00+00' + {0} * interval '1 microsecond'"
_WIDEN = (
    f"UPDATE subject SET first_seen = least(first_seen, {_MOMENT.format(':first')}),"
    f" last_seen = greatest(last_seen, {_MOMENT.format(':last')})"
    " WHERE controller_id = :controller AND subject_id = CAST(:id AS uuid)"
)
