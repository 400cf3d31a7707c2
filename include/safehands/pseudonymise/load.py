"""Columns into tables: parcels, custody and preferences of one shard."""

from __future__ import annotations

import json
from typing import Any

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

__all__ = ["as_table", "custody", "months", "parcels", "preferences", "subjects_of"]

Array = npt.NDArray[Any]


def subjects_of(ids: list[bytes], segments: Array) -> Array:
    """Return each row's subject id as ``V16``; rows without a person get the nil id."""
    return uuids([*ids, NOBODY])[segments]


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
) -> dict[str, int]:
    """Write new and changed parcels; leave what is known already or known better.

    A waybill is the same parcel within ``reuse_days`` of arrival. Of two versions the one with
    the later time wins. A changed arrival month is a delete and an insert, which PostgreSQL's
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
    unchanged, changed = _against_known(connection, reuse_days)
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


def _against_known(connection: Connection, reuse_days: int) -> tuple[int, int]:
    anything = connection.execute(text("SELECT EXISTS (SELECT FROM parcel)")).scalar()
    if not anything:
        return 0, 0
    connection.execute(text("ANALYZE incoming_parcel"))
    window = {"days": reuse_days}
    unchanged = connection.execute(text(_DROP_KNOWN), window).rowcount
    changed = connection.execute(text(_REMOVE_OLD), window).rowcount
    return unchanged, changed


def custody(
    connection: Connection,
    ring: KeyRing,
    controller: int,
    rows: Parcels,
    table: pa.Table,
    vault: Vault,
    of_row: Array,
) -> None:
    """Seal number, shelf and code of parcels that wait; drop those of parcels that left.

    Must follow ``parcels`` in the same transaction: only rows that were new or changed are
    touched.
    """
    connection.execute(text(_END_CUSTODY))
    fresh = copy_out(driver(connection), _FRESH, ["uuid"])[0]
    waiting = np.flatnonzero(rows.in_custody)
    touched = set(fresh.tolist())
    chosen = [i for i in waiting.tolist() if rows.waybill[i].tobytes() in touched]
    if not chosen:
        return
    source = table.take(pa.array(rows.row[chosen]))
    tokens = [rows.waybill[i].tobytes() for i in chosen]
    segments = [int(of_row[rows.row[i]]) for i in chosen]
    loose = iter(ring.custody_salts(t for t, s in zip(tokens, segments, strict=True) if s == NONE))
    salts = [next(loose) if s == NONE else vault.salts[s] for s in segments]
    sealed = ring.seal("custody", tokens, salts, _slips(source))
    people = [NOBODY if s == NONE else vault.ids[s] for s in segments]
    arrived = rows.arrived[chosen] - EPOCH_SHIFT
    _write_custody(connection, controller, list(zip(tokens, people, arrived, sealed, strict=True)))


def _slips(source: pa.Table) -> list[bytes]:
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


def _write_custody(
    connection: Connection, controller: int, slips: list[tuple[bytes, bytes, Any, bytes]]
) -> None:
    raw = driver(connection)
    raw.execute(_INCOMING_CUSTODY)
    with raw.cursor().copy("COPY incoming_custody FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["bytea", "bytea", "int8", "bytea"])
        for token, person, arrived, sealed in slips:
            copy.write_row((token, person, int(arrived), sealed))
    connection.execute(text(_INSERT_CUSTODY), {"controller": controller})


def preferences(
    connection: Connection,
    controller: int,
    table: pa.Table,
    ids: list[bytes],
    of_row: Array,
    batches: Array,
    undated: int,
) -> int:
    """Write each person's latest preferences; an older statement never replaces a newer one.

    ``undated`` (microseconds since 1970) stands for rows without a time. Return the number of
    people whose preferences were written.
    """
    updated = micros(table["updated_at"], undated)
    order = np.lexsort((np.arange(len(updated)), updated, of_row))
    last = np.append(of_row[order][1:] != of_row[order][:-1], True) if len(order) else order
    rows = order[last.astype(bool)]
    raw = driver(connection)
    raw.execute(_INCOMING_PREFERENCE)
    columns: list[tuple[Any, Array]] = [
        ("uuid", subjects_of(ids, of_row[rows])),
        ("i2", _small(table["notify_channel"])[rows]),
        ("i2", _small(table["delivery_choice"])[rows]),
        ("i2", _small(table["time_window"])[rows]),
        ("i2", _small(table["marketing"])[rows]),
        ("ts", updated[rows]),
        ("i4", batches[table["_file"].to_numpy()][rows]),
    ]
    copy_in(raw, "incoming_preference", columns)
    return connection.execute(text(_UPSERT_PREFERENCE), {"controller": controller}).rowcount


def _small(column: Any) -> Array:
    return np.asarray(column.cast(pa.int16()).fill_null(0).to_numpy())


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
_DROP_KNOWN = (
    f"DELETE FROM incoming_parcel i USING parcel p WHERE{_SAME}"
    f" AND ({_OF_STORE} > {_OF_FILE} OR (p.arrived_at = i.arrived_at"
    " AND coalesce(p.collected_at, 'infinity') = i.collected_at"
    " AND coalesce(p.subject_id, '00000000-0000-0000-0000-000000000000') = i.subject_id"
    " AND (p.station_id, p.district, p.carrier, p.status, p.weight_band, p.tags)"
    " = (i.station_id, i.district, i.carrier, i.status, i.weight_band, i.tags)))"
)
_REMOVE_OLD = f"DELETE FROM parcel p USING incoming_parcel i WHERE{_SAME}"
_INSERT = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags)"
    " SELECT :controller, station_id, waybill,"
    " nullif(subject_id, '00000000-0000-0000-0000-000000000000'), arrived_at,"
    " nullif(collected_at, 'infinity'), district, batch_id, carrier, status, weight_band, tags"
    " FROM incoming_parcel"
)
_END_CUSTODY = "DELETE FROM custody c USING incoming_parcel i WHERE c.waybill = i.waybill"
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
    " FROM incoming_custody"
)
_INCOMING_PREFERENCE = (
    "CREATE TEMP TABLE incoming_preference (subject_id uuid, notify_channel int2,"
    " delivery_choice int2, time_window int2, marketing int2, updated_at timestamptz,"
    " batch_id int) ON COMMIT DROP"
)
_UPSERT_PREFERENCE = (
    "INSERT INTO preference AS p (controller_id, subject_id, notify_channel, delivery_choice,"
    " time_window, marketing, updated_at, batch_id)"
    " SELECT :controller, subject_id, notify_channel, delivery_choice, time_window, marketing,"
    " updated_at, batch_id FROM incoming_preference"
    " ON CONFLICT (controller_id, subject_id) DO UPDATE SET"
    " notify_channel = excluded.notify_channel, delivery_choice = excluded.delivery_choice,"
    " time_window = excluded.time_window, marketing = excluded.marketing,"
    " updated_at = excluded.updated_at, batch_id = excluded.batch_id"
    " WHERE excluded.updated_at > p.updated_at"
)
