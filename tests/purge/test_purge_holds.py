"""A legal hold keeps what is due, and nothing else happens to it; at its end the rest follows."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.datasets import Outcome
from safehands.errors import AccessRefused
from safehands.keys import DayBox
from safehands.night import Night
from safehands.purge import purge, rehearse
from safehands.store import Store
from safehands.vault.holds import Order, holds, is_held, lift, place, waybill_token
from safehands.vault.restrict import release

DAY = timedelta(days=1)
OTHER = "13900000002"
OLD = at(2025, 11, 1)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    """Two people whose pick-up records are past their time, each with an old preference."""
    made = World(store, night, NOW)
    rows = [collected("W1", OLD), collected("W2", OLD, receiver_phone=OTHER, receiver_name="李四")]
    made.on(OLD.date()).load(
        rows, preferences=[preference(OLD), preference(OLD, receiver_phone=OTHER)]
    )
    return made


def subject(world: World, name: str = "张伟") -> UUID:
    found: UUID = next(p["subject_id"] for p in world.people() if p["record"]["name"][0] == name[0])
    return found


def clean(world: World, day: date = BUSINESS_DATE) -> Outcome:
    later = world.on(day)
    return purge(later.night, later.store, later.now, confirmed=day)


def stored(world: World) -> dict[str, int]:
    with world.store.begin("safehands_backup") as connection:
        return {
            table: int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
            for table in ("subject", "parcel", "parcel_held", "preference", "restriction")
        }


def test_a_held_person_is_stored_with_everything_while_the_other_goes(world: World) -> None:
    world.hold(subject=subject(world))
    counts = clean(world).counts
    assert (counts["pickup_record"], counts["idle_preference"]) == (1, 1)
    assert counts["person_without_parcels"] == 1
    assert counts["kept_by_hold"] >= 2
    assert stored(world) == {
        "subject": 1,
        "parcel": 0,
        "parcel_held": 1,
        "preference": 1,
        "restriction": 1,
    }
    (kept,) = world.people()
    assert (kept["record"]["name"], kept["restricted"]) == ("张伟", True)


def test_a_held_month_is_dropped_and_its_row_is_stored(world: World) -> None:
    world.hold(subject=subject(world))
    assert clean(world).counts["months_dropped"] == 1
    assert stored(world)["parcel_held"] == 1


@pytest.mark.parametrize(("days", "over"), [(30, False), (31, True)])
def test_at_the_end_of_the_hold_what_was_due_is_done(world: World, days: int, over: bool) -> None:
    world.hold(30, subject=subject(world))
    clean(world)
    end = NOW.date() + days * DAY
    counts = clean(world, end).counts
    assert counts.get("holds_ended", 0) == int(over)
    gone = {"subject": 0, "parcel": 0, "parcel_held": 0, "preference": 0, "restriction": 0}
    assert (stored(world) == gone) is over


def test_a_lifted_hold_ends_with_the_next_purge(world: World) -> None:
    number = world.hold(subject=subject(world))
    clean(world)
    lift(world.store, "A", number, "wang.li", NOW)
    assert stored(world)["subject"] == 1
    clean(world, BUSINESS_DATE + DAY)
    assert stored(world)["subject"] == 0
    tombstones = world.rows("SELECT reason FROM tombstone")
    assert [row["reason"] for row in tombstones] == ["retention", "retention"]


def test_a_hold_on_a_parcel_keeps_the_parcel_and_its_person(world: World) -> None:
    policy = world.night.policy
    token = waybill_token(world.store, policy, "A", "顺丰", "W1")
    (row,) = world.rows(
        "SELECT waybill FROM parcel p JOIN subject s USING (subject_id)"
        f" WHERE s.subject_id = '{subject(world)}'"
    )
    assert token == row["waybill"]
    world.hold(waybill=token)
    clean(world)
    assert stored(world)["parcel_held"] == 1
    assert [p["record"]["name"] for p in world.people()] == ["张伟"]


def test_what_a_hold_on_a_parcel_keeps_of_its_person_stays_as_long(world: World) -> None:
    world.load([collected("W8", OLD + DAY)])
    token = waybill_token(world.store, world.night.policy, "A", "顺丰", "W1")
    world.hold(waybill=token)
    for days, kept in ((0, 2), (1, 2), (29, 2), (32, 0)):
        clean(world, BUSINESS_DATE + days * DAY)
        assert stored(world)["parcel_held"] == kept


def test_a_hold_on_an_owner_keeps_everything_of_theirs_and_nothing_of_others(
    world: World,
) -> None:
    world.on(OLD.date()).load([collected("W9", OLD)], stations=["B1"])
    box = DayBox(world.store.provider, "quarantine", "A1", "2026-01-01")
    box.seal([b"row"])
    other = DayBox(world.store.provider, "quarantine", "B1", "2026-01-01")
    other.seal([b"row"])
    world.hold()
    counts = clean(world).counts
    assert (counts["pickup_record"], counts["person_without_parcels"]) == (1, 1)
    assert stored(world)["subject"] == 2
    assert world.store.provider.has(box.key_id)
    assert not world.store.provider.has(other.key_id)


def test_what_is_not_due_stays_in_use_under_a_hold(world: World) -> None:
    world.load([parcel("W5", at(2026, 11, 20))])
    world.hold(subject=subject(world))
    clean(world)
    seen = world.rows("SELECT subject_id FROM subject WHERE NOT restricted")
    assert [row["subject_id"] for row in seen] == [subject(world)]
    assert world.people()[0]["record"]["phone"] == PHONE
    assert len(world.parcels()) == 1
    assert stored(world)["parcel_held"] == 1


def test_the_slip_of_a_held_parcel_is_hidden_and_comes_to_its_end(world: World) -> None:
    world.load([parcel("W5", at(2026, 11, 20))])
    world.hold(subject=subject(world))
    with world.store.begin(controller=world.owner().id) as connection:
        taken = "UPDATE parcel SET status = 2, collected_at = arrived_at WHERE status = 1"
        connection.execute(text(taken))
    clean(world)
    assert world.rows("SELECT 1 FROM custody") == []
    assert len(world.rows("SELECT 1 FROM custody", storage=True)) == 1
    end = NOW.date() + 31 * DAY
    assert clean(world, end).counts["custody_detail"] == 1
    assert world.rows("SELECT 1 FROM custody", storage=True) == []


def test_nothing_deletes_a_held_person(world: World) -> None:
    who = subject(world)
    number = world.hold(subject=who)
    with world.store.begin(controller=world.owner().id) as connection:
        assert is_held(connection, who, BUSINESS_DATE)
        assert not is_held(connection, uuid4(), BUSINESS_DATE)
    for role, statement in (
        ("safehands_pipeline", "DELETE FROM subject"),
        ("safehands_owner", "DELETE FROM subject"),
    ):
        with (
            pytest.raises(DBAPIError, match="legal hold"),
            world.store.begin(role, world.owner().id) as connection,
        ):
            connection.execute(text(statement))
    lift(world.store, "A", number, "wang.li", NOW)
    with world.store.begin(controller=world.owner().id) as connection:
        assert connection.execute(text("DELETE FROM subject")).rowcount == 2


def test_nothing_drops_a_month_with_a_held_row(world: World) -> None:
    world.hold(subject=subject(world))
    with pytest.raises(DBAPIError, match="legal hold"), world.store.begin() as connection:
        connection.execute(text("SELECT drop_old_month('2025-11-01', now())"))
    early = "SELECT drop_old_month('2025-11-01', timestamptz '2025-11-30 23:59:59+08')"
    with pytest.raises(DBAPIError, match="not over"), world.store.begin() as connection:
        connection.execute(text(early))
    assert len(world.parcels()) == 2


def test_a_record_that_a_hold_restricted_is_released_by_the_hold_alone(world: World) -> None:
    who = subject(world)
    world.hold(subject=who)
    clean(world)
    with pytest.raises(AccessRefused) as caught:
        release(world.store, world.night.policy, world.access(), NOW, subject=who)
    assert caught.value.key == "vault.restricted_by_hold"


def test_the_plan_shows_what_a_hold_keeps(world: World) -> None:
    world.hold(subject=subject(world))
    plan = {item.rule: (item.due, item.held) for item in rehearse(world.night, world.store)}
    assert plan["pickup_record"] == (1, 1)
    assert plan["idle_preference"] == (1, 1)


def test_holds_are_listed_with_reason_owner_and_end(world: World) -> None:
    number = world.hold(subject=subject(world))
    (hold,) = holds(world.store, "A")
    assert (hold.id, hold.scope, hold.reason, hold.owner) == (
        number,
        "subject",
        "dispute",
        "legal.chen",
    )
    assert (hold.until, hold.ended) == (NOW.date() + 30 * DAY, None)
    lift(world.store, "A", number, "wang.li", NOW)
    assert holds(world.store, "A") == []
    assert [h.ended for h in holds(world.store, "A", ended=True)] == [NOW]
    assert holds(world.store, "B", ended=True) == []


def test_a_hold_without_reason_owner_end_or_target_is_refused(world: World) -> None:
    good: dict[str, Any] = {
        "controller": "A",
        "reason": "dispute",
        "owner": "legal.chen",
        "until": NOW.date() + DAY,
        "subject": subject(world),
    }

    def key(by: str = "wang.li", **changes: Any) -> str:
        order = Order(**{**good, **changes})
        with pytest.raises(AccessRefused) as caught:
            place(world.store, world.night.policy, order, by, NOW)
        return caught.value.key

    assert key(reason="") == "hold.unknown_reason"
    assert key(owner="") == "vault.staff_id"
    assert key(by="") == "vault.staff_id"
    assert key(until=NOW.date() - DAY) == "hold.end"
    assert key(until=NOW.date() + 1097 * DAY) == "hold.end"
    assert key(reference=f"case {PHONE}") == "hold.reference"
    assert key(reference="x" * 65) == "hold.reference"
    assert key(subject=uuid4()) == "hold.nothing_there"
    assert key(subject=None, waybill=uuid4()) == "hold.nothing_there"
    assert key(controller="B") == "hold.nothing_there"
    with pytest.raises(AccessRefused):
        lift(world.store, "A", 99, "wang.li", NOW)
    assert holds(world.store, "A") == []


def test_place_and_lift_are_in_the_ledger(world: World) -> None:
    number = world.hold(subject=subject(world), reference="（2026）粤0305民初1号")
    lift(world.store, "A", number, "wang.li", NOW)
    with world.store.begin("safehands_backup") as connection:
        query = "SELECT body FROM ledger_entry WHERE body LIKE '%\"hold\"%' ORDER BY id"
        bodies = [str(row[0]) for row in connection.execute(text(query))]
    assert ["place-" in bodies[0], "lift-" in bodies[1]] == [True, True]
    assert not any(str(subject(world)) in body for body in bodies)


def test_who_comes_back_while_stored_is_a_new_subject(world: World) -> None:
    world.hold(subject=subject(world))
    clean(world)
    later = world.on(BUSINESS_DATE + 2 * DAY)
    later.load([parcel("W7", NOW + DAY)], customers=[customer(NOW + DAY)])
    mine = [p for p in world.people() if p["record"]["phone"] == PHONE]
    assert [p["restricted"] for p in sorted(mine, key=lambda p: p["generation"])] == [True, False]
