"""Two stores with the same content have one digest; any difference in content is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from minimised import World, at, collected, customer, parcel, preference
from nights import NOW
from safehands.keys import FileProvider
from safehands.night import Night
from safehands.store import Store
from safehands.store.digest import store_digest

ARRIVED = at(2026, 11, 20)
OTHER = "13900000002"
SET_ASIDE = {"_sheet": "", "_row": 2, "dataset": "d", "rule": "r", "column": "c", "payload": "p"}


@pytest.fixture
def make(
    cluster: Any, night: Night, provider: FileProvider, tmp_path: Path
) -> Iterator[Callable[[], World]]:
    """A function that makes empty worlds with the same root key and keys of their own."""
    stores: list[Store] = []

    def made() -> World:
        number = len(stores)
        keys = FileProvider(tmp_path / f"keys{number}", tmp_path / f"second{number}")
        keys.create("root", provider.get("root"))
        stores.append(Store(cluster.clone(), keys))
        return World(stores[-1], replace(night, run=f"run-{number}"), NOW)

    yield made
    for store in stores:
        store.close()


ROWS = [
    parcel("W1", ARRIVED),
    collected("W2", ARRIVED, receiver_phone=OTHER, _file=1),
    parcel("W3", ARRIVED, receiver_phone=None),
]


def filled(world: World) -> World:
    world.load(
        ROWS,
        stations=["A1", "A2"],
        customers=[customer(ARRIVED, receiver_address="科技路1号")],
        preferences=[preference(ARRIVED)],
        quarantine=[SET_ASIDE],
    )
    return world


def test_empty_stores_with_one_root_key_are_alike(make: Callable[[], World]) -> None:
    assert store_digest(make().store) == store_digest(make().store)


def test_keys_ids_runs_and_the_order_of_rows_make_no_difference(
    make: Callable[[], World],
) -> None:
    first, second = filled(make()), make()
    second.load([collected("X", ARRIVED)], stations=["B1"])
    with second.store.begin(controller=second.owner("B").id) as connection:
        for table in ("parcel", "subject"):
            connection.execute(text(f"DELETE FROM {table}"))
    second.made.clear()
    second.load(
        ROWS[::-1],
        stations=["A1", "A2"],
        customers=[customer(ARRIVED, receiver_address="科技路1号")],
        preferences=[preference(ARRIVED)],
        quarantine=[SET_ASIDE],
    )
    assert [p["subject_id"] for p in first.people()] != [p["subject_id"] for p in second.people()]
    assert store_digest(first.store) == store_digest(second.store)


def test_the_digest_is_keyed_by_the_root(make: Callable[[], World], tmp_path: Path) -> None:
    world = make()
    before = store_digest(world.store)
    other = FileProvider(tmp_path / "other", tmp_path / "other2")
    other.create("root")
    world.store.provider = other
    with world.store.admin().begin() as connection:
        for table in ("epoch", "controller_key", "station", "record_set", "controller"):
            connection.execute(text(f"DELETE FROM {table}"))
    assert store_digest(world.store) != before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE parcel SET status = 4 WHERE collected_at IS NULL AND subject_id IS NULL",
        "UPDATE parcel SET collected_at = collected_at + interval '1 microsecond'",
        "UPDATE parcel SET collected_at = NULL",
        "UPDATE parcel SET district = 440304 WHERE subject_id IS NULL",
        "UPDATE parcel SET tags = 1 WHERE subject_id IS NULL",
        "UPDATE parcel SET weight_band = 0 WHERE subject_id IS NULL",
        "UPDATE parcel SET carrier = 2 WHERE subject_id IS NULL",
        "UPDATE parcel SET subject_id = NULL WHERE collected_at IS NOT NULL",
        "UPDATE parcel SET station_id = 3 - station_id",
        "DELETE FROM parcel WHERE subject_id IS NULL",
        "DELETE FROM custody WHERE subject_id IS NULL",
        "UPDATE preference SET marketing = 1",
        "UPDATE preference SET updated_at = updated_at + interval '1 second'",
        "DELETE FROM preference",
        "UPDATE subject SET detail = 1",
        "UPDATE subject SET restricted = true",
        "UPDATE subject SET last_seen = last_seen + interval '1 second'",
        "INSERT INTO tombstone VALUES (1, gen_random_uuid(), now(), 'request')",
        "UPDATE quarantine SET row_number = 3",
        "DELETE FROM quarantine",
        "UPDATE station SET code = 'A3' WHERE code = 'A2'",
    ],
)
def test_each_difference_in_content_is_seen(make: Callable[[], World], change: str) -> None:
    world = filled(make())
    before = store_digest(world.store)
    assert store_digest(world.store) == before
    with world.store.admin().begin() as connection:
        assert connection.execute(text(change)).rowcount > 0
    assert store_digest(world.store) != before


def test_a_changed_name_or_slip_is_seen(make: Callable[[], World]) -> None:
    digests = set()
    for row in (
        ROWS[0],
        {**ROWS[0], "receiver_name": "李娜"},
        {**ROWS[0], "shelf": "B2"},
        {**ROWS[0], "waybill_no": "W9"},
        {**ROWS[0], "receiver_address": "x"},
    ):
        world = make()
        world.load([row])
        digests.add(store_digest(world.store))
    assert len(digests) == 5
