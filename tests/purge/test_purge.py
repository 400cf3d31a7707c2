"""What is past its time goes, at the second it is due, and stays gone."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.datasets import Outcome
from safehands.errors import RetentionRefused
from safehands.keys import DayBox
from safehands.masking import mask_name, mask_phone
from safehands.night import SHANGHAI, Night
from safehands.policy import Policy
from safehands.purge import count_due, plan_purge, purge
from safehands.store import Store

SECOND = timedelta(seconds=1)
OTHER = "13900000002"


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


def clean(world: World, day: date = BUSINESS_DATE) -> Outcome:
    """Purge on ``day``, stated on purpose: these tests travel further than a clock may jump."""
    later = world.on(day)
    return purge(later.night, later.store, later.now, confirmed=day)


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), SHANGHAI)


# The plan.


def test_the_plan_is_a_function_of_policy_and_day(policy: Policy) -> None:
    assert plan_purge(policy, BUSINESS_DATE) == plan_purge(policy, BUSINESS_DATE)
    assert [due.rule for due in plan_purge(policy, BUSINESS_DATE)] == list(policy.retention)


@pytest.mark.parametrize(
    ("today", "days", "first_kept"),
    [
        (date(2026, 11, 23), 30, date(2026, 10, 24)),
        (date(2024, 3, 1), 1, date(2024, 2, 29)),
        (date(2025, 2, 28), 365, date(2024, 2, 29)),
        (date(2024, 2, 29), 365, date(2023, 3, 1)),
        (date(2026, 11, 23), 0, date(2026, 11, 23)),
    ],
)
def test_an_event_is_kept_to_the_end_of_its_last_day(
    policy: Policy, today: date, days: int, first_kept: date
) -> None:
    rule = policy.retention["contact_detail"].model_copy(update={"keep_days": days})
    changed = policy.model_copy(update={"retention": {"contact_detail": rule}})
    (due,) = plan_purge(changed, today)
    assert due.before == midnight(first_kept)
    assert due.before.utcoffset() == timedelta(hours=8)


# Boundaries.


@pytest.mark.parametrize("today", [BUSINESS_DATE, date(2028, 2, 29)])
@pytest.mark.parametrize(
    ("rule", "days", "kind"), [("pickup_record", 365, "done"), ("never_collected", 540, "waits")]
)
def test_parcels_go_to_the_second(
    world: World, today: date, rule: str, days: int, kind: str
) -> None:
    edge = midnight(today - timedelta(days=days))
    rows = []
    for number, moment in (("OUT", edge - SECOND), ("IN", edge)):
        if kind == "done":
            rows.append(collected(number, moment - timedelta(days=2), collected_at=moment))
        else:
            rows.append(parcel(number, moment))
    world.load(rows)
    later = world.on(today)
    assert count_due(later.night, later.store)[rule] == 1
    assert clean(world, today).counts[rule] == 1
    (left,) = world.parcels()
    assert left["collected_at" if kind == "done" else "arrived_at"] == edge


def test_quarantine_goes_by_the_day_in_any_time_zone_of_the_server(world: World) -> None:
    row = {"_sheet": "", "_row": 2, "dataset": "parcels", "rule": "r", "column": "", "payload": "x"}
    for days in (30, 31):
        world.on(BUSINESS_DATE - timedelta(days=days)).load(quarantine=[row])
    with world.store.admin().begin() as connection:
        for role in ("safehands_pipeline", "safehands_backup"):
            database = connection.execute(text("SELECT current_database()")).scalar_one()
            zone = f"ALTER ROLE {role} IN DATABASE {database} SET timezone = 'Pacific/Kiritimati'"
            connection.execute(text(zone))
    world.store.close()
    assert clean(world).counts["quarantine"] == 1
    (kept,) = world.rows("SELECT day FROM quarantine")
    assert kept["day"] == BUSINESS_DATE - timedelta(days=30)


def test_custody_of_a_parcel_that_is_gone_goes_with_it(world: World) -> None:
    today = date(2028, 6, 1)
    world.load([parcel("W1", at(2026, 11, 20)), parcel("W2", at(2028, 1, 1))])
    assert clean(world, today).counts["custody_detail"] == 1
    assert [slip["waybill"] for slip in world.slips()] == ["W2"]


# People.


@pytest.mark.parametrize(
    ("moment", "detail"),
    [
        (midnight(date(2026, 10, 24)) - SECOND, 1),
        (midnight(date(2026, 10, 24)), 0),
    ],
)
def test_full_contact_is_masked_thirty_days_after_pick_up(
    world: World, moment: datetime, detail: int
) -> None:
    early = world.on(date(2026, 10, 23))
    early.load(
        [collected("W1", at(2026, 10, 1), collected_at=moment, receiver_address="科技路1号")]
    )
    assert world.people()[0]["detail"] == 0
    assert clean(world).counts["contact_detail"] == detail
    (person,) = world.people()
    masked = {"name": mask_name("张伟"), "phone": mask_phone(PHONE), "address": ""}
    full = {"name": "张伟", "phone": PHONE, "address": "科技路1号"}
    assert person["detail"] == detail
    assert person["record"] == (masked if detail else full)


def test_who_still_waits_or_is_restricted_is_not_masked(world: World) -> None:
    early = world.on(date(2026, 9, 2))
    early.load(
        [parcel("W1", at(2026, 9, 1)), collected("W2", at(2026, 9, 1), receiver_phone=OTHER)]
    )
    query = "SELECT subject_id FROM parcel WHERE collected_at IS NOT NULL"
    early.restrict(world.rows(query)[0]["subject_id"])
    assert clean(world).counts["contact_detail"] == 0
    assert [person["detail"] for person in world.people()] == [0, 0]


def test_a_person_without_parcels_leaves_a_tombstone_that_holds(world: World) -> None:
    rows = [collected("W1", at(2026, 11, 20))]
    world.load(rows, preferences=[preference(at(2026, 11, 20))])
    today = date(2027, 11, 25)
    counts = clean(world, today).counts
    assert (counts["pickup_record"], counts["idle_preference"]) == (1, 1)
    assert counts["person_without_parcels"] == 1
    assert world.people() == []
    (grave,) = world.rows("SELECT * FROM tombstone")
    assert grave["reason"] == "retention"
    assert grave["token"].bytes == world.ring().tombstones("mobile", [PHONE]).tolist()[0]
    again = world.on(today).load(rows, customers=[customer(at(2026, 11, 20))])
    assert again["erased_before"] == 2
    assert world.people() == []


def test_who_goes_a_second_time_is_kept_out_from_then_on(world: World) -> None:
    for year in (2024, 2026):
        world.load(customers=[customer(at(year, 11, 1))])
        assert clean(world, date(year + 1, 11, 3)).counts["person_without_parcels"] == 1
    (grave,) = world.rows("SELECT * FROM tombstone")
    assert grave["erased_at"].year == 2027
    assert world.load(customers=[customer(at(2026, 11, 1))])["erased_before"] == 1


@pytest.mark.parametrize("kept_by", ["parcel", "preference", "restriction"])
def test_who_has_anything_left_stays(world: World, kept_by: str) -> None:
    old = at(2025, 11, 1)
    world.load(
        [parcel("W1", at(2025, 12, 1))] if kept_by == "parcel" else [],
        customers=[customer(old)],
        preferences=[preference(at(2025, 11, 30))] if kept_by == "preference" else [],
    )
    with world.store.admin().begin() as connection:
        connection.execute(text("UPDATE subject SET last_seen = :at"), {"at": old})
    if kept_by == "restriction":
        world.restrict(world.people()[0]["subject_id"])
    assert clean(world).counts["person_without_parcels"] == 0
    assert len(world.people()) == 1


def test_an_idle_preference_goes_only_when_the_person_is_idle_too(world: World) -> None:
    old = at(2025, 11, 1)
    world.load(
        [collected("W1", at(2026, 11, 1), receiver_phone=OTHER)],
        preferences=[preference(old), preference(old, receiver_phone=OTHER)],
    )
    assert clean(world).counts["idle_preference"] == 1
    (left,) = world.rows("SELECT subject_id FROM preference")
    (other,) = world.rows("SELECT subject_id FROM parcel")
    assert left == other


def test_one_owners_purge_counts_both_and_mixes_nothing(world: World) -> None:
    for station in ("A1", "B1"):
        world.load([collected("W1", at(2025, 10, 1))], stations=[station])
    assert clean(world).counts["pickup_record"] == 2
    assert world.rows("SELECT token FROM tombstone", "A") != world.rows(
        "SELECT token FROM tombstone", "B"
    )


# Once, and only when the clock is believable.


def test_a_future_date_is_refused_and_nothing_goes(world: World) -> None:
    world.load([collected("W1", at(2025, 1, 1))])
    before = world.census()
    tomorrow = replace(world.night, business_date=date(2026, 11, 25))
    with pytest.raises(RetentionRefused):
        purge(tomorrow, world.store, NOW)
    assert world.census() == before


def test_today_in_shanghai_is_not_the_future_where_it_is_still_yesterday(world: World) -> None:
    today = replace(world.night, business_date=date(2026, 11, 24))
    just_past = datetime.fromisoformat("2026-11-23T16:00:00+00:00")
    assert purge(today, world.store, just_past).counts
    with pytest.raises(RetentionRefused):
        purge(today, world.store, just_past - SECOND)


def test_the_second_run_of_a_night_does_nothing(world: World) -> None:
    world.load([collected("W1", at(2025, 10, 1)), parcel("W2", at(2026, 11, 1))])
    first = clean(world)
    before = world.census()
    again = clean(world)
    assert (first.already, again.already) == (False, True)
    assert {**again.counts, "months_dropped": 0} == {**first.counts, "months_dropped": 0}
    assert world.census() == before


def test_a_shard_that_came_later_in_the_night_is_purged_as_well(world: World) -> None:
    assert clean(world).counts["pickup_record"] == 0
    world.load([collected("W1", at(2025, 10, 1))])
    again = clean(world)
    assert again.already is False
    assert again.counts["pickup_record"] == 1


def test_a_rehearsal_counts_what_the_purge_takes_and_takes_nothing(world: World) -> None:
    world.load([collected("W1", at(2025, 10, 1)), collected("W2", at(2026, 11, 20))])
    before = world.census()
    due = count_due(world.night, world.store)
    assert world.census() == before
    assert due["pickup_record"] == clean(world).counts["pickup_record"] == 1


def test_each_owner_has_a_ledger_entry_with_counts(world: World) -> None:
    clean(world)
    journal.sequence(world.store, NOW)
    with world.store.begin() as connection:
        entries = [entry for entry in journal.entries(connection) if '"purge"' in entry]
    assert len(entries) == 2
    assert all('"pickup_record":0' in entry for entry in entries)


# Months and keys.


def _months(world: World) -> list[str]:
    query = (
        "SELECT inhrelid::regclass::text AS m FROM pg_inherits WHERE inhparent = 'parcel'::regclass"
    )
    return sorted(str(row["m"]) for row in world.rows(f"{query} ORDER BY 1"))


def test_an_empty_month_is_dropped_and_a_full_one_stays(world: World) -> None:
    world.load([collected("W1", at(2025, 10, 1)), parcel("W2", at(2026, 11, 1))])
    world.load([parcel("W1", at(2026, 10, 1))], stations=["B1"])
    assert _months(world) == ["parcel_202510", "parcel_202610", "parcel_202611"]
    assert clean(world).counts["months_dropped"] == 1
    assert _months(world) == ["parcel_202610", "parcel_202611"]


def test_a_month_that_is_not_empty_is_refused(world: World) -> None:
    world.load([parcel("W1", at(2026, 11, 1))])
    with pytest.raises(DBAPIError, match="not empty"), world.store.begin() as connection:
        connection.execute(text("SELECT drop_month('2026-11-01')"))
    assert len(world.parcels()) == 1


def test_a_month_is_not_dropped_under_a_load_that_is_running(world: World) -> None:
    world.load([parcel("W1", at(2026, 10, 1)), parcel("W2", at(2026, 11, 1))])
    owner = world.owner().id
    with world.store.begin(controller=owner) as connection:
        connection.execute(text("DELETE FROM parcel WHERE arrived_at < '2026-10-15'"))
    insert = (
        "INSERT INTO parcel SELECT controller_id, station_id, waybill, subject_id,"
        " '2026-10-02 00:00+08', collected_at, district, batch_id, carrier, status, weight_band,"
        " tags FROM parcel"
    )
    with world.store.begin(controller=owner) as loading:
        loading.execute(text(insert))
        dropper = _drop_in_background(world)
        _wait_for_lock(world)
    outcome = dropper.result(timeout=10)
    assert isinstance(outcome, DBAPIError)
    assert len(world.parcels()) == 2


def _drop_in_background(world: World) -> Future[Exception | None]:
    def drop() -> Exception | None:
        try:
            with world.store.begin() as connection:
                connection.execute(text("SELECT drop_month('2026-10-01')"))
        except DBAPIError as error:
            return error
        return None

    pool = ThreadPoolExecutor(1)
    future = pool.submit(drop)
    pool.shutdown(wait=False)
    return future


def _wait_for_lock(world: World) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with world.store.admin().connect() as connection:
        while not connection.execute(text(waiting)).scalar_one():
            connection.execute(text("SELECT pg_sleep(0.01)"))


def test_day_keys_past_their_time_are_destroyed_in_the_provider(world: World) -> None:
    provider = world.store.provider
    boxes = {}
    for kind, days in (("quarantine", 30), ("archive", 7)):
        for extra in (0, 1):
            day = (BUSINESS_DATE - timedelta(days=days + extra)).isoformat()
            box = DayBox(provider, kind, "A1", day)
            box.seal([b"row"])
            boxes[kind, extra] = box.key_id
    counts = clean(world).counts
    assert (counts["quarantine_keys"], counts["archive_keys"]) == (1, 1)
    assert clean(world).already
    left = {key: provider.has(name) for key, name in boxes.items()}
    assert left == {(kind, extra): extra == 0 for kind, extra in boxes}
