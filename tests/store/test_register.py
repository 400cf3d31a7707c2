"""Owners, stations and roles in the store, and the keys that are made with them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from minimised import declared
from nights import BUSINESS_DATE
from safehands.errors import KeyProblem, PolicyError
from safehands.stations import Register
from safehands.store import Store
from safehands.store.register import check_keys, open_ring, owners, register


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with store.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def changed(controller: dict[str, Any], station: dict[str, Any]) -> Register:
    first, *others = declared().controllers
    stations = (first.stations[0].model_copy(update=station), *first.stations[1:])
    edited = first.model_copy(update={**controller, "stations": stations})
    return Register(controllers=(edited, *others))


def test_what_is_declared_is_in_the_store(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    found = owners(store)
    assert {code: sorted(owner.stations) for code, owner in found.items()} == {
        "A": ["A1", "A2"],
        "B": ["B1"],
    }
    assert len({owner.id for owner in found.values()}) == 2
    roles = rows(store, "SELECT dataset, role, by_whom FROM record_set")
    assert len(roles) == 6
    assert rows(store, "SELECT number, opened FROM epoch") == [(1, BUSINESS_DATE)] * 2


def test_a_second_time_changes_nothing(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    tables = ("controller", "station", "record_set", "controller_key", "epoch")
    before = [rows(store, f"SELECT xmin::text, t.* FROM {t} t ORDER BY 2, 3") for t in tables]
    names = store.provider.names("epoch")
    register(store, declared(), BUSINESS_DATE)
    assert [
        rows(store, f"SELECT xmin::text, t.* FROM {t} t ORDER BY 2, 3") for t in tables
    ] == before
    assert store.provider.names("epoch") == names == ["epoch/A/1", "epoch/B/1"]


def test_a_new_name_kind_or_role_is_taken_and_ids_stay(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    before = owners(store)["A"]
    sets = {
        name: record.model_copy(update={"role": "entrusted", "by": "菜鸟"})
        for name, record in declared().controllers[0].record_sets.items()
    }
    register(
        store,
        changed({"name": "新名", "kind": "company", "record_sets": sets}, {"name": "新站"}),
        BUSINESS_DATE,
    )
    after = owners(store)["A"]
    assert (after.id, after.stations, after.name) == (before.id, before.stations, "新名")
    assert ("新站",) in rows(store, "SELECT name FROM station")
    assert rows(store, "SELECT DISTINCT role, by_whom FROM record_set WHERE controller_id = 1") == [
        ("entrusted", "菜鸟")
    ]


def test_each_owner_has_keys_of_its_own(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    found = owners(store)
    with store.begin() as connection:
        rings = [open_ring(connection, store.provider, found[code]) for code in "AB"]
    first, second = (ring.lookups("mobile", ["13800000001"]).tolist() for ring in rings)
    assert first != second
    check_keys(store)


@pytest.mark.parametrize("name", ["epoch/A/1", "root"])
def test_a_missing_key_is_named_and_nothing_is_made_instead(store: Store, name: str) -> None:
    register(store, declared(), BUSINESS_DATE)
    found = owners(store)
    with store.begin() as connection:
        store.provider.destroy(name)
        with pytest.raises(KeyProblem):
            open_ring(connection, store.provider, found["A"])
    assert not store.provider.has(name)


def test_a_new_epoch_is_opened_with_its_own_key(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    owner = owners(store)["A"]
    store.provider.create("epoch/A/2")
    with store.begin() as connection:
        old = open_ring(connection, store.provider, owner)
        insert = "INSERT INTO epoch VALUES (:id, 2, :day)"
        connection.execute(text(insert), {"id": owner.id, "day": BUSINESS_DATE})
        new = open_ring(connection, store.provider, owner)
    assert (old.epoch, new.epoch) == (1, 2)
    assert old.lookups("m", ["1"]).tolist() != new.lookups("m", ["1"]).tolist()


def test_a_station_that_moves_to_another_owner_is_refused(store: Store) -> None:
    register(store, declared(), BUSINESS_DATE)
    first, second = declared().controllers
    moved = Register(
        controllers=(
            first.model_copy(update={"stations": first.stations[:1]}),
            second.model_copy(update={"stations": (*second.stations, first.stations[1])}),
        )
    )
    with pytest.raises(PolicyError):
        register(store, moved, BUSINESS_DATE)
    assert sorted(owners(store)["A"].stations) == ["A1", "A2"]
