"""The seller's rows of one class as the tables of a package, read and opened in memory.

They are read part by part, so that memory is bounded whatever the station's size: a part holds the
people whose number's token falls into it, with all that hangs on them, and all holders of one
number. Bound to the seller without ``storage``: the database itself hides restricted people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.handover.classify import campaign
from safehands.keys import KeyRing
from safehands.keys.pairing import PairKey
from safehands.masking import mask_name
from safehands.store import driver
from safehands.store.bulk import INFINITY, NOBODY, read_out
from safehands.transfer.contents import SCHEMAS
from safehands.transfer.reconcile import PARCELS_ENTRUSTED, SLIP_STAYS

__all__ = [
    "PART_PARCELS",
    "Seen",
    "gather",
    "list_part",
    "part_digest",
    "parts_of",
    "read_part",
    "read_slips",
]

Array = npt.NDArray[Any]

PART_PARCELS = 250_000
"""Parcels of a part, about: some 150 MB while it is open."""


@dataclass(frozen=True)
class Seen:
    """Where to read: the hand-over, the seller's stations by id, its keys, the names to give.

    ``asset``: in an asset deal nothing but the answer to this hand-over is a basis; where the law
    lets the buyer succeed, what was agreed to goes on.
    """

    handover: UUID
    stations: dict[int, str]
    ring: KeyRing
    names: PairKey
    asset: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """What the queries are bound to."""
        return {"id": self.handover, "stations": list(self.stations)}


def gather(connection: Connection, seen: Seen, parcels: int = PART_PARCELS) -> int:
    """List who moves, each in one part; return how many parts there are (1 to 256)."""
    parts = parts_of(connection, list(seen.stations), parcels)
    _list(connection, seen, parts)
    return parts


def parts_of(connection: Connection, stations: Sequence[int], parcels: int = PART_PARCELS) -> int:
    """Return into how many parts the stations' parcels fall, ``parcels`` in each (1 to 256)."""
    values = {"stations": list(stations)}
    held = int(connection.execute(text(_PARCEL_COUNT), values).scalar_one())
    return min(max(1, -(-held // parcels)), 256)


def list_part(connection: Connection, seen: Seen, part: int, parts: int) -> None:
    """List who moves in one part of ``parts``, as ``gather`` does in all of them."""
    _list(connection, seen, parts, part)


def part_digest(connection: Connection, seen: Seen, part: int, parts: int) -> str:
    """Return a digest of all rows that ``read_part`` would read: the same rows, the same digest.

    Per table the number of rows and the sum of PostgreSQL's 64-bit hashes of them: enough to
    notice that somebody changed a row in between. Not promised: resistance against somebody who
    makes rows collide on purpose; nobody but the seller writes them.
    """
    at = _Part(seen, part)
    found = [str(parts), str(part)]
    for query in (_PEOPLE, _CUSTODY):
        row = driver(connection).execute(_HASHED.format(query).encode(), at.values).fetchone()
        found.append(str(row))
    for query, values in ((_bound(_PARCELS, at), {}), (_PREFERENCES, at.values)):
        found.append(str(connection.execute(text(_HASHED.format(query)), values).one()))
    found.append(str(connection.execute(text(_HASHED.format(_CONSENTS)), at.values).one()))
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def read_part(connection: Connection, seen: Seen, part: int) -> dict[str, pa.Table]:
    """Return the tables of one part of :func:`gather`; everything under its new name."""
    at = _Part(seen, part)
    return {
        "person": _people(connection, at),
        "parcel": _parcels(connection, at),
        "custody": _custody(connection, at),
        "preference": _preferences(connection, at),
        "consent": _consents(connection, at),
    }


def read_slips(connection: Connection, seen: Seen) -> pa.Table:
    """Return what waits at the counter and moves, and nothing else."""
    _list(connection, seen, 1)
    return _custody(connection, _Part(seen, 0))


def _list(connection: Connection, seen: Seen, parts: int, only: int = -1) -> None:
    """Make the temporary lists: who moves, and what waits and moves; each in one part.

    ``only``: the one part that is listed.
    """
    values = {**seen.values, "parts": parts, "only": only}
    connection.execute(text(_MOVING), values)
    connection.execute(text("CREATE INDEX ON moving (subject_id)"))
    connection.execute(text("ANALYZE moving"))
    connection.execute(text(_WAITS), values)
    connection.execute(text("ANALYZE waits"))


@dataclass(frozen=True)
class _Part:
    seen: Seen
    part: int

    @property
    def ring(self) -> KeyRing:
        return self.seen.ring

    @property
    def names(self) -> PairKey:
        return self.seen.names

    @property
    def stations(self) -> dict[int, str]:
        return self.seen.stations

    @property
    def values(self) -> dict[str, Any]:
        chosen = {"part": self.part, "asset": self.seen.asset}
        return {**self.seen.values, **chosen, "campaign": campaign(self.seen.handover)}


def _people(connection: Connection, seen: _Part) -> pa.Table:
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


def _parcels(connection: Connection, seen: _Part) -> pa.Table:
    query = _bound(_PARCELS, seen)
    kinds: Any = ("uuid", "uuid", "i4", "ts", "ts", "i4", "i2", "i2", "i2", "i2")
    columns = read_out(driver(connection), query, kinds)
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


def _named(seen: _Part, who: Array) -> pa.Array:
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


def _custody(connection: Connection, seen: _Part) -> pa.Table:
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
    shown = _shown(seen, rows, keys)
    filled = {
        "person": _optional(seen, [row[0] for row in rows]),
        "waybill": _binary(seen.names.names("waybill", tokens)),
        "arrived_at": _times(np.array([row[2] for row in rows], dtype=np.int64)),
        "number": [slip["waybill"] for slip in plain],
        "shelf": [slip["shelf"] for slip in plain],
        "code": [slip["code"] for slip in plain],
        "name": [name for name, _ in shown],
        "tail": [tail for _, tail in shown],
    }
    return _table("custody", filled)


def _shown(seen: _Part, rows: Sequence[Any], keys: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return masked name and last four digits of whom each slip is for; empty for nobody known."""
    held = [i for i, row in enumerate(rows) if row[4] is not None]
    ids = [rows[i][4].bytes for i in held]
    records = seen.ring.unseal("person", ids, [keys[i] for i in held], [rows[i][6] for i in held])
    shown = [("", "")] * len(rows)
    for i, record in zip(held, map(json.loads, records), strict=True):
        shown[i] = (mask_name(record["name"] or ""), (record["phone"] or "")[-4:])
    return shown


def _preferences(connection: Connection, seen: _Part) -> pa.Table:
    rows = connection.execute(text(_PREFERENCES), seen.values).all()
    filled = {
        "person": _optional(seen, [row[0] for row in rows]),
        "notify_channel": [row[1] for row in rows],
        "delivery_choice": [row[2] for row in rows],
        "time_window": [row[3] for row in rows],
        "updated_at": [row[4] for row in rows],
    }
    return _table("preference", filled)


def _consents(connection: Connection, seen: _Part) -> pa.Table:
    rows = connection.execute(text(_CONSENTS), seen.values).all()
    names = SCHEMAS["consent"].names[1:]
    filled: dict[str, Any] = {"person": _optional(seen, [row[0] for row in rows])}
    filled |= {name: [row[i] for row in rows] for i, name in enumerate(names, start=1)}
    return _table("consent", filled)


def _optional(seen: _Part, who: Sequence[UUID | None]) -> pa.Array:
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


def _bound(query: str, seen: _Part) -> str:
    """Return a query for COPY, which takes no parameters: a UUID and integers alone are put in."""
    stations = ",".join(str(int(one)) for one in seen.stations)
    number = UUID(str(seen.seen.handover))
    return query.format(id=number, stations=stations, part=int(seen.part))


_MICROS = "(extract(epoch FROM {0}) * 1000000)::int8"
_PARCEL_COUNT = "SELECT count(*) FROM parcel WHERE station_id = ANY(:stations)"
_PLACE = "get_byte(uuid_send({0}), 0) * {1} / 256"
_GIVEN = "'{id}'"
_OF_PART = "CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT * FROM ({}) l WHERE :only IN (-1, part)"
_MOVING = _OF_PART.format(
    "moving",
    f"SELECT h.subject_id, {_PLACE.format('s.lookup', 'CAST(:parts AS int)')} AS part"
    " FROM handover_subject h JOIN subject s USING (controller_id, subject_id)"
    " WHERE h.handover_id = :id AND h.class = 'transferred'",
)
_MOVES = "FROM moving m JOIN {0} t USING (subject_id) WHERE m.part = {1}"
_PEOPLE = (
    "SELECT subject_id, t.wrapped_salt, t.sealed,"
    f" {_MICROS.format('t.first_seen')}, {_MICROS.format('t.last_seen')} "
    + _MOVES.format("subject", "%(part)s")
    + " ORDER BY subject_id"
)
# What waits at the counter goes for the contract's sake (PIPL 13 ¶1(2)), so that nothing becomes
# uncollectable: with its person, or as a parcel of nobody where the person does not move.
_WAITS = _OF_PART.format(
    "waits",
    "SELECT c.waybill, c.arrived_at, s.subject_id AS mover,"
    f" {_PLACE.format('coalesce(s.lookup, c.waybill)', 'CAST(:parts AS int)')} AS part"
    " FROM custody c JOIN parcel p USING (controller_id, waybill, arrived_at)"
    " LEFT JOIN handover_subject h ON h.handover_id = :id"
    " AND h.controller_id = c.controller_id AND h.subject_id = c.subject_id"
    " LEFT JOIN subject s ON h.class = 'transferred'"
    " AND s.controller_id = c.controller_id AND s.subject_id = c.subject_id"
    f" WHERE p.station_id = ANY(:stations) AND NOT {PARCELS_ENTRUSTED.format(':id')}"
    f" AND (s.subject_id IS NOT NULL OR coalesce(h.class, 'transferred') NOT IN {SLIP_STAYS})",
)
_NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"
_PARCEL_COLUMNS = (
    "p.waybill, p.station_id, p.arrived_at, coalesce(p.collected_at, 'infinity'), p.district,"
    " p.carrier, p.status, p.weight_band, p.tags"
)
# Two questions, each with one big table: who moves takes all parcels along, and of the few that
# wait those of nobody who moves.
_PARCELS = (
    f"SELECT p.subject_id, {_PARCEL_COLUMNS} FROM moving m JOIN parcel p USING (subject_id)"
    " WHERE m.part = {part} AND p.station_id IN ({stations})"
    f" AND NOT {PARCELS_ENTRUSTED.format(_GIVEN)}"
    f" UNION ALL SELECT {_NOBODY}, {_PARCEL_COLUMNS} FROM waits w"
    " JOIN parcel p USING (waybill, arrived_at) WHERE w.mover IS NULL AND w.part = {part}"
)
_CUSTODY = (
    f"SELECT w.mover, c.waybill, {_MICROS.format('c.arrived_at')}, c.sealed,"
    " c.subject_id, s.wrapped_salt, s.sealed FROM waits w"
    " JOIN custody c USING (waybill, arrived_at)"
    " LEFT JOIN subject s ON s.controller_id = c.controller_id AND s.subject_id = c.subject_id"
    " WHERE w.part = %(part)s ORDER BY c.waybill"
)
_PREFERENCES = (
    "SELECT subject_id, notify_channel, delivery_choice, time_window, updated_at "
    + _MOVES.format("preference", ":part")
    + " ORDER BY subject_id"
)
_HASHED = "SELECT count(*), coalesce(sum(hash_record_extended(r, 0)), 0) FROM ({}) r"
# The last word of each person for each purpose, where it was a yes.
_CONSENTS = (
    "SELECT * FROM (SELECT DISTINCT ON (subject_id, t.purpose) subject_id, t.purpose, t.separate,"
    " t.notice, t.campaign, t.at, t.kind "
    + _MOVES.format("consent_event", ":part")
    + " ORDER BY subject_id, t.purpose, t.at DESC, t.id DESC) last WHERE kind = 'granted'"
    " AND (NOT :asset OR purpose = 'handover' AND campaign = :campaign)"
)
