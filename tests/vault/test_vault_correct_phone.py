"""A corrected phone number: found by the new one, and the old one does not come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.erasure import erase_due, register
from safehands.erasure.epoch import turn_epoch
from safehands.errors import AccessRefused
from safehands.masking import mask_phone
from safehands.night import Night
from safehands.purge import purge as sweep
from safehands.store import Store
from safehands.vault.correct import correct
from safehands.vault.reveal import reveal

RIGHT = "13900000002"
THIRD = "13700000003"
ARRIVED = at(2026, 11, 20)
DAY = timedelta(days=1)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    made.load([parcel("W1", ARRIVED, receiver_address="科技路1号")])
    return made


def put_right(world: World, phone: str = RIGHT, subject: UUID | None = None) -> bool:
    who = subject or world.people()[0]["subject_id"]
    policy, access = world.night.policy, world.access()
    return correct(world.store, policy, access, world.now, subject=who, field="phone", value=phone)


def found(world: World, phone: str) -> UUID | None:
    lookup = UUID(bytes=world.ring().lookups("mobile", [phone]).tolist()[0])
    known = world.rows(f"SELECT FROM subject WHERE lookup = '{lookup}'")
    if not known:
        return None
    return reveal(world.store, world.night.policy, world.access(), NOW, phone=phone).subject


def names(world: World) -> dict[str, str]:
    """Return waybill by waybill, in order of arrival, whose parcels they are."""
    people = {row["subject_id"]: row["record"] for row in world.people()}
    return {
        str(row["arrived_at"].astimezone(ARRIVED.tzinfo).date()): people[row["subject_id"]]["phone"]
        for row in world.parcels()
    }


def test_the_person_is_found_by_the_new_number_alone(world: World) -> None:
    (before,) = world.people()
    assert put_right(world, " +86 139-0000-0002 ")
    (after,) = world.people()
    assert after["subject_id"] == before["subject_id"]
    assert after["record"]["phone"] == RIGHT
    assert after["record"]["history"][0]["was"] == PHONE
    assert (found(world, RIGHT), found(world, PHONE)) == (before["subject_id"], None)
    assert not put_right(world)
    assert world.rows("SELECT fields FROM access_log WHERE action = 'correct'") == [
        {"fields": "phone"}
    ]


@pytest.mark.parametrize("nights", [0, 1, 40])
def test_the_same_export_does_not_bring_the_old_number_back(world: World, nights: int) -> None:
    export = [parcel("W1", ARRIVED, receiver_address="科技路1号")]
    lists = {"customers": [customer(None)], "preferences": [preference(None)]}
    put_right(world)
    (person,) = world.people()
    later = world.on(BUSINESS_DATE + nights * DAY)
    counts = later.load(export, **lists)
    assert counts["corrected_before"] == 3
    assert counts["new_people"] == 0
    (after,) = world.people()
    assert (after["subject_id"], after["record"]["phone"]) == (person["subject_id"], RIGHT)
    assert after["last_seen"] == person["last_seen"]
    (choice,) = world.rows("SELECT subject_id FROM preference")
    assert choice["subject_id"] == person["subject_id"]


def test_the_software_may_go_on_with_the_wrong_number(world: World) -> None:
    put_right(world)
    counts = world.load([collected("W2", NOW + DAY), parcel("W3", NOW + 2 * DAY)])
    assert (counts["corrected_before"], counts["new_people"]) == (2, 0)
    (person,) = world.people()
    assert person["record"]["phone"] == RIGHT
    assert len(world.parcels()) == 3
    # Both numbers in one export, the right one last: still one person.
    world.load([parcel("W4", NOW + 3 * DAY), parcel("W5", NOW + DAY, receiver_phone=RIGHT)])
    (person,) = world.people()
    assert person["record"]["phone"] == RIGHT
    assert person["last_seen"] == NOW + 3 * DAY


def test_a_stranger_with_the_old_number_stays_a_stranger(world: World) -> None:
    put_right(world)
    world.load([parcel("W2", NOW + DAY, receiver_name="王芳")])
    mine, other = sorted(world.people(), key=lambda row: str(row["record"]["name"]))
    assert {mine["record"]["phone"], other["record"]["phone"]} == {RIGHT, PHONE}
    # From now on rows without a name are the stranger's; those with one whose name it is.
    world.load(
        [parcel("W3", NOW + 2 * DAY, receiver_name=None), parcel("W4", NOW + 3 * DAY)],
        preferences=[preference(NOW + 3 * DAY)],
    )
    assert list(names(world).values()) == [RIGHT, PHONE, PHONE, RIGHT]
    stranger = next(r["subject_id"] for r in world.people() if r["record"]["phone"] == PHONE)
    assert world.rows("SELECT subject_id FROM preference") == [{"subject_id": stranger}]


def test_a_later_row_that_names_nobody_proves_nothing(world: World) -> None:
    put_right(world)
    counts = world.load([parcel("W2", NOW + DAY, receiver_name=None)])
    assert counts["new_people"] == 1


def test_a_known_parcel_stays_whose_it_is_whatever_name_it_shows(world: World) -> None:
    put_right(world)
    counts = world.load([collected("W1", ARRIVED, receiver_name="王芳")])
    assert (counts["corrected_before"], counts["new_people"], counts["changed"]) == (1, 0, 1)


def test_a_masked_name_is_no_proof_once_the_record_is_masked(world: World) -> None:
    world.load([collected("W1", ARRIVED)])
    later = world.on(BUSINESS_DATE + 60 * DAY)
    sweep(later.night, later.store, later.now, confirmed=later.night.business_date)
    assert put_right(later)
    (person,) = later.people()
    assert person["record"]["phone"] == mask_phone(RIGHT)
    assert PHONE not in str(person["record"])
    assert found(later, RIGHT) == person["subject_id"]
    counts = later.load([parcel("W2", later.now + DAY, receiver_name="张娜")])
    assert counts["new_people"] == 1


def test_a_number_that_leads_to_somebody_else_is_refused(world: World) -> None:
    world.load([parcel("W2", ARRIVED, receiver_phone=RIGHT, receiver_name="王芳")])
    before = world.people()
    who = next(row["subject_id"] for row in before if row["record"]["phone"] == PHONE)
    with pytest.raises(AccessRefused) as refused:
        put_right(world, RIGHT, who)
    assert refused.value.key == "vault.number_taken"
    assert RIGHT not in str(refused.value)
    assert world.people() == before
    # Also where the other is restricted, whom the officer can't see.
    world.restrict(next(row["subject_id"] for row in before if row["subject_id"] != who))
    with pytest.raises(AccessRefused, match="leads to another"):
        put_right(world, RIGHT, who)
    assert world.rows("SELECT * FROM correction") == []


@pytest.mark.parametrize("value", ["1390000000", "139000000021", "23900000002", "", "张伟"])
def test_only_a_mobile_number_is_taken(world: World, value: str) -> None:
    with pytest.raises(AccessRefused):
        put_right(world, value)
    assert world.people()[0]["record"]["phone"] == PHONE


def test_corrected_twice_and_back(world: World) -> None:
    put_right(world)
    put_right(world, THIRD)
    assert (
        world.load([parcel("W2", NOW), parcel("W3", NOW, receiver_phone=RIGHT)])["new_people"] == 0
    )
    assert put_right(world, PHONE)
    assert len(world.rows("SELECT * FROM correction")) == 2
    assert (
        world.load([parcel("W4", NOW), parcel("W5", NOW, receiver_phone=THIRD)])["new_people"] == 0
    )
    (person,) = world.people()
    assert person["record"]["phone"] == PHONE
    assert [entry["was"] for entry in person["record"]["history"]] == [PHONE, RIGHT, THIRD]


def test_one_wrong_number_for_two_people(world: World) -> None:
    put_right(world)
    world.load([parcel("W2", NOW, receiver_name="王芳")])
    second = next(r["subject_id"] for r in world.people() if r["record"]["name"] == "王芳")
    put_right(world, THIRD, second)
    world.load([parcel("W3", NOW + DAY), parcel("W4", NOW + 2 * DAY, receiver_name="王芳")])
    assert list(names(world).values()) == [RIGHT, THIRD, RIGHT, THIRD]
    assert world.load([], customers=[customer(None, receiver_name=None)])["new_people"] == 1


def test_nothing_in_clear_leads_from_the_old_number_to_the_person(world: World) -> None:
    put_right(world)
    ring = world.ring()
    tokens = [ring.tombstones("mobile", [PHONE]), ring.lookups("mobile", [PHONE])]
    with world.store.begin("safehands_backup") as connection:
        (row,) = connection.execute(text("SELECT t::text FROM correction t")).scalars()
    assert PHONE not in row
    assert not any(token.tolist()[0].hex() in row.replace("-", "") for token in tokens)


def erase(world: World) -> None:
    (person,) = world.people()
    owner, day = world.owner(), world.night.business_date
    register(world.store, owner, "E-1", [person["subject_id"]], "withdrawn", NOW)
    erase_due(world.store, owner, world.night.policy, world.night.run, day, NOW)


def test_who_is_erased_comes_back_under_neither_number(world: World) -> None:
    put_right(world)
    erase(world)
    assert world.rows("SELECT * FROM correction") == []
    export: Any = [parcel("W1", ARRIVED), parcel("W2", ARRIVED, receiver_phone=RIGHT)]
    counts = world.on(BUSINESS_DATE + DAY).load(
        export, customers=[customer(NOW + DAY)], preferences=[preference(NOW + DAY)]
    )
    assert (counts["erased_before"], counts["new_people"]) == (4, 0)
    assert world.people() == []


def test_who_is_restricted_stays_out_under_both_numbers(world: World) -> None:
    put_right(world)
    world.restrict(world.people()[0]["subject_id"])
    counts = world.load([parcel("W2", ARRIVED), parcel("W3", ARRIVED, receiver_phone=RIGHT)])
    assert (counts["restricted_before"], counts["new_people"]) == (2, 0)


def test_who_goes_because_time_is_over_leaves_a_tombstone_for_both(world: World) -> None:
    world.load([collected("W1", ARRIVED)])
    put_right(world)
    later = world.on(BUSINESS_DATE + 1200 * DAY)
    day = later.night.business_date
    sweep(later.night, later.store, later.now, confirmed=day)
    assert world.people() == []
    assert len(world.rows("SELECT * FROM tombstone")) == 2


def test_a_new_epoch_knows_the_corrections(world: World) -> None:
    put_right(world)
    owner, day = world.owner(), world.night.business_date
    turn_epoch(world.store, owner, world.night.run, day, NOW, asked=True)
    assert world.load([parcel("W2", NOW)])["corrected_before"] == 1
    assert world.rows("SELECT epoch FROM correction") == [{"epoch": 2}]
    assert found(world, RIGHT) is not None


ROWS = st.lists(
    st.tuples(
        st.sampled_from([PHONE, RIGHT, THIRD]),
        st.sampled_from(["张伟", "王芳", None]),
        st.integers(-10, 10),
    ),
    max_size=6,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_nobody_is_ever_joined_with_somebody_of_another_name(
    store: Store, night: Night, rows: list[tuple[str, str | None, int]]
) -> None:
    with store.begin("safehands_owner") as connection:
        connection.execute(text("TRUNCATE subject, parcel, effect, batch CASCADE"))
    world = World(store, night, NOW)
    world.load([parcel("W1", ARRIVED)])
    put_right(world)
    (mine,) = (row["subject_id"] for row in world.people())
    world.load(
        [
            parcel(f"V{i}", NOW + day * DAY, receiver_phone=phone, receiver_name=name)
            for i, (phone, name, day) in enumerate(rows)
        ]
    )
    shown = [(phone, name) for phone, name, _ in rows]
    numbers = pa.chunked_array([[f"V{i}" for i in range(len(rows))]], pa.string())
    tokens = world.ring().waybills(np.ones(len(rows), dtype=np.int16), numbers).tolist()
    whose = {row["waybill"].bytes: row["subject_id"] for row in world.parcels()}
    for token, row in zip(tokens, shown, strict=True):
        if row == (PHONE, "张伟"):
            assert whose[token] == mine
        if row[0] == THIRD or row == (PHONE, "王芳"):
            assert whose[token] != mine
