"""Parcels, custody, preferences and consents of a package, written for the buyer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.pseudonymise.parcels import micros
from safehands.store import driver
from safehands.store.bulk import INFINITY, NOBODY, by_width, copy_in, uuids
from safehands.transfer.known import People
from safehands.transfer.temporary import fresh

__all__ = ["Batch", "Tables", "tokens_of", "write_rows"]

Array = npt.NDArray[Any]
Counts = dict[str, int]
Tables = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Batch:
    """The buyer's batch of a package. ``stations``: the seller's code → the buyer's station id."""

    controller: int
    number: int
    stations: Mapping[str, int]
    source: str


def write_rows(
    connection: Connection,
    ring: KeyRing,
    tables: Tables,
    people: People,
    batch: Batch,
    tokens: Mapping[bytes, bytes],
) -> dict[str, Counts]:
    """Write all but the people; return per table ``new``, ``joined`` (known there), ``kept_out``.

    ``tokens``: see :func:`tokens_of`. Rows of people whom the buyer keeps out are not written; a
    parcel or a preference that the buyer has already stays as it is there.
    """
    ids = people.id_of()
    return {
        "parcel": _parcels(connection, tables["parcel"], ids, tokens, batch),
        "custody": _custody(connection, ring, tables["custody"], ids, tokens, batch),
        "preference": _preferences(connection, tables["preference"], ids, batch),
        "consent": _consents(connection, tables["consent"], ids, batch),
    }


def tokens_of(ring: KeyRing, tables: Tables) -> dict[bytes, bytes]:
    """Return the buyer's own token of each parcel that waits, by its name in the package."""
    slips, parcels = tables["custody"], tables["parcel"]
    carriers = dict(zip(_names(parcels["waybill"]), parcels["carrier"].to_pylist(), strict=True))
    names = _names(slips["waybill"])
    of = np.array([carriers[name] for name in names], dtype=np.int16)
    return dict(zip(names, ring.waybills(of, slips["number"]).tolist(), strict=True))


def _names(column: Any) -> list[bytes]:
    return list(column.to_pylist())


def _ids(column: Any, ids: Mapping[bytes, bytes]) -> tuple[Array, Array]:
    """Return the buyer's ids of a column of names, and which rows are not kept out."""
    known = column.combine_chunks().dictionary_encode()
    names = known.dictionary.to_pylist()
    wanted = uuids([*(ids.get(name, NOBODY) for name in names), NOBODY])
    inside = np.array([*(name in ids for name in names), True], dtype=bool)
    place = known.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    return wanted[place], inside[place]


def _parcels(
    connection: Connection,
    table: pa.Table,
    ids: Mapping[bytes, bytes],
    tokens: Mapping[bytes, bytes],
    batch: Batch,
) -> Counts:
    who, inside = _ids(table["person"], ids)
    raw = driver(connection)
    fresh(raw, "incoming_parcel", _INCOMING_PARCEL)
    stations = table["station"].combine_chunks()
    codes = np.array([batch.stations.get(c, 0) for c in stations.dictionary.to_pylist()])
    kept = table.filter(pa.array(inside))
    waybills = _renamed(kept["waybill"], tokens)
    order = np.argsort(waybills.view(">u8").reshape(-1, 2)[:, 0], kind="stable")
    columns: list[tuple[Any, Array]] = [
        ("uuid", waybills),
        ("uuid", who[inside]),
        ("i4", codes[stations.indices.to_numpy()][inside]),
        ("ts", micros(kept["arrived_at"], 0)),
        ("ts", micros(kept["collected_at"], INFINITY)),
        ("i4", kept["district"].to_numpy()),
        *(("i2", kept[name].to_numpy()) for name in _SMALL),
    ]
    copy_in(raw, "incoming_parcel", [(kind, values[order]) for kind, values in columns])
    values = {"controller": batch.controller, "batch": batch.number}
    new = connection.execute(text(_INSERT_PARCEL), values).rowcount
    return _counted(len(table), int(inside.sum()), new)


def _renamed(names: Any, tokens: Mapping[bytes, bytes]) -> Array:
    """Return names with the buyer's own tokens in the place of those that have one."""
    column = names.combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    known = pa.array(list(tokens), column.type)
    own = pa.array(list(tokens.values()), column.type)
    whole = pc.coalesce(own.take(pc.index_in(column, value_set=known)), column)
    return np.frombuffer(whole.buffers()[1], dtype="V16", offset=16 * whole.offset)[: len(whole)]


def _counted(sent: int, inside: int, new: int) -> Counts:
    return {"new": new, "joined": inside - new, "kept_out": sent - inside}


def _custody(
    connection: Connection,
    ring: KeyRing,
    table: pa.Table,
    ids: Mapping[bytes, bytes],
    tokens: Mapping[bytes, bytes],
    batch: Batch,
) -> Counts:
    rows = [r for r in table.to_pylist() if r["person"] is None or r["person"] in ids]
    names = [tokens[row["waybill"]] for row in rows]
    owners = [NOBODY if row["person"] is None else ids[row["person"]] for row in rows]
    keys = _salts(connection, ring, batch, names, owners)
    sealed = ring.seal("custody", names, keys, [_slip(row) for row in rows])
    times = micros(table["arrived_at"], 0).tolist()
    arrived = dict(zip(_names(table["waybill"]), times, strict=True))
    at = np.array([arrived[row["waybill"]] for row in rows], dtype=np.int64)
    raw, slips, people = driver(connection), uuids(names), uuids(owners)
    fresh(raw, "incoming_custody", _INCOMING_CUSTODY)
    for place, blobs in by_width(sealed):
        columns: list[tuple[Any, Array]] = [
            ("uuid", slips[place]),
            ("uuid", people[place]),
            ("ts", at[place]),
            ("bytes", blobs),
        ]
        copy_in(raw, "incoming_custody", columns)
    new = connection.execute(text(_INSERT_CUSTODY), {"controller": batch.controller}).rowcount
    return _counted(len(table), len(rows), new)


def _salts(
    connection: Connection, ring: KeyRing, batch: Batch, names: list[bytes], owners: list[bytes]
) -> list[bytes]:
    who = [UUID(bytes=one) for one in sorted({one for one in owners if one != NOBODY})]
    values = {"who": who, "controller": batch.controller}
    rows = connection.execute(text(_WRAPPED), values).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    of = {row[0].bytes: secret[:16] for row, secret in zip(rows, secrets, strict=True)}
    loose = iter(ring.custody_salts(n for n, o in zip(names, owners, strict=True) if o == NOBODY))
    return [next(loose) if owner == NOBODY else of[owner] for owner in owners]


def _slip(row: Mapping[str, Any]) -> bytes:
    slip = {"code": row["code"], "shelf": row["shelf"], "waybill": row["number"]}
    return json.dumps(slip, ensure_ascii=False, separators=(",", ":")).encode()


def _preferences(
    connection: Connection, table: pa.Table, ids: Mapping[bytes, bytes], batch: Batch
) -> Counts:
    who, inside = _ids(table["person"], ids)
    kept = table.filter(pa.array(inside))
    raw = driver(connection)
    fresh(raw, "incoming_wish", _INCOMING_PREFERENCE)
    columns: list[tuple[Any, Array]] = [
        ("uuid", who[inside]),
        ("i2", kept["notify_channel"].to_numpy()),
        ("i2", kept["delivery_choice"].to_numpy()),
        ("i2", kept["time_window"].to_numpy()),
        ("ts", micros(kept["updated_at"], 0)),
    ]
    copy_in(raw, "incoming_wish", columns)
    values = {"controller": batch.controller, "batch": batch.number}
    new = connection.execute(text(_INSERT_PREFERENCE), values).rowcount
    return _counted(len(table), int(inside.sum()), new)


def _consents(
    connection: Connection, table: pa.Table, ids: Mapping[bytes, bytes], batch: Batch
) -> Counts:
    who, inside = _ids(table["person"], ids)
    inside &= table["person"].is_valid().to_numpy()
    kept = table.filter(pa.array(inside))
    raw = driver(connection)
    fresh(raw, "incoming_consent", _INCOMING_CONSENT)
    purposes, purpose = _coded(kept["purpose"])
    campaigns, campaign = _coded(kept["campaign"])
    columns: list[tuple[Any, Array]] = [
        ("uuid", who[inside]),
        ("i4", purpose),
        ("i2", kept["separate"].cast(pa.int16()).to_numpy()),
        ("i4", kept["notice"].to_numpy()),
        ("i4", campaign),
        ("ts", micros(kept["at"], 0)),
    ]
    copy_in(raw, "incoming_consent", columns)
    values = {"controller": batch.controller, "source": batch.source}
    values |= {"purposes": purposes, "campaigns": campaigns}
    new = connection.execute(text(_INSERT_CONSENT), values).rowcount
    return _counted(len(table), int(inside.sum()), new)


def _coded(column: Any) -> tuple[list[str], Array]:
    """Return the few texts of a column, and the place of each row's among them, from 1."""
    known = column.combine_chunks().dictionary_encode()
    return known.dictionary.to_pylist(), known.indices.to_numpy() + 1


_SMALL = ("carrier", "status", "weight_band", "tags")
_NIL = "'00000000-0000-0000-0000-000000000000'"
_INCOMING_PARCEL = (
    "waybill uuid, subject_id uuid, station_id int, arrived_at timestamptz,"
    " collected_at timestamptz, district int, carrier int2, status int2, weight_band int2,"
    " tags int2"
)
_INSERT_PARCEL = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags)"
    f" SELECT :controller, station_id, waybill, nullif(subject_id, {_NIL}), arrived_at,"
    " nullif(collected_at, 'infinity'), district, :batch, carrier, status, weight_band, tags"
    " FROM incoming_parcel ON CONFLICT DO NOTHING"
)
_INCOMING_CUSTODY = "waybill uuid, subject_id uuid, arrived_at timestamptz, sealed bytea"
_INSERT_CUSTODY = (
    "INSERT INTO custody (controller_id, waybill, subject_id, arrived_at, sealed)"
    f" SELECT :controller, waybill, nullif(subject_id, {_NIL}), arrived_at, sealed"
    " FROM incoming_custody ON CONFLICT DO NOTHING"
)
_WRAPPED = (
    "SELECT subject_id, wrapped_salt FROM subject WHERE controller_id = :controller"
    " AND subject_id = ANY(:who)"
)
_INCOMING_PREFERENCE = (
    "subject_id uuid, notify_channel int2, delivery_choice int2, time_window int2,"
    " updated_at timestamptz"
)
# What rested on a consent to the seller does not come along: marketing is not stated (-1).
_INSERT_PREFERENCE = (
    "INSERT INTO preference (controller_id, subject_id, notify_channel, delivery_choice,"
    " time_window, marketing, updated_at, batch_id)"
    " SELECT :controller, subject_id, notify_channel, delivery_choice, time_window, -1,"
    " updated_at, :batch"
    " FROM incoming_wish ON CONFLICT DO NOTHING"
)
_INCOMING_CONSENT = (
    "subject_id uuid, purpose int, separate int2, notice int, campaign int, at timestamptz"
)
# The terms are the seller's, so this is no consent to a purpose of the buyer's own.
_INSERT_CONSENT = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, notice, terms,"
    " channel, evidence, guardian, campaign, at, recorded_at, by_whom, source)"
    " SELECT :controller, subject_id, 'granted', purpose, separate, notice, :source, 'handover',"
    " :source, '', campaign, at, at, 'handover', :source FROM (SELECT subject_id,"
    " (CAST(:purposes AS text[]))[purpose] AS purpose, separate = 1 AS separate, notice,"
    " (CAST(:campaigns AS text[]))[campaign] AS campaign, at FROM incoming_consent) i"
    " WHERE NOT EXISTS (SELECT FROM consent_event e WHERE e.controller_id = :controller"
    " AND e.source = :source AND e.subject_id = i.subject_id AND e.purpose = i.purpose"
    " AND e.at = i.at)"
)
