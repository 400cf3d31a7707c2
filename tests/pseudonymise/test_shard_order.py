"""Whichever shard of a night is loaded first, the store holds the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.night import Night
from safehands.purge import purge
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.vault.correct import correct

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ARRIVED, OLD = at(2026, 11, 20), at(2026, 9, 1)
Load = dict[str, Any]
"""What one shard holds: the arguments of ``World.load``."""


class Worlds:
    """One store that is emptied for each order of shards."""

    def __init__(self, store: Store, night: Night) -> None:
        self.store, self.night, self.made = store, night, 0

    def digest(self, loads: Iterable[Load], before: Sequence[Load] = (), fix: str = "") -> str:
        """Load ``before`` a week earlier, correct the name to ``fix``, load the shards tonight."""
        self.made += 1
        with self.store.admin().begin() as connection:
            connection.execute(text(f"TRUNCATE {_FILLED} CASCADE"))
        world = World(self.store, replace(self.night, run=f"run-{self.made}"), NOW)
        earlier = world.on(BUSINESS_DATE - 7 * DAY)
        for load in before:
            earlier.load(**load)
        if fix:
            _correct(world, fix)
        for load in loads:
            world.load(**load)
        return store_digest(self.store)


_FILLED = "subject, parcel, custody, preference, quarantine, batch, effect, correction, listing"


def _correct(world: World, name: str) -> None:
    subject = world.people()[0]["subject_id"]
    place = (world.store, world.night.policy, world.access(), NOW - 3 * DAY)
    assert correct(*place, subject=subject, field="name", value=name)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


@pytest.fixture
def worlds(store: Store, night: Night) -> Worlds:
    return Worlds(store, night)


def shard(station: str, parcels: Sequence[Any] = (), **lists: Any) -> Load:
    return {"parcels": parcels, "stations": [station], **lists}


SAME_TIME = at(2026, 11, 20, 18)
CASES: dict[str, list[Load]] = {
    "an older sighting without an address after a newer one": [
        shard("A1", [parcel("W1", ARRIVED)]),
        shard("A2", [collected("W2", ARRIVED - DAY, receiver_address="科技路1号")]),
    ],
    "an older sighting widens the span": [
        shard("A1", [parcel("W1", ARRIVED)]),
        shard("A2", [collected("W2", ARRIVED - 30 * DAY)]),
    ],
    "a later row that names nobody, an older name": [
        shard("A1", [parcel("W1", ARRIVED, receiver_name="张大伟")]),
        shard(
            "A2",
            [
                collected("W2", ARRIVED - DAY),
                parcel("W3", ARRIVED + DAY, receiver_name=None),
            ],
        ),
    ],
    "two names at one moment": [
        shard("A1", [parcel("W1", ARRIVED)]),
        shard("A2", [parcel("W2", ARRIVED, receiver_name="张大伟")]),
    ],
    "two undated lists that disagree": [
        shard("A1", customers=[customer(None, receiver_address="科技路1号")]),
        shard("A2", customers=[customer(None, receiver_address="科技路2号")]),
    ],
    "an undated list and a parcel of the evening": [
        shard("A1", [parcel("W1", ARRIVED, receiver_address="科技路1号")]),
        shard("A2", customers=[customer(None, receiver_address="科技路2号")]),
    ],
    "two choices at one moment": [
        shard("A1", preferences=[preference(SAME_TIME, notify_channel=2, marketing=1)]),
        shard("A2", preferences=[preference(SAME_TIME, notify_channel=2, marketing=0)]),
    ],
    "two undated choices": [
        shard("A1", preferences=[preference(None, notify_channel=2)]),
        shard("A2", preferences=[preference(None, notify_channel=3)]),
    ],
    "one parcel at two stations at one moment": [
        shard("A1", [parcel("W1", ARRIVED, shelf="B1")]),
        shard("A2", [parcel("W1", ARRIVED, shelf="C1")]),
    ],
    "one parcel of two numbers at one moment": [
        shard("A1", [parcel("W1", ARRIVED)]),
        shard("A1", [parcel("W1", ARRIVED, receiver_phone="13900000002")]),
    ],
    "one masked at once, one still needed": [
        shard("A1", [collected("W1", OLD + HOUR, receiver_name="张大伟")]),
        shard("A2", [parcel("W2", OLD, receiver_address="科技路1号")]),
    ],
    "two holders of a number, each in a shard": [
        shard("A1", [collected("W1", at(2026, 1, 5), receiver_name="李娜")]),
        shard("A2", [parcel("W2", ARRIVED)]),
    ],
}
BEFORE = shard(
    "A1",
    [collected("K1", at(2026, 11, 10), receiver_name="张小伟")],
    customers=[customer(None, receiver_name="张小伟", receiver_address="科技路2号")],
    preferences=[preference(None)],
)


@pytest.mark.parametrize("loads", CASES.values(), ids=CASES)
@pytest.mark.parametrize("before", [[], [BEFORE]], ids=["a first night", "a known person"])
def test_two_shards_of_a_night_in_either_order(
    worlds: Worlds, loads: list[Load], before: list[Load]
) -> None:
    assert worlds.digest(loads, before) == worlds.digest(loads[::-1], before)


def test_the_order_of_nights_is_no_order_of_shards(worlds: Worlds) -> None:
    """What differs is seen: a comparison that is always equal would prove nothing."""
    first, second = CASES["two undated lists that disagree"]
    assert worlds.digest([second], [first]) != worlds.digest([first], [second])


def test_a_correction_stands_whichever_shard_is_loaded_first(worlds: Worlds) -> None:
    loads = [
        shard("A1", [parcel("W1", ARRIVED - DAY, receiver_name="张小伟")]),
        shard("A2", [parcel("W2", NOW - DAY, receiver_name="张大伟")]),
        shard("A2", customers=[customer(None, receiver_name="张中伟")]),
    ]
    digests = {worlds.digest(order, [BEFORE], "章伟") for order in permutations(loads)}
    assert len(digests) == 1


# Any shards of one night, within one holder's silence.

PHONES = [PHONE, *(f"1390000000{digit}" for digit in range(6))]
MOMENTS = st.sampled_from([at(2026, 11, day, hour) for day in (1, 19, 20, 22) for hour in (0, 9)])
LONG_AGO = st.sampled_from([at(2026, 9, 1), at(2026, 9, 2)])
NAMES = st.sampled_from([None, "张伟", "张大伟", "李娜", "张*"])
ADDRESSES = st.sampled_from([None, "科技路1号", "科技路2号", "深南大道100号"])
ROW = {
    "receiver_phone": st.sampled_from(PHONES),
    "receiver_name": NAMES,
    "receiver_address": ADDRESSES,
}
PARCELS = st.fixed_dictionaries(
    {
        **ROW,
        "waybill_no": st.sampled_from([f"W{i}" for i in range(12)]),
        "arrived_at": MOMENTS | LONG_AGO,
        "status": st.sampled_from([1, 2, 4]),
        "carrier": st.just(1),
    }
)
CUSTOMERS = st.fixed_dictionaries({**ROW, "updated_at": st.none() | MOMENTS})
PREFERENCES = st.fixed_dictionaries(
    {
        "receiver_phone": st.sampled_from(PHONES),
        "notify_channel": st.sampled_from([1, 2]),
        "marketing": st.sampled_from([-1, 0, 1]),
        "updated_at": st.none() | MOMENTS,
    }
)


def _parcel(row: dict[str, Any]) -> dict[str, Any]:
    arrived, status = row["arrived_at"], row["status"]
    end = arrived + HOUR if status == 2 else None
    # Two stations differ in what they know of a parcel, not in which shelf of theirs it lies on.
    return parcel(row["waybill_no"], arrived, **{**row, "collected_at": end})


SHARDS = st.lists(
    st.fixed_dictionaries(
        {
            "parcels": st.lists(PARCELS.map(_parcel), max_size=8),
            "customers": st.lists(CUSTOMERS.map(lambda row: {**customer(None), **row}), max_size=5),
            "preferences": st.lists(
                PREFERENCES.map(lambda row: {**preference(None), **row}), max_size=5
            ),
            "stations": st.sampled_from([["A1"], ["A2"]]),
        }
    ),
    min_size=2,
    max_size=4,
)


@settings(
    max_examples=12,
    deadline=None,
    # Each try loads a store: shrinking would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(SHARDS, st.booleans(), st.randoms(use_true_random=False))
def test_any_order_of_shards_gives_one_digest(
    worlds: Worlds, loads: list[Load], known: bool, random: Any
) -> None:
    shuffled = list(loads)
    random.shuffle(shuffled)
    before = [BEFORE] if known else []
    digests = {worlds.digest(order, before) for order in (loads, loads[::-1], shuffled)}
    assert len(digests) == 1


def test_what_a_night_kept_of_the_night_before_goes_with_its_purge(world: World) -> None:
    earlier = world.on(BUSINESS_DATE - 7 * DAY)
    earlier.load(**BEFORE)
    world.load(**shard("A2", [parcel("W1", ARRIVED)], preferences=[preference(ARRIVED)]))
    world.load(**shard("A1", [parcel("W2", ARRIVED, receiver_name="张大伟")]))
    kept = "SELECT before FROM subject UNION ALL SELECT before::bytea FROM preference"
    assert [bool(row["before"]) for row in world.rows(kept)] == [True, True]
    purge(world.night, world.store, NOW, confirmed=BUSINESS_DATE)
    assert [bool(row["before"]) for row in world.rows(kept)] == [False, False]
