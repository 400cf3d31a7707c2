"""Columns into tables: parcels, custody and preferences of one shard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.pseudonymise.parcels import Parcels, micros
from safehands.pseudonymise.people import NONE
from safehands.pseudonymise.vault import Vault
from safehands.store import Store, driver
from safehands.store.bulk import EPOCH_SHIFT, INFINITY, NOBODY, copy_in, copy_out, uuids

__all__ = [
    "Holders",
    "as_table",
    "custody",
    "months",
    "parcels",
    "people_of",
    "preferences",
    "subjects_of",
]

Array = npt.NDArray[Any]


def subjects_of(ids: list[bytes], segments: Array) -> Array:
    """Return each row's subject id as ``V16``; rows without a person get the nil id."""
    return uuids([*ids, NOBODY])[segments]


def people_of(vault: Vault, of_row: Array) -> Array:
    """Return each row's lookup as ``V16``, which no other person has and no chance decides."""
    nobody = uuids([NOBODY])
    return np.append(vault.lookups, nobody)[of_row]


def as_table(parcels: Parcels, subjects: Array, controller: int, stations: Array) -> pa.Table:
    """Return the rows about to be written, for the pseudonymised suite."""
    token = pa.binary(16)
    nobody = subjects == np.void(NOBODY)
    missing = parcels.collected == INFINITY
    collected = pa.array(np.where(missing, 0, parcels.collected), mask=missing)
    moment = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "controller_id": pa.array(np.full(len(parcels), controller, dtype=np.int32)),
            "station_id": pa.array(stations[parcels.file]),
            "waybill": _binary(parcels.waybill, token),
            "subject_id": _binary(subjects, token, nobody),
            "arrived_at": pa.array(parcels.arrived).cast(moment),
            "collected_at": collected.cast(moment),
            "carrier": pa.array(parcels.carrier),
            "status": pa.array(parcels.status),
            "district": pa.array(parcels.district),
            "weight_band": pa.array(parcels.weight_band),
            "tags": pa.array(parcels.tags),
        }
    )


def _binary(values: Array, kind: pa.DataType, missing: Array | None = None) -> pa.Array:
    mask = None
    if missing is not None:
        mask = pa.array(~missing).buffers()[1]
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [mask, buffer])


def parcels(
    connection: Connection,
    controller: int,
    rows: Parcels,
    subjects: Array,
    stations: Array,
    batches: Array,
    reuse_days: int,
    night: date,
) -> dict[str, int]:
    """Write new and changed parcels; leave what is known already or known better.

    A waybill is the same parcel within ``reuse_days`` of arrival. Of two versions the one with
    the later time wins; of two with one time the one of the later night, and of two of this
    ``night`` (its business date) the one with the greater content, so that the order of shards
    decides nothing. Not promised where one of these two is what earlier nights left in the store.
    A changed arrival month is a delete and an insert, which PostgreSQL's
    partitions ask for anyway. Return ``new``, ``changed``, ``unchanged`` and ``out``.
    """
    raw = driver(connection)
    raw.execute(_INCOMING)
    columns: list[tuple[Any, Array]] = [
        ("uuid", rows.waybill),
        ("uuid", subjects),
        ("ts", rows.arrived),
        ("ts", rows.collected),
        ("i4", stations),
        ("i4", rows.district),
        ("i4", batches),
        ("i2", rows.carrier),
        ("i2", rows.status),
        ("i2", rows.weight_band),
        ("i2", rows.tags),
    ]
    copy_in(raw, "incoming_parcel", columns)
    unchanged, changed = _against_known(connection, len(rows), reuse_days, night)
    inserted = connection.execute(text(_INSERT), {"controller": controller}).rowcount
    new = inserted - changed
    return {"out": len(rows), "new": new, "changed": changed, "unchanged": unchanged}


def months(store: Store, arrived: Array) -> None:
    """Make the partitions that the arrivals (microseconds since 1970) need.

    In a transaction of its own: loads of other owners wait for whoever makes a month.
    """
    # Eight hours ahead of UTC all year: China keeps no summer time.
    local = (arrived + 8 * 3_600_000_000).astype("datetime64[us]").astype("datetime64[M]")
    for month in np.unique(local):
        with store.begin() as connection:
            connection.execute(text("SELECT add_month(:month)"), {"month": f"{month}-01"})


def _against_known(
    connection: Connection, rows: int, reuse_days: int, night: date
) -> tuple[int, int]:
    connection.execute(text(_OUTRANKED))
    connection.execute(text("ANALYZE incoming_parcel"))
    tonight = connection.execute(text(_TONIGHT), {"night": night}).scalars().all()
    if connection.execute(text(_STORED)).scalar_one() > rows * _MANY_TIMES:
        _joins(connection, "off")
    connection.execute(text(_MATCH), {"days": reuse_days, "tonight": list(tonight)})
    connection.execute(text("ANALYZE known_parcel"))
    changed = connection.execute(text(_REMOVE_OLD)).rowcount
    _joins(connection, "DEFAULT")
    unchanged = int(connection.execute(text(_DROP_KNOWN)).scalar_one())
    return unchanged, changed


def _joins(connection: Connection, setting: str) -> None:
    """Let the planner join whole tables, or leave it the look-up by index alone."""
    for join in ("hashjoin", "mergejoin"):
        connection.execute(text(f"SET LOCAL enable_{join} TO {setting}"))


@dataclass(frozen=True)
class Holders:
    """Whose parcels they are: the shard's people, and for each row its person's position."""

    ring: KeyRing
    vault: Vault
    of_row: Array


@dataclass(frozen=True)
class _Slip:
    """What is sealed for one parcel that waits; ``arrived`` in microseconds since 1970."""

    waybill: bytes
    person: bytes
    salt: bytes
    arrived: int
    plain: bytes


def custody(
    connection: Connection,
    controller: int,
    rows: Parcels,
    table: pa.Table,
    holders: Holders,
    reuse_days: int,
) -> None:
    """Seal number, shelf and code of parcels that wait; drop those of parcels that left.

    Must follow ``parcels`` in the same transaction. Written are the slips of parcels that are new
    or changed, and those that say something else than before: a parcel may be put on another
    shelf while nothing else about it changes. Of two parcels with one number the later has a slip.
    """
    connection.execute(text(_END_CUSTODY), {"days": reuse_days})
    outranked = set(copy_out(driver(connection), _LOSERS, ["uuid"])[0].tolist())
    slips = [s for s in _slips(rows, table, holders) if s.waybill not in outranked]
    fresh = set(copy_out(driver(connection), _FRESH, ["uuid"])[0].tolist())
    known = [slip for slip in slips if slip.waybill not in fresh]
    outdated = _remove_outdated(connection, holders.ring, known) if known else set()
    chosen = [slip for slip in slips if slip.waybill in fresh or slip.waybill in outdated]
    if chosen:
        _write_custody(connection, controller, holders.ring, chosen)


def _slips(rows: Parcels, table: pa.Table, holders: Holders) -> list[_Slip]:
    waiting = {rows.waybill[i].tobytes(): i for i in np.flatnonzero(rows.in_custody).tolist()}
    places = np.array(list(waiting.values()), dtype=np.int64)
    people = holders.of_row[rows.row[places]].tolist()
    loose = (w for w, person in zip(waiting, people, strict=True) if person == NONE)
    own = iter(holders.ring.custody_salts(loose))
    vault = holders.vault
    return [
        _Slip(
            waybill,
            NOBODY if person == NONE else vault.ids[person],
            next(own) if person == NONE else vault.salts[person],
            arrived,
            plain,
        )
        for waybill, person, arrived, plain in zip(
            waiting,
            people,
            rows.arrived[places].tolist(),
            _written(table.take(pa.array(rows.row[places]))),
            strict=True,
        )
    ]


def _written(source: pa.Table) -> list[bytes]:
    fields = zip(
        source["waybill_no"].to_pylist(),
        source["shelf"].to_pylist(),
        source["pickup_code"].to_pylist(),
        strict=True,
    )
    return [
        json.dumps(
            {"code": code or "", "shelf": shelf or "", "waybill": number},
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        for number, shelf, code in fields
    ]


def _remove_outdated(connection: Connection, ring: KeyRing, slips: list[_Slip]) -> set[bytes]:
    """Remove the slips of unchanged parcels that say something else now; return their waybills."""
    raw = driver(connection)
    raw.execute(_KNOWN_CUSTODY)
    arrived = np.array([slip.arrived for slip in slips], dtype=np.int64)
    columns: list[tuple[Any, Array]] = [
        ("uuid", uuids([slip.waybill for slip in slips])),
        ("ts", arrived),
    ]
    copy_in(raw, "known_custody", columns)
    cursor: Any = raw.cursor(binary=True)
    kept = {waybill.bytes: sealed for waybill, sealed in cursor.execute(_KEPT)}
    same = [slip for slip in slips if slip.waybill in kept]
    tokens = [slip.waybill for slip in same]
    blobs = [kept[token] for token in tokens]
    plain = ring.unseal("custody", tokens, [slip.salt for slip in same], blobs)
    outdated = {s.waybill for s, before in zip(same, plain, strict=True) if s.plain != before}
    raw.execute("DELETE FROM custody WHERE waybill = ANY(%s)", [[UUID(bytes=w) for w in outdated]])
    return outdated


def _write_custody(
    connection: Connection, controller: int, ring: KeyRing, slips: list[_Slip]
) -> None:
    waybills = [slip.waybill for slip in slips]
    salts, plain = [slip.salt for slip in slips], [slip.plain for slip in slips]
    sealed = ring.seal("custody", waybills, salts, plain)
    raw = driver(connection)
    raw.execute(_INCOMING_CUSTODY)
    with raw.cursor().copy("COPY incoming_custody FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["bytea", "bytea", "int8", "bytea"])
        for slip, blob in zip(slips, sealed, strict=True):
            copy.write_row((slip.waybill, slip.person, slip.arrived - EPOCH_SHIFT, blob))
    connection.execute(text(_INSERT_CUSTODY), {"controller": controller})


def preferences(
    connection: Connection,
    controller: int,
    table: pa.Table,
    ids: list[bytes],
    of_row: Array,
    batches: Array,
    undated: int,
    night: date,
) -> int:
    """Write each person's latest preferences; an older statement never replaces a newer one.

    Of two that were said at the same moment the one with the higher codes stands, then the one
    that allows less: no marketing rather than nothing said, nothing said rather than marketing.
    ``undated`` (microseconds since 1970) stands for rows without a time. What is replaced for the
    first time in a ``night`` (its business date) is kept in ``preference.before``.
    Return the number of people whose preferences were written.
    """
    updated = micros(table["updated_at"], undated)
    person = _one_position(ids)[of_row]
    channel, choice, window, marketing = (
        _small(table[name])
        for name in ("notify_channel", "delivery_choice", "time_window", "marketing")
    )
    less = (-_ALLOWS[marketing + 1], -window)
    order = np.lexsort((*less, choice, channel, updated, person))
    last = np.append(person[order][1:] != person[order][:-1], True) if len(order) else order
    rows = order[last.astype(bool)]
    raw = driver(connection)
    raw.execute(_INCOMING_PREFERENCE)
    columns: list[tuple[Any, Array]] = [
        ("uuid", subjects_of(ids, of_row[rows])),
        ("i2", channel[rows]),
        ("i2", choice[rows]),
        ("i2", window[rows]),
        ("i2", marketing[rows]),
        ("ts", updated[rows]),
        ("i4", batches[table["_file"].to_numpy()][rows]),
    ]
    copy_in(raw, "incoming_preference", columns)
    values = {"controller": controller, "night": night}
    return connection.execute(text(_UPSERT_PREFERENCE), values).rowcount


def _one_position(ids: list[bytes]) -> Array:
    """Return for each segment the first one of the same person: several may be one subject."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(s, i) for i, s in enumerate(ids)], dtype=np.int64)


def _small(column: Any) -> Array:
    return np.asarray(column.cast(pa.int16()).fill_null(0).to_numpy())


# How much a statement on marketing allows, by its code plus one: not stated, no, yes.
_ALLOWS = np.array([1, 0, 2])
_INCOMING = (
    "CREATE TEMP TABLE incoming_parcel (waybill uuid, subject_id uuid, arrived_at timestamptz,"
    " collected_at timestamptz, station_id int, district int, batch_id int, carrier int2,"
    " status int2, weight_band int2, tags int2) ON COMMIT DROP"
)
_SAME = (
    " p.waybill = i.waybill"
    " AND p.arrived_at > i.arrived_at - make_interval(days => :days)"
    " AND p.arrived_at < i.arrived_at + make_interval(days => :days)"
)
_KNOWN_SINCE = (
    "CASE WHEN coalesce({0}.collected_at, 'infinity') < 'infinity'"
    " THEN greatest({0}.arrived_at, {0}.collected_at) ELSE {0}.arrived_at END"
)
_OF_STORE, _OF_FILE = _KNOWN_SINCE.format("p"), _KNOWN_SINCE.format("i")
_ALIKE = (
    "(p.arrived_at = i.arrived_at"
    " AND coalesce(p.collected_at, 'infinity') = i.collected_at"
    " AND coalesce(p.subject_id, '00000000-0000-0000-0000-000000000000') = i.subject_id"
    " AND (p.station_id, p.district, p.carrier, p.status, p.weight_band, p.tags)"
    " = (i.station_id, i.district, i.carrier, i.status, i.weight_band, i.tags))"
)
_RANK = (
    "ROW(coalesce({0}.collected_at, 'infinity') < 'infinity', {0}.arrived_at,"
    " coalesce({0}.collected_at, 'infinity'), {0}.station_id, {0}.district, {0}.carrier,"
    " {0}.status, {0}.weight_band, {0}.tags, coalesce((SELECT s.lookup FROM subject s"
    " WHERE s.subject_id = {0}.subject_id), '00000000-0000-0000-0000-000000000000'))"
)
_OUTRANKED = "CREATE TEMP TABLE outranked (waybill uuid) ON COMMIT DROP"
_LOSERS = "SELECT waybill FROM outranked"
_MANY_TIMES = 40
"""From so many parcels stored for each that comes, known ones are looked up by the index.

PostgreSQL would go on reading all that are stored: with 10,000,000 for the 100,000 of a night, the
whole step took 11.3 processor seconds instead of 6.9 (one run; what it takes now: docs/scale.md).
"""
_STORED = (
    "SELECT coalesce(sum(c.reltuples), 0) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'parcel'::regclass"
)
_TONIGHT = "SELECT id FROM batch WHERE business_date = :night"
# Looked up in the order of the index, so that its pages are read one after the other and once.
_MATCH = (
    "CREATE TEMP TABLE known_parcel ON COMMIT DROP AS"
    " SELECT waybill, arrived_at, stored_at, bool_or(stands) OVER own AS stands,"
    " bool_or(stands AND equally_late) OVER own AS lost FROM"
    " (SELECT i.waybill, i.arrived_at, p.arrived_at AS stored_at,"
    f" {_OF_STORE} > {_OF_FILE} OR {_ALIKE} OR ({_OF_STORE} = {_OF_FILE}"
    f" AND p.batch_id = ANY (:tonight) AND {_RANK.format('p')} > {_RANK.format('i')}) AS stands,"
    f" {_OF_STORE} = {_OF_FILE} AND NOT {_ALIKE} AS equally_late"
    f" FROM (SELECT * FROM incoming_parcel ORDER BY waybill) i JOIN parcel p ON{_SAME}) found"
    " WINDOW own AS (PARTITION BY waybill, arrived_at)"
)
_DROP_KNOWN = (
    "WITH gone AS (DELETE FROM incoming_parcel i USING known_parcel k WHERE k.stands"
    " AND k.waybill = i.waybill AND k.arrived_at = i.arrived_at RETURNING i.waybill, k.lost),"
    " losers AS (INSERT INTO outranked SELECT waybill FROM gone WHERE lost)"
    " SELECT count(*) FROM gone"
)
_REMOVE_OLD = (
    "DELETE FROM parcel p USING known_parcel k WHERE NOT k.stands"
    " AND p.waybill = k.waybill AND p.arrived_at = k.stored_at"
)
_INSERT = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags)"
    " SELECT :controller, station_id, waybill,"
    " nullif(subject_id, '00000000-0000-0000-0000-000000000000'), arrived_at,"
    " nullif(collected_at, 'infinity'), district, batch_id, carrier, status, weight_band, tags"
    " FROM incoming_parcel"
)
# An older parcel that had the same number does not end the custody of the present one.
_END_CUSTODY = (
    "DELETE FROM custody c USING incoming_parcel i WHERE c.waybill = i.waybill"
    " AND c.arrived_at < i.arrived_at + make_interval(days => :days)"
)
_KNOWN_CUSTODY = (
    "CREATE TEMP TABLE known_custody (waybill uuid, arrived_at timestamptz) ON COMMIT DROP"
)
_KEPT = "SELECT waybill, c.sealed FROM custody c JOIN known_custody USING (waybill, arrived_at)"
_FRESH = "SELECT waybill FROM incoming_parcel WHERE collected_at = 'infinity'"
_INCOMING_CUSTODY = (
    "CREATE TEMP TABLE incoming_custody (waybill bytea, subject_id bytea, arrived int8,"
    " sealed bytea) ON COMMIT DROP"
)
_INSERT_CUSTODY = (
    "INSERT INTO custody (controller_id, waybill, subject_id, arrived_at, sealed)"
    " SELECT :controller, encode(waybill, 'hex')::uuid,"
    " nullif(encode(subject_id, 'hex')::uuid, '00000000-0000-0000-0000-000000000000'),"
    " timestamptz '2000-01-01 00:00:00+00' + arrived * interval '1 microsecond', sealed"
    " FROM incoming_custody ON CONFLICT DO NOTHING"
)
_INCOMING_PREFERENCE = (
    "CREATE TEMP TABLE incoming_preference (subject_id uuid, notify_channel int2,"
    " delivery_choice int2, time_window int2, marketing int2, updated_at timestamptz,"
    " batch_id int) ON COMMIT DROP"
)
_STANDS = (
    "ROW({0}.updated_at, {0}.notify_channel, {0}.delivery_choice, -{0}.time_window,"
    " -CASE {0}.marketing WHEN 0 THEN 0 WHEN -1 THEN 1 ELSE 2 END)"
)
_UPSERT_PREFERENCE = (
    "INSERT INTO preference AS p (controller_id, subject_id, notify_channel, delivery_choice,"
    " time_window, marketing, updated_at, batch_id, before)"
    " SELECT :controller, subject_id, notify_channel, delivery_choice, time_window, marketing,"
    " updated_at, batch_id, '' FROM incoming_preference"
    " ON CONFLICT (controller_id, subject_id) DO UPDATE SET"
    " notify_channel = excluded.notify_channel, delivery_choice = excluded.delivery_choice,"
    " time_window = excluded.time_window, marketing = excluded.marketing,"
    " updated_at = excluded.updated_at, batch_id = excluded.batch_id,"
    " before = CASE WHEN EXISTS (SELECT FROM batch b WHERE b.id = p.batch_id"
    " AND b.business_date = :night) THEN p.before ELSE concat_ws(',', p.notify_channel,"
    " p.delivery_choice, p.time_window, p.marketing) END"
    f" WHERE {_STANDS.format('excluded')} > {_STANDS.format('p')}"
)
