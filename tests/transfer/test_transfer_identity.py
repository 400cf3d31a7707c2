"""Whatever class each person is in, the identity holds, before and after."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from transfer_world import PHONES, Deal, deal_of

from minimised import World, at, collected, parcel, preference
from nights import NOW
from safehands.handover.state import CLASSES
from safehands.night import Night
from safehands.store import Store
from safehands.transfer.papers import bring
from safehands.transfer.reconcile import held_by_class, totals

Person = tuple[str, int, bool, bool]


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    deal_of(made, Path("unused"))
    return made


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(
        st.tuples(st.sampled_from(CLASSES), st.integers(0, 4), st.booleans(), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    loose=st.integers(0, 3),
    number=st.integers(0, 10**9),
)
def test_held_is_the_sum_of_the_classes_and_each_row_is_in_one_place(
    world: World, tmp_path: Path, people: list[Person], loose: int, number: int
) -> None:
    _empty(world)
    deal = Deal(world, world, tmp_path / f"{number}-{len(people)}-{world.now.timestamp()}.age")
    deal.path.unlink(missing_ok=True)
    _load(world, people, loose)
    deal.approved({PHONES[n]: person[0] for n, person in enumerate(people)})
    # What is entrusted is deleted only once the handler has confirmed in writing.
    bring(
        world.store,
        world.owner(),
        deal.id,
        "handler_confirmation",
        "cd" * 32,
        world.night.business_date,
        "wang.li",
        world.now,
    )
    held = _census(world)
    made = deal.package()
    body = deal.receive()
    deal.accept()
    told = deal.reconcile()
    assert told["held"]["parcel"] == held["parcel"]
    assert told["held"]["custody"] == held["custody"]
    assert totals(told["classes"]) == told["held"]
    by_class = Counter(person[0] for person in people)
    assert told["classes"]["subject"] == dict(by_class)
    assert made.counts["person"] == by_class.get("transferred", 0)
    assert {t: sum(c.values()) for t, c in body["received"].items()} == made.counts
    for table in ("parcel", "custody"):
        assert told["classes"][table].get("transferred", 0) == made.counts[table]
    cut = deal.cut()
    owner = world.owner()
    with world.store.begin(controller=owner.id, storage=True) as connection:
        after = held_by_class(connection, deal.id, [owner.stations["A1"]])
    kept = {"kept_by_law", "restricted", "served_elsewhere"}
    assert set(after["subject"]) <= kept
    assert cut["erased"] + sum(after["subject"].values()) == len(people)
    assert not set(after["parcel"]) - kept
    assert not after["custody"].get("transferred")
    # What law keeps is stored only from now on, and is counted there to the row.
    before = told["classes"]["parcel"].get("kept_by_law", 0)
    assert after["parcel_held"] == ({"kept_by_law": before} if before else {})


def _load(world: World, people: list[Person], loose: int) -> None:
    rows: list[dict[str, Any]] = []
    wishes = []
    for n, (_, parcels, waits, wish) in enumerate(people):
        phone = PHONES[n]
        rows += [
            collected(f"P{n}-{i}", at(2026, 11, 1 + i), receiver_phone=phone)
            for i in range(parcels + 1)
        ]
        if waits:
            rows.append(parcel(f"WAIT-{n}", at(2026, 11, 20), receiver_phone=phone))
        if wish:
            wishes.append(preference(at(2026, 11, 2), receiver_phone=phone))
    nobody: dict[str, Any] = {"receiver_phone": None, "receiver_name": None}
    rows += [collected(f"LOOSE-{n}", at(2026, 11, 3), **nobody) for n in range(loose)]
    rows += [parcel(f"LW-{n}", at(2026, 11, 20), **nobody) for n in range(loose)]
    world.load(rows, **({"preferences": wishes} if wishes else {}))


def _census(world: World) -> dict[str, int]:
    return {
        table: int(world.rows(f"SELECT count(*) AS n FROM {table}", storage=True)[0]["n"])
        for table in ("parcel", "custody")
    }


def _empty(world: World) -> None:
    """Start each example with nobody: the same database, no row of people in it."""
    tables = "subject, parcel, parcel_held, custody, preference, tombstone, erasure, effect"
    more = ", handover_subject, handover_event, handover, batch, quarantine, restriction"
    with world.store.admin().begin() as connection:
        connection.execute(text(f"TRUNCATE {tables}{more} CASCADE"))
    world.made.clear()
