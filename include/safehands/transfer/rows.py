"""The seller's rows of one class as the tables of a package, read and opened in memory.

Bound to the seller without ``storage``: restricted people are hidden by the database itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.keys.pairing import PairKey
from safehands.store import driver
from safehands.store.bulk import INFINITY, NOBODY, copy_out
from safehands.transfer.contents import SCHEMAS
from safehands.transfer.reconcile import SLIP_STAYS

__all__ = ["Seen", "read_tables", "take_out_masked"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Seen:
    """Where to read: the hand-over, the seller's stations by id, its keys, the names to give."""

    handover: UUID
    stations: dict[int, str]
    ring: KeyRing
    names: PairKey

    @property
    def values(self) -> dict[str, Any]:
        """What the queries are bound to."""
        return {"id": self.handover, "stations": list(self.stations)}


def take_out_masked(connection: Connection, handover: UUID) -> int:
    """Move listed people whose number is masked to the class ``dormant``; return how many.

    The buyer could neither recognise them nor answer them.
    """
    return connection.execute(text(_TAKE_OUT), {"id": handover}).rowcount


def read_tables(connection: Connection, seen: Seen) -> dict[str, pa.Table]:
    """Return the package's tables; every person and parcel under its new name."""
    return {
        "person": _people(connection, seen),
        "parcel": _parcels(connection, seen),
        "custody": _custody(connection, seen),
        "preference": _preferences(connection, seen),
        "consent": _consents(connection, seen),
    }


def _people(connection: Connection, seen: Seen) -> pa.Table:
    cursor: Any = driver(connection).cursor(binary=True)
    rows = cursor.execute(_PEOPLE, seen.values).fetchall()
    ids = [row[0].bytes for row in rows]
    secrets = seen.ring.unwrap_salts(ids, [row[1] for row in rows])
    salts = [secret[:16] for secret in secrets]
    records = [
        json.loads(plain)
        for plain in seen.ring.unseal("person", ids, salts, [row[2] for row in rows])
    ]
    columns = {
        "person": _binary(seen.names.names("person", ids)),
        **{f: [record[f] for record in records] for f in ("name", "phone", "address")},
        "first_seen": _times(np.array([row[3] for row in rows], dtype=np.int64)),
        "last_seen": _times(np.array([row[4] for row in rows], dtype=np.int64)),
    }
    return _table("person", columns)


def _parcels(connection: Connection, seen: Seen) -> pa.Table:
    query = _bound(_PARCELS, seen)
    kinds: Any = ("uuid", "uuid", "i4", "ts", "ts", "i4", "i2", "i2", "i2", "i2")
    columns = copy_out(driver(connection), query, kinds)
    who, waybill, station, arrived, collected, *small = columns
    codes = sorted(seen.stations)
    station_column = pa.DictionaryArray.from_arrays(
        pa.array(np.searchsorted(codes, station).astype(np.int32)),
        pa.array([seen.stations[code] for code in codes]),
    )
    filled = {
        "person": _named(seen, who),
        "waybill": _binary(seen.names.names("waybill", waybill.tolist())),
        "station": station_column,
        "arrived_at": _times(arrived),
        "collected_at": _times(collected),
        **dict(zip(("district", "carrier", "status", "weight_band", "tags"), small, strict=True)),
    }
    return _table("parcel", filled)


def _named(seen: Seen, who: Array) -> pa.Array:
    """Return the names of the parcels' people; a million parcels have fewer people."""
    unique, place = np.unique(who, return_inverse=True)
    ids = unique.tolist()
    names = pa.array(
        [
            None if one == NOBODY else name
            for one, name in zip(ids, seen.names.names("person", ids).tolist(), strict=True)
        ],
        pa.binary(16),
    )
    return names.take(pa.array(place))


def _custody(connection: Connection, seen: Seen) -> pa.Table:
    cursor: Any = driver(connection).cursor(binary=True)
    rows = cursor.execute(_CUSTODY, seen.values).fetchall()
    tokens = [row[1].bytes for row in rows]
    held = [row for row in rows if row[4] is not None]
    secrets = seen.ring.unwrap_salts([row[4].bytes for row in held], [row[5] for row in held])
    own = iter(secrets)
    loose = iter(
        seen.ring.custody_salts(t for t, row in zip(tokens, rows, strict=True) if row[4] is None)
    )
    keys = [next(loose) if row[4] is None else next(own)[:16] for row in rows]
    plain = [
        json.loads(p) for p in seen.ring.unseal("custody", tokens, keys, [row[3] for row in rows])
    ]
    filled = {
        "person": _optional(seen, [row[0] for row in rows]),
        "waybill": _binary(seen.names.names("waybill", tokens)),
        "arrived_at": _times(np.array([row[2] for row in rows], dtype=np.int64)),
        "number": [slip["waybill"] for slip in plain],
        "shelf": [slip["shelf"] for slip in plain],
        "code": [slip["code"] for slip in plain],
    }
    return _table("custody", filled)


def _preferences(connection: Connection, seen: Seen) -> pa.Table:
    rows = connection.execute(text(_PREFERENCES), seen.values).all()
    filled = {
        "person": _optional(seen, [row[0] for row in rows]),
        "notify_channel": [row[1] for row in rows],
        "delivery_choice": [row[2] for row in rows],
        "time_window": [row[3] for row in rows],
        "updated_at": [row[4] for row in rows],
    }
    return _table("preference", filled)


def _consents(connection: Connection, seen: Seen) -> pa.Table:
    rows = connection.execute(text(_CONSENTS), seen.values).all()
    names = SCHEMAS["consent"].names[1:]
    filled: dict[str, Any] = {"person": _optional(seen, [row[0] for row in rows])}
    filled |= {name: [row[i] for row in rows] for i, name in enumerate(names, start=1)}
    return _table("consent", filled)


def _optional(seen: Seen, who: Sequence[UUID | None]) -> pa.Array:
    named = iter(seen.names.names("person", [w.bytes for w in who if w is not None]).tolist())
    return pa.array([None if w is None else next(named) for w in who], pa.binary(16))


def _binary(names: Array) -> pa.Array:
    return pa.Array.from_buffers(
        pa.binary(16), len(names), [None, pa.py_buffer(np.ascontiguousarray(names))]
    )


def _times(micros: Array) -> pa.Array:
    return pa.array(micros, pa.int64(), mask=micros == INFINITY).cast(pa.timestamp("us", "UTC"))


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    schema = SCHEMAS[name]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, schema.field(field).type)
        for field, column in ((f, columns[f]) for f in schema.names)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _bound(query: str, seen: Seen) -> str:
    """Return a query for COPY, which takes no parameters: a UUID and integers alone are put in."""
    stations = ",".join(str(int(one)) for one in seen.stations)
    return query.format(id=UUID(str(seen.handover)), stations=stations)


_MICROS = "(extract(epoch FROM {0}) * 1000000)::int8"
_MOVES = (
    "FROM handover_subject h JOIN {0} t USING (controller_id, subject_id)"
    " WHERE h.handover_id = {1} AND h.class = 'transferred'"
)
_TAKE_OUT = (
    "UPDATE handover_subject h SET class = 'dormant' FROM subject s"
    " WHERE h.handover_id = :id AND h.class = 'transferred' AND s.controller_id = h.controller_id"
    " AND s.subject_id = h.subject_id AND s.detail <> 0"
)
_PEOPLE = (
    "SELECT subject_id, t.wrapped_salt, t.sealed,"
    f" {_MICROS.format('t.first_seen')}, {_MICROS.format('t.last_seen')} "
    + _MOVES.format("subject", "%(id)s")
    + " ORDER BY subject_id"
)
# What waits at the counter goes for the contract's sake (PIPL 13 ¶1(2)), so that nothing becomes
# uncollectable: with its person, or as a parcel of nobody where the person does not move.
_NOBODY = "'00000000-0000-0000-0000-000000000000'"
_WHO = "CASE WHEN h.class = 'transferred' THEN {0}.subject_id END"
_SLIP_MOVES = "coalesce(h.class, 'transferred') NOT IN " + SLIP_STAYS
_PARCELS = (
    f"SELECT coalesce({_WHO.format('p')}, {_NOBODY}), p.waybill,"
    " p.station_id, p.arrived_at, coalesce(p.collected_at, 'infinity'), p.district, p.carrier,"
    " p.status, p.weight_band, p.tags FROM parcel p LEFT JOIN handover_subject h"
    " ON h.handover_id = '{id}' AND h.controller_id = p.controller_id"
    " AND h.subject_id = p.subject_id LEFT JOIN custody c ON c.controller_id = p.controller_id"
    " AND c.waybill = p.waybill AND c.arrived_at = p.arrived_at"
    " WHERE p.station_id IN ({stations})"
    f" AND (h.class = 'transferred' OR ({_SLIP_MOVES} AND c.waybill IS NOT NULL))"
)
_CUSTODY = (
    f"SELECT {_WHO.format('c')}, c.waybill, {_MICROS.format('c.arrived_at')}, c.sealed,"
    " c.subject_id, s.wrapped_salt"
    " FROM custody c JOIN parcel p USING (controller_id, waybill, arrived_at)"
    " LEFT JOIN subject s ON s.controller_id = c.controller_id AND s.subject_id = c.subject_id"
    " LEFT JOIN handover_subject h ON h.handover_id = %(id)s"
    " AND h.controller_id = c.controller_id AND h.subject_id = c.subject_id"
    f" WHERE p.station_id = ANY(%(stations)s) AND {_SLIP_MOVES} ORDER BY c.waybill"
)
_PREFERENCES = (
    "SELECT subject_id, notify_channel, delivery_choice, time_window, updated_at "
    + _MOVES.format("preference", ":id")
    + " ORDER BY subject_id"
)
_CONSENTS = (
    "SELECT DISTINCT ON (subject_id, t.purpose) subject_id, t.purpose, t.separate, t.notice,"
    " t.campaign, t.at " + _MOVES.format("consent_event", ":id") + " AND t.kind = 'granted'"
    " ORDER BY subject_id, t.purpose, t.at DESC, t.id DESC"
)
