"""Owners and stations in the store, and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from safehands.errors import PolicyError
from safehands.keys import FileProvider, KeyRing, WrappedKeys, new_wrapped_keys
from safehands.stations import Controller, Register
from safehands.store.engine import Store, lock

__all__ = ["Owner", "check_keys", "open_ring", "owners", "register"]


@dataclass(frozen=True)
class Owner:
    """A controller as the store knows it: its id and its stations' ids by code."""

    id: int
    code: str
    name: str
    stations: dict[str, int]


def register(store: Store, declared: Register, today: date) -> None:
    """Write owners, stations and roles; make keys and the first epoch for a new owner.

    Raises ``PolicyError``, and writes nothing, when a station belongs to another owner already.
    """
    with store.begin() as connection:
        lock(connection, "safehands.register")
        for controller in declared.controllers:
            _register_one(connection, store.provider, controller, today)


def owners(store: Store) -> dict[str, Owner]:
    """Return all owners by code."""
    query = (
        "SELECT c.id, c.code, c.name, s.code, s.id FROM controller c"
        " LEFT JOIN station s ON s.controller_id = c.id ORDER BY c.id, s.id"
    )
    found: dict[str, Owner] = {}
    with store.begin() as connection:
        for number, code, name, station, station_id in connection.execute(text(query)):
            owner = found.setdefault(code, Owner(number, code, name, {}))
            if station is not None:
                owner.stations[station] = station_id
    return found


def check_keys(store: Store) -> None:
    """Open the keys of every owner, and write nothing.

    Raises ``KeyProblem`` when the root key is wrong or an epoch key is missing.
    """
    known = owners(store).values()
    with store.begin() as connection:
        for owner in known:
            open_ring(connection, store.provider, owner)


def open_ring(connection: Connection, provider: FileProvider, owner: Owner) -> KeyRing:
    """Open the owner's keys in its newest epoch.

    Raises ``KeyProblem`` when the root key is wrong or the epoch key is missing.
    """
    query = text(
        "SELECT k.data_version, k.data, k.tombstone, k.suppression,"
        " (SELECT max(number) FROM epoch e WHERE e.controller_id = k.controller_id)"
        " FROM controller_key k WHERE k.controller_id = :id"
    )
    version, data, tombstone, suppression, epoch = connection.execute(query, {"id": owner.id}).one()
    wrapped = WrappedKeys(owner.code, version, data, tombstone, suppression)
    return KeyRing.open(provider, wrapped, epoch)


def _register_one(
    connection: Connection, provider: FileProvider, controller: Controller, today: date
) -> None:
    number = _upsert_controller(connection, controller)
    for dataset, record_set in controller.record_sets.items():
        values = {"id": number, "dataset": dataset, **record_set.model_dump()}
        connection.execute(text(_RECORD_SET), values)
    for station in controller.stations:
        values = {"id": number, "code": station.code, "name": station.name}
        connection.execute(text(_STATION), values)
        _check_station(connection, number, controller.code, station.code)
    _make_keys(connection, provider, controller.code, number, today)


def _check_station(connection: Connection, number: int, owner: str, station: str) -> None:
    query = text("SELECT controller_id FROM station WHERE code = :code")
    if connection.execute(query, {"code": station}).scalar_one() != number:
        raise PolicyError("policy.station_of_another", station=station, owner=owner)


def _upsert_controller(connection: Connection, controller: Controller) -> int:
    values = {"code": controller.code, "name": controller.name, "kind": controller.kind}
    known = text("SELECT id FROM controller WHERE code = :code")
    found = connection.execute(known, values).scalar()
    if found is None:
        return int(connection.execute(text(_CONTROLLER), values).scalar_one())
    change = "UPDATE controller SET name = :name, kind = :kind WHERE code = :code"
    connection.execute(text(change + " AND (name, kind) <> (:name, :kind)"), values)
    return int(found)


def _make_keys(
    connection: Connection, provider: FileProvider, code: str, number: int, today: date
) -> None:
    known = text("SELECT 1 FROM controller_key WHERE controller_id = :id")
    if connection.execute(known, {"id": number}).first() is not None:
        return
    # The epoch key is kept before the row that names it: a key without a row is harmless, a row
    # without a key would be a store that nobody opens.
    provider.create(f"epoch/{code}/1")
    keys = new_wrapped_keys(provider, code)
    values = {"id": number, "v": 1, "d": keys.data, "t": keys.tombstone, "s": keys.suppression}
    insert = "INSERT INTO controller_key VALUES (:id, :v, :d, :t, :s)"
    connection.execute(text(insert), values)
    epoch = "INSERT INTO epoch (controller_id, number, opened) VALUES (:id, 1, :today)"
    connection.execute(text(epoch), {"id": number, "today": today})


_CONTROLLER = "INSERT INTO controller (code, name, kind) VALUES (:code, :name, :kind) RETURNING id"
_RECORD_SET = (
    "INSERT INTO record_set AS r (controller_id, dataset, role, by_whom)"
    " VALUES (:id, :dataset, :role, :by) ON CONFLICT (controller_id, dataset)"
    " DO UPDATE SET role = excluded.role, by_whom = excluded.by_whom"
    " WHERE (r.role, r.by_whom) <> (excluded.role, excluded.by_whom)"
)
_STATION = (
    "INSERT INTO station AS s (controller_id, code, name) VALUES (:id, :code, :name)"
    " ON CONFLICT (code) DO UPDATE SET name = excluded.name"
    " WHERE s.name <> excluded.name AND s.controller_id = excluded.controller_id"
)
