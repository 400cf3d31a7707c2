"""Each action of the schedule does what it says: delete, anonymise, restrict, drop a month."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from minimised import World, at, collected, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.datasets import Outcome
from safehands.night import SHANGHAI, Night
from safehands.policy import Policy
from safehands.purge import plan_purge, purge, rehearse
from safehands.store import Store

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
OTHER = "13900000002"


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


def clean(world: World, day: date = BUSINESS_DATE) -> Outcome:
    later = world.on(day)
    return purge(later.night, later.store, later.now, confirmed=day)


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), SHANGHAI)


def all_of(world: World, table: str) -> list[dict[str, Any]]:
    with world.store.begin("safehands_backup") as connection:
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]


def with_action(world: World, rule: str, action: str) -> World:
    policy = world.night.policy
    changed = policy.retention[rule].model_copy(update={"action": action, "then_days": None})
    world.night = world.night.__class__(
        **{
            **world.night.__dict__,
            "policy": policy.model_copy(update={"retention": {**policy.retention, rule: changed}}),
        }
    )
    return world


# Anonymise.


def test_what_is_left_of_a_pick_up_is_a_count_per_station_and_month(world: World) -> None:
    rows = [collected(f"W{i}", at(2025, 10, 1 + i)) for i in range(3)]
    world.load([*rows, collected("X", at(2025, 9, 30, 23)), collected("Y", at(2025, 10, 1, 0))])
    assert clean(world).counts["pickup_record"] == 5
    found = {(row["month"], row["parcels"]) for row in all_of(world, "parcel_history")}
    assert found == {(date(2025, 9, 1), 1), (date(2025, 10, 1), 4)}
    assert set(all_of(world, "parcel_history")[0]) == {
        "controller_id",
        "station_id",
        "month",
        "parcels",
    }


def test_counts_add_up_over_nights_and_are_not_added_twice(world: World) -> None:
    world.load([collected("W1", at(2025, 11, 20)), collected("W2", at(2025, 11, 25))])
    for day in (BUSINESS_DATE, BUSINESS_DATE, BUSINESS_DATE + 5 * DAY, BUSINESS_DATE + 5 * DAY):
        clean(world, day)
    assert [row["parcels"] for row in all_of(world, "parcel_history")] == [2]


def test_deleted_is_not_counted(world: World) -> None:
    world.load([collected("W1", at(2025, 10, 1))])
    assert clean(with_action(world, "pickup_record", "delete")).counts["pickup_record"] == 1
    assert all_of(world, "parcel_history") == []


# Restrict: storage for a limitation period.

ARRIVED = at(2025, 11, 1)


@pytest.fixture
def damaged(world: World) -> World:
    """One lost parcel a year ago, of somebody who has nothing else."""
    world.on(ARRIVED.date()).load([parcel("W1", ARRIVED, status=4, in_custody=False)])
    return world


def test_a_lost_parcel_is_stored_for_the_limitation_period(damaged: World) -> None:
    counts = clean(damaged).counts
    assert (counts["exception_record"], counts["never_collected"]) == (1, 0)
    (row,) = all_of(damaged, "parcel_held")
    assert (row["why"], row["until"]) == ("limitation", BUSINESS_DATE + 1096 * DAY)
    assert damaged.parcels() == []


@pytest.mark.parametrize(("days", "over"), [(1096, False), (1097, True)])
def test_its_person_is_stored_as_long_and_then_goes(damaged: World, days: int, over: bool) -> None:
    clean(damaged)
    assert [p["restricted"] for p in damaged.people()] == [True]
    clean(damaged, BUSINESS_DATE + days * DAY)
    assert (all_of(damaged, "parcel_held") == []) is over
    assert (damaged.people() == []) is over


def test_a_regular_customer_is_not_stored_away_for_one_lost_parcel(damaged: World) -> None:
    damaged.load([collected("W2", at(2026, 9, 1))])
    counts = clean(damaged).counts
    assert (counts["exception_record"], counts["contact_detail"]) == (1, 1)
    assert [p["restricted"] for p in damaged.people()] == [False]


# Months.


def test_no_row_outlives_its_month_by_more_than_policy_says(world: World) -> None:
    # Collected so late that its own rule would keep it: only the month's rule takes it.
    late = at(2026, 3, 31)
    world.load([collected("W1", at(2023, 10, 1), collected_at=late), parcel("W2", late)])
    edge = date(2023, 10, 31) + 905 * DAY
    assert clean(world, edge).counts.get("parcel_month", 0) == 0
    plan = {item.rule: item.due for item in rehearse(world.on(edge + DAY).night, world.store)}
    assert plan["parcel_month"] == 1
    counts = clean(world, edge + DAY).counts
    assert (counts["parcel_month"], counts["pickup_record"]) == (1, 0)
    assert [row["arrived_at"] for row in world.parcels()] == [late]


def test_a_dropped_month_is_in_the_ledger(world: World) -> None:
    world.load([collected("W1", at(2025, 10, 1)), parcel("W2", at(2026, 11, 1))])
    clean(world)
    entries = [row["body"] for row in all_of(world, "ledger_entry") if '"months"' in row["body"]]
    assert len(entries) == 1
    assert '["202510"]' in entries[0]
    clean(world)
    assert len([r for r in all_of(world, "ledger_entry") if '"months"' in r["body"]]) == 1


@pytest.mark.parametrize("today", [BUSINESS_DATE, date(2028, 2, 29), date(2027, 3, 1)])
def test_a_month_is_past_its_time_by_its_last_day(policy: Policy, today: date) -> None:
    (due,) = [d for d in plan_purge(policy, today) if d.rule == "parcel_month"]
    assert due.before.day == 1
    last = due.before - SECOND
    assert last.astimezone(SHANGHAI).date() + 905 * DAY < today
    following = (due.before + 32 * DAY).replace(day=1) - SECOND
    assert following.astimezone(SHANGHAI).date() + 905 * DAY >= today


# Evidence.


@pytest.mark.parametrize(("extra", "gone"), [(0, 0), (1, 1)])
def test_processing_records_are_kept_three_years(world: World, extra: int, gone: int) -> None:
    day = BUSINESS_DATE - (1096 + extra) * DAY
    insert = (
        "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
        " VALUES ('r', :day, '', 'ingest', '{}', '{}', 0)"
    )
    with world.store.begin() as connection:
        connection.execute(text(insert), {"day": day})
    assert clean(world).counts["processing_record"] == gone
    assert clean(world).counts["processing_record"] == gone
    assert len([r for r in all_of(world, "step_result") if r["run"] == "r"]) == 1 - gone
    assert day + 1096 * DAY >= day.replace(year=day.year + 3)


@pytest.mark.parametrize(("moment", "gone"), [(-SECOND, 1), (0 * SECOND, 0)])
def test_access_records_go_to_the_second(world: World, moment: timedelta, gone: int) -> None:
    edge = midnight(BUSINESS_DATE - 1096 * DAY)
    insert = (
        "INSERT INTO access_log (controller_id, action, purpose, fields, by_whom, at)"
        " VALUES (:c, 'reveal', 'rights', 'name', 'wang.li', :at)"
    )
    owner = world.owner().id
    with world.store.begin("safehands_officer", owner) as connection:
        connection.execute(text(insert), {"c": owner, "at": edge + moment})
    assert clean(world).counts["access_record"] == gone


# Undated lists.


def test_people_of_an_undated_list_age_although_it_comes_every_night(world: World) -> None:
    row = {"receiver_phone": OTHER, "receiver_name": "李四", "updated_at": None}
    choice = preference(None, receiver_phone=OTHER)
    for days in (0, 10, 31):
        later = world.on(BUSINESS_DATE + days * DAY)
        later.load(customers=[row], preferences=[choice])
    (person,) = world.people()
    assert person["last_seen"] == midnight(BUSINESS_DATE)
    later = world.on(BUSINESS_DATE + 31 * DAY)
    assert clean(world, later.night.business_date).counts["contact_detail"] == 1
    gone = BUSINESS_DATE + 366 * DAY
    counts = clean(world, gone).counts
    assert (counts["idle_preference"], counts["person_without_parcels"]) == (1, 1)
    again = world.on(gone + DAY).load(customers=[row], preferences=[choice])
    assert (again["erased_before"], again["people"]) == (2, 0)


def test_what_an_undated_list_says_anew_is_taken_and_makes_nobody_younger(world: World) -> None:
    row = {"receiver_phone": OTHER, "receiver_name": "李四", "updated_at": None}
    world.load(customers=[row], preferences=[preference(None, receiver_phone=OTHER)])
    later = world.on(BUSINESS_DATE + 10 * DAY)
    later.load(
        customers=[{**row, "receiver_name": "李思"}],
        preferences=[preference(None, receiver_phone=OTHER, notify_channel=3)],
    )
    (person,) = world.people()
    assert person["record"]["name"] == "李思"
    assert person["last_seen"] - midnight(BUSINESS_DATE) < timedelta(milliseconds=1)
    (choice,) = world.rows("SELECT notify_channel, updated_at FROM preference")
    assert choice["notify_channel"] == 3
    assert choice["updated_at"] - midnight(BUSINESS_DATE) < timedelta(milliseconds=1)


def test_an_undated_list_that_says_the_same_writes_nothing(world: World) -> None:
    row = {"receiver_phone": OTHER, "receiver_name": "李四", "updated_at": None}
    world.load(customers=[row])
    before = world.rows("SELECT sealed FROM subject")
    world.on(BUSINESS_DATE + DAY).load(customers=[row])
    assert world.rows("SELECT sealed FROM subject") == before


def test_an_undated_row_of_somebody_who_came_back_joins_them(world: World) -> None:
    row = {"receiver_phone": OTHER, "receiver_name": "李四", "updated_at": None}
    world.load(customers=[row])
    clean(world, BUSINESS_DATE + 366 * DAY)
    later = world.on(BUSINESS_DATE + 400 * DAY)
    later.load([parcel("W1", NOW + 390 * DAY, receiver_phone=OTHER, receiver_name="李四")])
    assert later.load(customers=[row])["people"] == 1
    assert len(world.people()) == 1


# Every boundary, wherever the server believes it is.

ZONES = ("Pacific/Kiritimati", "America/Los_Angeles", "UTC")
EDGES = (
    "pickup_record",
    "never_collected",
    "exception_record",
    "contact_detail",
    "idle_preference",
    "person_without_parcels",
)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("today", [date(2028, 2, 29), date(2029, 3, 1), date(2027, 1, 1)])
@pytest.mark.parametrize("rule", EDGES)
@pytest.mark.parametrize(("before", "gone"), [(SECOND, 1), (0 * SECOND, 0)])
def test_each_rule_is_exact_to_the_second_in_any_zone(
    world: World, rule: str, today: date, zone: str, before: timedelta, gone: int
) -> None:
    moment = midnight(today - world.night.policy.keep_days(rule) * DAY) - before
    _lay(world, rule, moment)
    _move_server(world, zone)
    later = world.on(today)
    assert {p.rule: p.due for p in rehearse(later.night, later.store)}[rule] == gone
    assert clean(world, today).counts[rule] == gone


def _lay(world: World, rule: str, moment: datetime) -> None:
    """Put one row into the store whose event is ``moment``, and nothing that keeps it."""
    early = world.on(moment.date())
    if rule == "pickup_record":
        early.load([collected("W1", moment - 2 * DAY, collected_at=moment)])
    elif rule == "never_collected":
        early.load([parcel("W1", moment)])
    elif rule == "exception_record":
        early.load([parcel("W1", moment, status=4, in_custody=False)])
    elif rule == "idle_preference":
        early.load(preferences=[preference(moment)])
    else:
        early.load(
            customers=[{"receiver_phone": OTHER, "receiver_name": "李四", "updated_at": moment}]
        )


def _move_server(world: World, zone: str) -> None:
    with world.store.admin().begin() as connection:
        database = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {database} SET timezone = '{zone}'"))
    world.store.close()
