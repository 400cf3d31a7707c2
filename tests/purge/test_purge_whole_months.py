"""A month of which every row is due goes with its partition, as if its rows had gone one by one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from sqlalchemy import text

from minimised import World, at, collected, declared, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.datasets import Outcome
from safehands.keys import FileProvider
from safehands.night import Night
from safehands.purge import plan_purge, purge
from safehands.purge.whole import drop_due_months
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store import Store
from safehands.store.register import register

DAY = timedelta(days=1)
# Past every rule's time on the tests' day: collected, never collected, exceptions; the first of
# them past the month's own as well. Of the last two something is always kept by some rule.
WHOLE = (date(2024, 3, 1), date(2025, 2, 1), date(2025, 3, 1))
PARTLY = (date(2025, 9, 1), date(2025, 11, 1))


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


def clean(world: World, day: date = BUSINESS_DATE) -> Outcome:
    later = world.on(day)
    return purge(later.night, later.store, later.now, confirmed=day)


def months(world: World) -> list[str]:
    query = (
        "SELECT right(inhrelid::regclass::text, 6) AS m FROM pg_inherits"
        " WHERE inhparent = 'parcel'::regclass ORDER BY 1"
    )
    return [str(row["m"]) for row in world.rows(query)]


def seen(world: World, query: str) -> list[tuple[Any, ...]]:
    with world.store.begin("safehands_backup") as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def went_whole(world: World) -> dict[str, int]:
    query = "SELECT scope, (result->>'rows')::int FROM effect WHERE step = 'purge_month'"
    return {str(month): int(rows) for month, rows in seen(world, query)}


# The same as row by row.


@dataclass(frozen=True)
class Row:
    """One parcel in the making: ``state`` is how it ended."""

    month: date
    day: int
    station: str
    state: str
    person: int
    held: bool


ROW = st.builds(
    Row,
    month=st.sampled_from((*WHOLE, *PARTLY)),
    day=st.integers(1, 28),
    station=st.sampled_from(["A1", "A2", "B1"]),
    state=st.sampled_from(["collected", "collected", "collected", "waits", "lost", "late"]),
    person=st.integers(0, 4),
    held=st.integers(0, 9).map(lambda n: n == 0),
)


@dataclass(frozen=True)
class Town:
    """What both stores are filled with."""

    rows: list[Row]
    held_people: list[int]
    held_owner: bool
    preferences: list[int]

    def filled(self, world: World) -> None:
        for station in ("A1", "A2", "B1", "C1"):
            chosen = [
                self._row(i, row) for i, row in enumerate(self.rows) if row.station == station
            ]
            if station == "C1":
                # A third owner has a parcel in every month.
                chosen = [collected(f"C{m:%Y%m}", _moment(m, 1, 0)) for m in (*WHOLE, *PARTLY)]
            wishes = [
                preference(at(2025, 1, 1), receiver_phone=_phone(p)) for p in self.preferences
            ]
            world.load(chosen, preferences=wishes, stations=[station])
        self._hold(world)

    def _row(self, number: int, row: Row) -> dict[str, Any]:
        arrived = _moment(row.month, row.day, number)
        own = {"receiver_phone": _phone(row.person)}
        if row.state == "waits":
            return parcel(f"W{number}", arrived, **own)
        if row.state == "lost":
            return parcel(f"W{number}", arrived, status=4, in_custody=False, **own)
        late = {"collected_at": at(2026, 9, 1)} if row.state == "late" else {}
        return collected(f"W{number}", arrived, **late, **own)

    def _hold(self, world: World) -> None:
        for number, row in enumerate(self.rows):
            if row.held:
                owner = row.station[0]
                world.hold(code=owner, waybill=_waybill(world, owner, row.month, row.day, number))
        for person in self.held_people:
            for found in world.people():
                if found["record"]["phone"] == _phone(person):
                    world.hold(subject=found["subject_id"])
        if self.held_owner:
            world.hold(code="B")


def _moment(month: date, day: int, minute: int) -> datetime:
    return at(month.year, month.month, day, 8, minute)


def _waybill(world: World, owner: str, month: date, day: int, minute: int) -> Any:
    moment = _moment(month, day, minute)
    return next(row["waybill"] for row in world.parcels(owner) if row["arrived_at"] == moment)


def _phone(person: int) -> str:
    return f"1380000000{person}"


TOWN = st.builds(
    Town,
    rows=st.lists(ROW, min_size=1, max_size=30),
    held_people=st.lists(st.integers(0, 4), max_size=1),
    held_owner=st.integers(0, 5).map(lambda n: n == 0),
    preferences=st.lists(st.integers(0, 4), max_size=2, unique=True),
)


@pytest.fixture
def another(
    cluster: Any, night: Night, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Any]:
    @contextmanager
    def made() -> Iterator[World]:
        home = tmp_path_factory.mktemp("keys")
        keys = Path(home) / "keys"
        keys.mkdir(mode=0o700)
        shutil.copy2(cluster.keys / "root.key", keys / "root.key")
        store = Store(cluster.clone(), FileProvider(keys, Path(home) / "second"))
        world = World(store, night, NOW)
        third = Controller(
            code="C",
            name="owner C",
            record_sets={"parcels": RecordSet(role="handler")},
            stations=(Station(code="C1", name="C1", folder="C1"),),
        )
        controllers = (*declared().controllers, third)
        register(store, Register(controllers=controllers), BUSINESS_DATE)
        yield world
        store.close()

    return made


@how(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(town=TOWN)
def test_a_month_goes_whole_as_it_would_row_by_row(another: Callable[[], Any], town: Town) -> None:
    with another() as by_month, another() as by_row:
        for world in (by_month, by_row):
            town.filled(world)
        # A hold of the third owner whose end has come tonight: months with their rows go by rows.
        token = _waybill(by_row, "C", PARTLY[0], 1, 0)
        by_row.on(BUSINESS_DATE - 9 * DAY).hold(5, code="C", waybill=token)
        for day in (BUSINESS_DATE, BUSINESS_DATE + DAY, BUSINESS_DATE + 40 * DAY):
            counts = [clean(world, day).counts for world in (by_month, by_row)]
            assert {**counts[0], "holds_ended": 0} == {**counts[1], "holds_ended": 0}
            assert told(by_month) == told(by_row)
            assert content(by_month) == content(by_row)
            assert months(by_month) == months(by_row)
        by_rows = {row.month for row in town.rows if row.state == "late"} - {WHOLE[0]}
        by_rows |= {
            r.month for r in town.rows for h in town.rows if h.held and h.station[0] == r.station[0]
        }
        assert set(went_whole(by_month)) == {f"{month:%Y%m}" for month in set(WHOLE) - by_rows}
        assert went_whole(by_row) == {}


def told(world: World) -> list[Any]:
    """Return what ledger and step results say of the purges of A and B."""
    results = seen(
        world,
        "SELECT business_date, shard, counts FROM step_result WHERE step = 'purge'"
        " AND shard IN ('A', 'B') ORDER BY 1, 2",
    )
    bodies = seen(world, "SELECT body FROM ledger_entry WHERE body LIKE '%\"purge\"%' ORDER BY id")
    facts = [json.loads(str(body))["facts"] for (body,) in bodies]
    return [*results, *(fact for fact in facts if fact.get("controller") in ("A", "B"))]


def content(world: World) -> list[Any]:
    """Return what is left of A and B, by what does not depend on chance."""
    of = "JOIN controller c ON c.id = t.controller_id WHERE c.code IN ('A', 'B') ORDER BY 1, 2, 3"
    people = {
        owner: sorted(
            (p["record"]["phone"], p["detail"], p["restricted"]) for p in world.people(owner)
        )
        for owner in ("A", "B")
    }
    return [
        seen(world, f"SELECT c.code, t.arrived_at, t.collected_at, t.status FROM parcel t {of}"),
        seen(world, f"SELECT c.code, t.arrived_at, t.why, t.until FROM parcel_held t {of}"),
        seen(world, f"SELECT c.code, t.station_id, t.month, t.parcels FROM parcel_history t {of}"),
        seen(world, f"SELECT c.code, t.reason, t.ended_at IS NULL FROM legal_hold t {of}"),
        seen(world, "SELECT controller_id, count(*), 0 FROM tombstone GROUP BY 1 ORDER BY 1"),
        seen(world, "SELECT controller_id, count(*), 0 FROM preference GROUP BY 1 ORDER BY 1"),
        people,
        {owner: world.slips(owner) for owner in ("A", "B")},
    ]


# What goes, what does not, and what is said of it.


def old_rows(count: int = 3) -> list[dict[str, Any]]:
    return [collected(f"W{i}", at(2025, 2, 1 + i)) for i in range(count)]


def test_rows_of_a_whole_month_are_in_the_owners_counts_and_in_the_figures(world: World) -> None:
    world.load([*old_rows(), parcel("X", at(2025, 2, 9))])
    counts = clean(world).counts
    assert (counts["pickup_record"], counts["never_collected"]) == (3, 1)
    assert (counts["months_dropped"], went_whole(world)) == (1, {"202502": 4})
    assert seen(world, "SELECT month, parcels FROM parcel_history") == [(date(2025, 2, 1), 3)]
    results = seen(world, "SELECT counts FROM step_result WHERE step = 'purge' AND shard = 'A'")
    assert [result[0]["pickup_record"] for result in results] == [3]


def test_one_row_that_has_to_stay_keeps_the_month(world: World) -> None:
    late = collected("B", at(2025, 2, 20), collected_at=at(2026, 9, 1))
    world.load(old_rows())
    world.load([late], stations=["B1"])
    assert clean(world).counts["pickup_record"] == 3
    assert went_whole(world) == {}
    assert (months(world), len(world.parcels("B"))) == (["202502"], 1)


def test_a_purge_killed_after_a_month_has_gone_counts_it_when_it_runs_again(world: World) -> None:
    world.load(old_rows())
    due = plan_purge(world.night.policy, BUSINESS_DATE)
    for _ in range(2):
        drop_due_months(world.store, world.night, due, NOW, lambda _connection, _owner: False)
    assert months(world) == []
    assert clean(world).counts["pickup_record"] == 3
    assert clean(world).already
    assert seen(world, "SELECT month, parcels FROM parcel_history") == [(date(2025, 2, 1), 3)]


def test_a_purge_that_never_ran_again_is_counted_by_the_next_one(world: World) -> None:
    world.load(old_rows())
    due = plan_purge(world.night.policy, BUSINESS_DATE)
    drop_due_months(world.store, world.night, due, NOW, lambda _connection, _owner: False)
    assert clean(world, BUSINESS_DATE + DAY).counts["pickup_record"] == 3
    assert clean(world, BUSINESS_DATE + 2 * DAY).counts["pickup_record"] == 0


def test_a_month_that_comes_back_in_a_late_shard_goes_and_counts_again(world: World) -> None:
    world.load(old_rows())
    assert clean(world).counts["pickup_record"] == 3
    world.load([collected("W9", at(2025, 2, 3), receiver_phone=_phone(9))])
    assert clean(world).counts["pickup_record"] == 1
    assert sum(rows for _, rows in seen(world, "SELECT month, parcels FROM parcel_history")) == 4
    results = seen(world, "SELECT counts FROM step_result WHERE step = 'purge' AND shard = 'A'")
    assert sorted(result[0]["pickup_record"] for result in results) == [1, 3]


def test_who_had_only_such_a_month_goes_in_the_same_night(world: World) -> None:
    world.on(date(2025, 2, 10)).load(old_rows())
    counts = clean(world).counts
    assert counts["person_without_parcels"] == 1
    assert world.people() == []


def test_what_a_full_list_said_of_rows_that_went_is_forgotten(world: World) -> None:
    world.load([*old_rows(), collected("N", at(2026, 11, 20))])
    tokens = [row["waybill"] for row in world.parcels()]
    owner = world.owner()
    listed = (
        "INSERT INTO listing (controller_id, station_id, dataset, token, seen_on)"
        " VALUES (:c, :s, 'parcels', :t, '2026-11-23')"
    )
    with world.store.begin(controller=owner.id) as connection:
        for token in tokens:
            values = {"c": owner.id, "s": min(owner.stations.values()), "t": token}
            connection.execute(text(listed), values)
    clean(world)
    assert seen(world, "SELECT token FROM listing") == [(tokens[-1],)]
