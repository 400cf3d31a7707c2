"""A correction keeps history and stands against what the source still exports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from minimised import PHONE, World, at, collected, customer, parcel
from nights import BUSINESS_DATE, NOW
from safehands.errors import AccessRefused
from safehands.night import Night
from safehands.purge import purge
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.vault.correct import correct

ARRIVED = at(2026, 11, 20)
DAY = timedelta(days=1)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    made.load([parcel("W1", ARRIVED, receiver_address="科技路1号")])
    return made


def record(world: World) -> dict[str, Any]:
    (person,) = world.people()
    return dict(person["record"])


def subject(world: World) -> UUID:
    found: UUID = world.people()[0]["subject_id"]
    return found


def put_right(world: World, field: str, value: str, purpose: str = "rights") -> bool:
    return correct(
        world.store,
        world.night.policy,
        world.access(purpose),
        world.now,
        subject=subject(world),
        field=field,
        value=value,
    )


def test_history_says_who_when_which_field_and_what_it_was(world: World) -> None:
    before = store_digest(world.store)
    assert put_right(world, "name", "张玮")
    (entry,) = record(world)["history"]
    assert (entry["field"], entry["by"], entry["was"]) == ("name", "wang.li", "张伟")
    assert entry["at"] == int(NOW.timestamp()) * 1_000_000
    assert record(world)["name"] == "张玮"
    assert store_digest(world.store) != before


def test_the_old_value_is_at_rest_only_sealed(world: World) -> None:
    put_right(world, "name", "张玮")
    with world.store.begin("safehands_backup") as connection:
        for table in ("subject", "access_log", "ledger_entry"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
            assert not any("张" in row for row in rows)


def test_the_correction_is_logged_without_values_and_once(world: World) -> None:
    assert put_right(world, "name", "张玮")
    assert not put_right(world, "name", "张玮")
    rows = world.rows("SELECT action, fields, purpose, by_whom FROM access_log")
    assert rows == [
        {"action": "correct", "fields": "name", "purpose": "rights", "by_whom": "wang.li"}
    ]


@pytest.mark.parametrize("nights", [1, 5, 40])
def test_the_sources_old_value_does_not_come_back_with_any_later_night(
    world: World, nights: int
) -> None:
    put_right(world, "name", "张玮")
    put_right(world, "address", "科技路2号")
    later = world.on(BUSINESS_DATE + nights * DAY)
    seen = ARRIVED + (nights + 3) * DAY
    later.load(
        [parcel("W2", seen, receiver_address="科技路1号")],
        customers=[customer(None, receiver_address="科技路1号")],
    )
    assert (record(world)["name"], record(world)["address"]) == ("张玮", "科技路2号")
    assert len(world.parcels()) == 2


def test_a_value_seen_before_the_correction_does_not_replace_it(world: World) -> None:
    put_right(world, "name", "张玮")
    world.load([parcel("W2", ARRIVED + DAY, receiver_name="张大伟")])
    assert record(world)["name"] == "张玮"


def test_a_real_change_after_the_correction_does(world: World) -> None:
    put_right(world, "name", "张玮")
    later = world.on(BUSINESS_DATE + 5 * DAY)
    later.load([parcel("W2", NOW + DAY, receiver_name="张大伟")])
    assert record(world)["name"] == "张大伟"
    assert len(record(world)["history"]) == 1


def test_a_corrected_person_stays_one_person_after_a_long_silence(world: World) -> None:
    put_right(world, "name", "李静")
    later = ARRIVED + 200 * DAY
    world.on(later.date()).load([collected("W2", later, receiver_name="张伟")])
    assert len(world.people()) == 1
    assert record(world)["name"] == "李静"


def test_after_masking_nothing_full_is_left_and_the_old_value_stays_away(world: World) -> None:
    world.load([collected("W1", ARRIVED, receiver_address="科技路1号")])
    put_right(world, "name", "李静")
    later = world.on(BUSINESS_DATE + 60 * DAY)
    counts = purge(later.night, later.store, later.now, later.night.business_date).counts
    assert counts["contact_detail"] == 1
    assert (record(world)["name"], record(world)["history"][0]["was"]) == ("李**", "张**")
    seen = ARRIVED + 61 * DAY
    later.load([collected("W2", seen)])
    assert record(world)["name"] == "李**"


def test_what_cannot_be_corrected_is_refused_with_a_reason(world: World) -> None:
    who = subject(world)
    for field, value, purpose, key in (
        ("phone", "13900000002", "operations", "vault.field_not_covered"),
        ("phone", "1390000000", "rights", "vault.not_a_mobile"),
        ("detail", "zq9", "rights", "vault.not_correctable"),
        ("name", "  ", "rights", "vault.bad_value"),
        ("name", "长" * 201, "rights", "vault.bad_value"),
        ("name", "a\nb", "rights", "vault.bad_value"),
        ("name", "张玮", "operations", "vault.field_not_covered"),
        ("name", "张玮", "", "vault.unknown_purpose"),
    ):
        with pytest.raises(AccessRefused) as caught:
            put_right(world, field, value, purpose)
        assert caught.value.key == key
        assert value.strip() == "" or value not in str(caught.value)
    world.restrict(who)
    with pytest.raises(AccessRefused, match="correct"):
        put_right(world, "name", "张玮")
    with pytest.raises(AccessRefused):
        correct(
            world.store,
            world.night.policy,
            world.access(),
            NOW,
            subject=uuid4(),
            field="name",
            value="张玮",
        )
    assert record(world) == {"name": "张伟", "phone": PHONE, "address": "科技路1号"}
