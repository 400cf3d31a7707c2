"""Owners and stations in the store, and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from safehands.errors import KeyProblem, PolicyError
from safehands.keys import KeyProvider, KeyRing, WrappedKeys, new_wrapped_keys
from safehands.keys.provider import key_id
from safehands.stations import Controller, Register
from safehands.store.engine import Store, lock

__all__ = [
    "Owner",
    "check_epoch",
    "check_keys",
    "epoch_name",
    "open_ring",
    "owners",
    "register",
    "wrapped_keys",
]


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

    Raises ``KeyProblem`` when the root key is wrong or an epoch key is missing, wrong or too new.
    """
    known = owners(store).values()
    with store.begin() as connection:
        for owner in known:
            open_ring(connection, store.provider, owner)


def open_ring(
    connection: Connection, provider: KeyProvider, owner: Owner, epoch: int | None = None
) -> KeyRing:
    """Open the owner's keys in its newest epoch, or in ``epoch``, which may not be recorded yet.

    Raises ``KeyProblem`` when the root key is wrong or the epoch key is missing or wrong.
    """
    number, wanted = epoch, ""
    if number is None:
        number, wanted = connection.execute(text(_EPOCH), {"id": owner.id}).one()
    check_epoch(provider, owner.code, number, wanted)
    return KeyRing.open(provider, wrapped_keys(connection, owner), number)


def wrapped_keys(connection: Connection, owner: Owner, *, lock: bool = False) -> WrappedKeys:
    """Return the owner's keys as they lie in the store; ``lock``: nobody else changes them."""
    query = text(_KEYS + (" FOR UPDATE" if lock else ""))
    version, data, tombstone, suppression, tokens = connection.execute(
        query, {"id": owner.id}
    ).one()
    former = connection.execute(text(_FORMER), {"id": owner.id}).all()
    older = {int(row[0]): bytes(row[1]) for row in former}
    return WrappedKeys(owner.code, version, data, tombstone, suppression, tokens, older)


def check_epoch(provider: KeyProvider, code: str, number: int, wanted: str) -> None:
    """Raise ``KeyProblem`` unless the provider has the key of this epoch, and the right one.

    ``wanted`` is the key's id; empty for epochs that were opened before ids were recorded.
    """
    name = epoch_name(code, number)
    if not provider.has(name):
        newer = [n for n in provider.names(f"epoch/{code}") if int(n.rpartition("/")[2]) > number]
        if newer:
            raise KeyProblem("keys.newer_epoch", name=name, newer=newer[-1])
    found = key_id(provider.get(name))
    if wanted not in ("", found):
        raise KeyProblem("keys.wrong_epoch", name=name, wanted=wanted, found=found)


def epoch_name(code: str, number: int) -> str:
    """Return the name of an epoch key in the provider."""
    return f"epoch/{code}/{number}"


def _register_one(
    connection: Connection, provider: KeyProvider, controller: Controller, today: date
) -> None:
    number = _upsert_controller(connection, controller)
    for dataset, record_set in controller.record_sets.items():
        values = {"id": number, "dataset": dataset, **record_set.model_dump()}
        connection.execute(text(_RECORD_SET), values)
    for station in controller.stations:
        values = {
            "id": number,
            "code": station.code,
            "name": station.name,
            "full": ",".join(sorted(station.full_exports)),
        }
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
    connection: Connection, provider: KeyProvider, code: str, number: int, today: date
) -> None:
    known = text("SELECT 1 FROM controller_key WHERE controller_id = :id")
    if connection.execute(known, {"id": number}).first() is not None:
        return
    _check_wrapping(connection, provider)
    # The epoch key is kept before the row that names it: a key without a row is harmless, a row
    # without a key would be a store that nobody opens.
    epoch_key = provider.create(epoch_name(code, 1))
    keys = new_wrapped_keys(provider, code)
    values = {"id": number, "v": 1, "d": keys.data, "t": keys.tombstone, "s": keys.suppression}
    connection.execute(text(_NEW_KEYS), values)
    first = {"id": number, "today": today, "key": key_id(epoch_key)}
    connection.execute(text(_FIRST_EPOCH), first)


def _check_wrapping(connection: Connection, provider: KeyProvider) -> None:
    """Refuse to wrap by a root key that a rotation has just replaced: nobody could unwrap it."""
    wanted = connection.execute(text("SELECT root_id FROM installation")).scalar_one()
    if provider.key_id != wanted:
        raise KeyProblem("keys.other_root", wanted=str(wanted), found=provider.key_id)


_KEYS = (
    "SELECT data_version, data, tombstone, suppression, tokens FROM controller_key"
    " WHERE controller_id = :id"
)
_FORMER = "SELECT version, data FROM former_key WHERE controller_id = :id ORDER BY version"
_EPOCH = "SELECT number, key_id FROM epoch WHERE controller_id = :id ORDER BY number DESC LIMIT 1"
_NEW_KEYS = (
    "INSERT INTO controller_key (controller_id, data_version, data, tombstone, suppression)"
    " VALUES (:id, :v, :d, :t, :s)"
)
_FIRST_EPOCH = (
    "INSERT INTO epoch (controller_id, number, opened, key_id) VALUES (:id, 1, :today, :key)"
)


_CONTROLLER = "INSERT INTO controller (code, name, kind) VALUES (:code, :name, :kind) RETURNING id"
_RECORD_SET = (
    "INSERT INTO record_set AS r (controller_id, dataset, role, by_whom)"
    " VALUES (:id, :dataset, :role, :by) ON CONFLICT (controller_id, dataset)"
    " DO UPDATE SET role = excluded.role, by_whom = excluded.by_whom"
    " WHERE (r.role, r.by_whom) <> (excluded.role, excluded.by_whom)"
)
_STATION = (
    "INSERT INTO station AS s (controller_id, code, name, full_exports)"
    " VALUES (:id, :code, :name, :full)"
    " ON CONFLICT (code) DO UPDATE SET name = excluded.name, full_exports = excluded.full_exports"
    " WHERE (s.name, s.full_exports) <> (excluded.name, excluded.full_exports)"
    " AND s.controller_id = excluded.controller_id"
)
