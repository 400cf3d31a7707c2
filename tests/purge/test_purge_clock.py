"""A clock that jumped deletes nothing, until somebody says that the date is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from minimised import World, at, collected
from nights import BUSINESS_DATE, NOW
from safehands.datasets import Outcome
from safehands.errors import RetentionRefused
from safehands.night import Night
from safehands.purge import purge
from safehands.store import Store

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
OLD = at(2025, 1, 1)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    """A store whose last purge was on the business date."""
    made = World(store, replace(night, run=f"nightly-{BUSINESS_DATE}"), NOW)
    made.load([collected("W0", at(2026, 11, 20))])
    purge(made.night, made.store, NOW)
    made.load([collected("W1", OLD)])
    return made


def on(world: World, days: int, confirmed: date | None = None) -> Outcome:
    later = world.on(BUSINESS_DATE + days * DAY)
    return purge(later.night, later.store, later.now, confirmed)


def refused(world: World, night: Night, now: datetime, confirmed: date | None = None) -> str:
    before = world.census()
    with pytest.raises(RetentionRefused) as caught:
        purge(night, world.store, now, confirmed)
    assert world.census() == before
    assert all(caught.value.say(lang) for lang in ("zh", "en"))
    return caught.value.key


@pytest.mark.parametrize("days", [1, 13, 14])
def test_a_few_nights_without_a_purge_are_believed(world: World, days: int) -> None:
    assert on(world, days).counts["pickup_record"] == 1


@pytest.mark.parametrize("days", [15, 400])
def test_a_leap_ahead_is_refused_until_the_date_is_confirmed(world: World, days: int) -> None:
    later = world.on(BUSINESS_DATE + days * DAY)
    assert refused(world, later.night, later.now) == "purge.clock_ahead"
    other = later.night.business_date - DAY
    assert refused(world, later.night, later.now, other) == "purge.confirmed_other"
    assert on(world, days, later.night.business_date).counts["pickup_record"] >= 1


def test_once_confirmed_the_night_goes_on_by_itself(world: World) -> None:
    on(world, 60, BUSINESS_DATE + 60 * DAY)
    assert on(world, 60).already
    assert on(world, 61).counts["pickup_record"] == 0


def test_a_refused_leap_leaves_no_trace_that_would_make_the_next_one_believed(
    world: World,
) -> None:
    for days in (400, 401):
        later = world.on(BUSINESS_DATE + days * DAY)
        later.load([collected(f"W{days}", at(2026, 11, 21))])
        assert refused(world, later.night, later.now) == "purge.clock_ahead"


@pytest.mark.parametrize(("late", "believed"), [(3600, True), (3601, False), (86400 * 30, False)])
def test_a_clock_behind_the_ledger_is_refused(world: World, late: int, believed: bool) -> None:
    # The newest entry of another run is of NOW; this one looks at its watch before that.
    night = replace(world.night, run="nightly-other", business_date=BUSINESS_DATE - 40 * DAY)
    now = NOW - late * SECOND
    if believed:
        assert purge(night, world.store, now).counts["months_dropped"] >= 0
    else:
        assert refused(world, night, now) == "purge.clock_behind"
        confirmed = night.business_date
        assert purge(night, world.store, now, confirmed).counts["months_dropped"] >= 0


def test_an_earlier_business_date_is_a_retry_and_takes_what_was_due_then(world: World) -> None:
    night = replace(world.night, run="again", business_date=BUSINESS_DATE - 3 * DAY)
    world.load([collected("W2", at(2025, 11, 22), collected_at=at(2025, 11, 22))])
    assert purge(night, world.store, NOW).counts["pickup_record"] == 1


def test_no_confirmation_makes_the_future_the_present(world: World) -> None:
    night = replace(world.night, business_date=BUSINESS_DATE + 2 * DAY)
    assert refused(world, night, NOW, night.business_date) == "purge.future_date"


def test_the_first_purge_of_a_store_has_nothing_to_compare_with(store: Store, night: Night) -> None:
    world = World(store, night, NOW)
    world.load([collected("W1", OLD)])
    assert purge(world.night, store, NOW).counts["pickup_record"] == 1


def test_a_confirmation_is_in_the_ledger(world: World) -> None:
    later = BUSINESS_DATE + 60 * DAY
    on(world, 60, later)
    with world.store.begin("safehands_backup") as connection:
        bodies = [row[0] for row in connection.exec_driver_sql("SELECT body FROM ledger_entry")]
    assert any('"confirmed":true' in body and later.isoformat() in body for body in bodies)
