"""One shard into the store: who is linked, what is rewritten, what is sealed, what is kept out."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.datasets import Handoff, Problem
from safehands.errors import KeyProblem, QualityGateClosed
from safehands.keys import DayBox
from safehands.night import Night
from safehands.pseudonymise import load
from safehands.store import Store
from safehands.store.bulk import NOBODY

OTHER = "13900000002"
DAY = timedelta(days=1)
ARRIVED = at(2026, 11, 20)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


# People and owners.


def test_a_person_at_two_stations_of_one_owner_is_one_subject(world: World) -> None:
    rows = [parcel("W1", ARRIVED), parcel("W2", ARRIVED, _file=1)]
    counts = world.load(rows, stations=["A1", "A2"])
    first, second = world.parcels()
    assert first["subject_id"] == second["subject_id"]
    assert first["station_id"] != second["station_id"]
    assert (counts["people"], counts["new_people"], counts["new"]) == (1, 1, 2)


def test_a_person_seen_again_in_another_shard_is_the_same_subject(world: World) -> None:
    world.load([parcel("W1", ARRIVED)])
    counts = world.load([parcel("W2", ARRIVED + DAY)], stations=["A2"])
    assert len({row["subject_id"] for row in world.parcels()}) == 1
    assert (counts["people"], counts["new_people"]) == (1, 0)
    assert world.people()[0]["last_seen"] == ARRIVED + DAY


def test_nothing_joins_one_person_under_two_owners(world: World) -> None:
    for station in ("A1", "B1"):
        world.load([parcel("W1", ARRIVED)], stations=[station])
    mine, theirs = (
        {
            bytes(value) if isinstance(value, bytes) else value.bytes
            for table, columns in _TOKENS.items()
            for row in world.rows(f"SELECT {columns} FROM {table}", owner)
            for value in row.values()
        }
        for owner in ("A", "B")
    )
    assert len(mine) == len(theirs) == 6
    assert not mine & theirs


_TOKENS = {
    "subject": "subject_id, lookup, wrapped_salt, sealed",
    "parcel": "subject_id, waybill",
    "custody": "subject_id, waybill, sealed",
    "preference": "subject_id",
}


def test_rows_without_a_mobile_number_belong_to_nobody_and_share_nothing(world: World) -> None:
    # minimise leaves no phone of a masked, tail-only or virtual number in the row.
    rows = [parcel(f"W{i}", ARRIVED, receiver_phone=None, receiver_name=None) for i in range(3)]
    counts = world.load(rows)
    assert counts["people"] == 0
    assert [row["subject_id"] for row in world.parcels()] == [None] * 3
    assert world.people() == []
    assert [slip["waybill"] for slip in world.slips()] == ["W0", "W1", "W2"]


def test_the_record_is_sealed_whole_and_tokens_show_no_number(world: World) -> None:
    world.load([parcel("W1", ARRIVED, receiver_address="广东省深圳市南山区科技路1号")])
    (person,) = world.people()
    assert person["record"] == {
        "name": "张伟",
        "phone": PHONE,
        "address": "广东省深圳市南山区科技路1号",
    }
    for blob in (person["sealed"], person["wrapped_salt"], person["lookup"].bytes):
        assert PHONE.encode() not in bytes(blob)
        assert "张伟".encode() not in bytes(blob)


def test_a_later_sighting_renews_name_and_address_and_keeps_what_it_does_not_give(
    world: World,
) -> None:
    world.load([parcel("W1", ARRIVED, receiver_address="老地址")])
    world.load([parcel("W2", ARRIVED + DAY, receiver_name="张大伟")])
    (person,) = world.people()
    assert person["record"]["name"] == "张大伟"
    assert person["record"]["address"] == "老地址"


def test_a_restricted_person_is_left_as_they_are(world: World) -> None:
    world.load([parcel("W1", ARRIVED)])
    world.restrict(world.people()[0]["subject_id"])
    counts = world.load([parcel("W2", ARRIVED + DAY, receiver_name="张大伟")])
    assert (counts["restricted_before"], counts["people"]) == (1, 0)
    assert [person["record"]["name"] for person in world.people()] == ["张伟"]


def test_who_is_long_gone_is_masked_at_once(world: World) -> None:
    world.load([collected("W1", at(2026, 9, 1))])
    (person,) = world.people()
    assert person["detail"] == 1
    assert person["record"] == {"name": "张**", "phone": "1******0001", "address": ""}


def test_a_late_old_sighting_does_not_mask_who_is_still_needed(world: World) -> None:
    world.load([collected("W1", at(2026, 9, 1), collected_at=at(2026, 11, 20))])
    world.load([collected("W2", at(2026, 9, 5))])
    (person,) = world.people()
    assert person["detail"] == 0
    assert person["record"]["phone"] == PHONE


def test_a_masked_person_who_comes_back_is_known_in_full_again(world: World) -> None:
    world.load([collected("W1", at(2026, 9, 1))])
    world.load([parcel("W2", ARRIVED, receiver_address="新地址")])
    (person,) = world.people()
    assert person["detail"] == 0
    assert person["record"] == {"name": "张伟", "phone": PHONE, "address": "新地址"}


# Numbers that a carrier gives to somebody else.


def test_a_new_name_after_a_long_silence_opens_a_generation(world: World) -> None:
    world.load([collected("W1", at(2026, 1, 5), receiver_name="李娜")])
    world.load([parcel("W2", ARRIVED)])
    people = world.people()
    assert [person["generation"] for person in people] == [0, 1]
    assert people[0]["lookup"] == people[1]["lookup"]
    subjects = [row["subject_id"] for row in world.parcels()]
    assert subjects == [person["subject_id"] for person in people]


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (at(2026, 1, 5), "张伟"),
        (at(2026, 1, 5), None),
        (ARRIVED - timedelta(days=180), "李娜"),
    ],
)
def test_the_same_name_or_a_short_silence_opens_none(world: World, first: Any, name: Any) -> None:
    world.load([collected("W1", first, receiver_name=name)])
    world.load([parcel("W2", ARRIVED)])
    assert len(world.people()) == 1


def test_a_masked_person_is_recognised_by_the_masked_name(world: World) -> None:
    world.load([collected("W1", at(2026, 2, 1))])
    world.load([parcel("W2", ARRIVED)])
    assert len(world.people()) == 1


def test_a_masked_person_who_changed_a_preference_is_still_recognised(world: World) -> None:
    world.on(date(2025, 9, 1)).load([collected("W1", at(2025, 7, 1))])
    world.on(date(2025, 9, 1)).load(preferences=[preference(at(2025, 8, 31))])
    assert world.people()[0]["record"]["name"] == "张**"
    world.load([parcel("W2", ARRIVED)])
    assert len(world.people()) == 1


HISTORY = [
    collected("W1", at(2025, 3, 1), receiver_name="李娜"),
    collected("W2", at(2025, 12, 1), receiver_name="王芳"),
    parcel("W3", ARRIVED),
]


def test_importing_the_full_history_again_opens_no_more(world: World) -> None:
    world.load(HISTORY)
    before = world.parcels()
    counts = world.load(HISTORY)
    assert len(world.people()) == 3
    assert counts["new_people"] == 0
    assert counts["unchanged"] == 3
    assert world.parcels() == before


def test_history_in_one_load_or_in_three_gives_the_same_people(world: World) -> None:
    for row in HISTORY:
        world.load([row])
    before = world.parcels()
    assert len({row["subject_id"] for row in before}) == 3
    assert world.load(HISTORY)["changed"] == 0
    assert world.parcels() == before


def test_a_number_that_returns_to_its_first_owner_mixes_nobody(world: World) -> None:
    rows = [
        collected("W1", at(2025, 1, 1), receiver_name="李娜"),
        collected("W2", at(2025, 9, 1), receiver_name="王芳"),
        collected("W3", at(2026, 6, 1), receiver_name="李娜"),
    ]
    for row in rows:
        world.load([row])
    before = [row["subject_id"] for row in world.parcels()]
    assert before[0] != before[1] != before[2]
    for again in (rows[1:2], rows):
        world.load([*again])
        assert [row["subject_id"] for row in world.parcels()] == before


def test_a_name_given_before_a_nameless_row_still_tells_people_apart(world: World) -> None:
    world.load(
        [
            collected("W1", at(2026, 1, 5), receiver_name="李娜"),
            collected("W2", at(2026, 1, 9), receiver_name=None),
            parcel("W3", ARRIVED),
        ]
    )
    one, two, three = (row["subject_id"] for row in world.parcels())
    assert one == two != three


def test_two_stretches_of_one_known_person_can_be_loaded_together(world: World) -> None:
    for i, (moment, name) in enumerate(
        [(at(2026, 1, 5), "李娜"), (at(2026, 6, 1), "李娜"), (at(2026, 10, 1), "张伟")]
    ):
        world.load([collected(f"K{i}", moment, receiver_name=name)])
    assert len(world.people()) == 1
    counts = world.load(
        [collected("W1", at(2026, 1, 5), receiver_name="李娜"), parcel("W2", ARRIVED)],
        preferences=[preference(at(2026, 1, 6)), preference(at(2026, 11, 21), notify_channel=2)],
    )
    assert counts["people"] == 1
    assert world.people()[0]["record"]["name"] == "张伟"
    assert [row["notify_channel"] for row in world.rows("SELECT * FROM preference")] == [2]


def test_two_new_stretches_of_one_known_person_are_both_taken_in(world: World) -> None:
    world.load([collected("W1", at(2025, 1, 5))])
    rows = [
        collected("W2", at(2025, 3, 1), receiver_name="小张"),
        collected("W3", at(2026, 3, 1), receiver_name="张伟"),
    ]
    world.load(rows)
    assert len({row["subject_id"] for row in world.parcels()}) == 1
    assert world.people()[0]["last_seen"] == at(2026, 3, 1)


# Overlapping exports.


@pytest.fixture(params=["read", "looked up"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Known parcels are read through, or looked up by the index as in a large store."""
    if request.param == "looked up":
        monkeypatch.setattr(load, "_MANY_TIMES", -(10**9))
    return str(request.param)


@pytest.mark.usefixtures("either_way")
def test_rows_that_are_known_are_not_written_again(world: World) -> None:
    rows = [parcel("W1", ARRIVED), collected("W2", ARRIVED)]
    world.load(rows)
    before = world.rows("SELECT ctid::text, tableoid::int, * FROM parcel ORDER BY 1")
    counts = world.load(rows, stations=["A1"])
    assert (counts["new"], counts["changed"], counts["unchanged"]) == (0, 0, 2)
    assert world.rows("SELECT ctid::text, tableoid::int, * FROM parcel ORDER BY 1") == before


@pytest.mark.usefixtures("either_way")
def test_a_later_version_wins_and_an_older_one_loses(world: World) -> None:
    waiting, done = parcel("W1", ARRIVED), collected("W1", ARRIVED)
    assert world.load([waiting])["new"] == 1
    assert world.load([done])["changed"] == 1
    counts = world.load([waiting, parcel("W9", ARRIVED)])
    assert (counts["new"], counts["changed"], counts["unchanged"]) == (1, 0, 1)
    kept = next(row for row in world.parcels() if row["collected_at"])
    assert kept["collected_at"] == ARRIVED + timedelta(hours=1)
    assert kept["status"] == 2


@pytest.mark.parametrize(
    "correction",
    [
        {"status": 4, "in_custody": False},
        {"district": 440304},
        {"weight_band": 3},
        {"tags": 1},
        {"receiver_phone": OTHER},
        {"arrived_at": ARRIVED + DAY},
    ],
)
def test_a_correction_of_any_column_is_taken(world: World, correction: dict[str, Any]) -> None:
    world.load([parcel("W1", ARRIVED)])
    before = world.parcels()
    later = world.on(BUSINESS_DATE + DAY)
    counts = later.load([parcel("W1", ARRIVED, **correction)], stations=["A1"])
    assert (counts["new"], counts["changed"], counts["unchanged"]) == (0, 1, 0)
    after = world.parcels()
    assert len(after) == 1
    assert after != before


def test_a_corrected_pick_up_code_or_shelf_is_taken(world: World) -> None:
    world.load([parcel("W1", ARRIVED)])
    world.load([parcel("W1", ARRIVED, shelf="B2", pickup_code="8-8-8")])
    assert world.slips() == [{"waybill": "W1", "shelf": "B2", "code": "8-8-8"}]


def test_a_changed_month_of_arrival_moves_the_parcel(world: World) -> None:
    world.load([parcel("W1", at(2026, 10, 31, 23, 59))])
    counts = world.load([parcel("W1", at(2026, 11, 1, 0, 0))])
    assert counts["changed"] == 1
    (moved,) = world.rows("SELECT tableoid::regclass::text AS place, * FROM parcel")
    assert moved["place"] == "parcel_202611"


def test_a_month_begins_at_midnight_in_shanghai(world: World) -> None:
    rows = [parcel("W1", at(2026, 11, 1, 0, 0)), parcel("W2", at(2026, 10, 31, 23, 59))]
    world.load(rows)
    query = "SELECT tableoid::regclass::text AS place FROM parcel ORDER BY arrived_at"
    assert [row["place"] for row in world.rows(query)] == ["parcel_202610", "parcel_202611"]


def test_a_number_used_again_after_a_year_is_another_parcel(world: World) -> None:
    world.load([collected("W1", at(2025, 11, 1))])
    assert world.load([parcel("W1", at(2026, 11, 2))])["new"] == 1
    assert world.load([parcel("W1", at(2026, 11, 1))])["new"] == 0
    assert len(world.parcels()) == 2


def test_a_number_used_twice_in_one_export_is_two_parcels_when_a_year_lies_between(
    world: World,
) -> None:
    counts = world.load([collected("W1", at(2025, 10, 1)), parcel("W1", ARRIVED)])
    assert (counts["new"], counts["duplicates"]) == (2, 0)


def test_one_number_of_two_carriers_is_two_parcels(world: World) -> None:
    world.load([parcel("W1", ARRIVED), parcel("W1", ARRIVED, carrier=2)])
    assert len(world.parcels()) == 2


def test_every_value_arrives_as_it_was(world: World) -> None:
    moment = ARRIVED.replace(microsecond=123_457)
    world.load([collected("W1", moment, carrier=99, tags=63, weight_band=4, district=659012)])
    (row,) = world.parcels()
    assert row["arrived_at"] == moment
    assert row["collected_at"] == moment + timedelta(hours=1)
    assert (row["carrier"], row["tags"], row["weight_band"], row["district"]) == (99, 63, 4, 659012)
    assert world.people()[0]["first_seen"] == moment


# Custody.


def test_custody_is_sealed_and_removed_at_pick_up(world: World) -> None:
    world.load([parcel("W1", ARRIVED), collected("W2", ARRIVED)])
    (row,) = world.rows("SELECT * FROM custody")
    assert row["arrived_at"] == ARRIVED
    assert b"W1" not in bytes(row["sealed"])
    assert world.slips() == [{"waybill": "W1", "shelf": "A7", "code": "7-1-2"}]
    world.load([collected("W1", ARRIVED)])
    assert world.rows("SELECT * FROM custody") == []


def test_custody_follows_the_parcel_to_another_person(world: World) -> None:
    world.load([parcel("W1", ARRIVED, receiver_phone=None)])
    world.load([parcel("W1", ARRIVED)])
    (row,) = world.rows("SELECT * FROM custody")
    assert row["subject_id"] == world.people()[0]["subject_id"]
    assert world.slips()[0]["waybill"] == "W1"


def test_an_older_use_of_a_number_does_not_end_custody(world: World) -> None:
    world.load([parcel("W1", ARRIVED)])
    world.load([collected("W1", at(2025, 10, 1))])
    assert [slip["waybill"] for slip in world.slips()] == ["W1"]
    world.load([parcel("W1", at(2025, 9, 1))])
    (row,) = world.rows("SELECT * FROM custody")
    assert row["arrived_at"] == ARRIVED


# Preferences.


def test_the_newest_statement_of_preferences_wins(world: World) -> None:
    def stated() -> list[tuple[int, int]]:
        rows = world.rows("SELECT notify_channel, marketing FROM preference")
        return [(row["notify_channel"], row["marketing"]) for row in rows]

    early, late = at(2026, 11, 1), at(2026, 11, 2)
    world.load(preferences=[preference(late, notify_channel=2), preference(early)])
    assert stated() == [(2, -1)]
    assert world.load(preferences=[preference(early, marketing=1)])["preferences"] == 0
    assert stated() == [(2, -1)]
    world.load(preferences=[preference(late + DAY, marketing=0, notify_channel=3)])
    assert stated() == [(3, 0)]


def test_an_undated_statement_is_of_the_business_date(world: World) -> None:
    world.load(preferences=[preference(None, time_window=None)])
    (row,) = world.rows("SELECT updated_at, time_window FROM preference")
    assert row["updated_at"] == at(2026, 11, 23, 0)
    assert row["time_window"] == 0


def test_preferences_follow_the_right_rows_after_people_were_kept_out(world: World) -> None:
    world.load([parcel("W1", ARRIVED)])
    _bury(world, OTHER)
    world.load(
        [parcel("W2", ARRIVED, receiver_phone=OTHER), parcel("W3", ARRIVED)],
        customers=[customer(ARRIVED), customer(ARRIVED, receiver_phone=OTHER)],
        preferences=[
            preference(ARRIVED, receiver_phone=OTHER, notify_channel=4),
            preference(ARRIVED, notify_channel=2),
        ],
    )
    (row,) = world.rows("SELECT * FROM preference")
    assert row["subject_id"] == world.people()[0]["subject_id"]
    assert row["notify_channel"] == 2


# Tombstones.


def _bury(world: World, phone: str) -> None:
    token = world.ring().tombstones("mobile", [phone]).tolist()[0].hex()
    grave = "INSERT INTO tombstone VALUES (:owner, CAST(:token AS uuid), :at, 'request')"
    values = {"owner": world.owner().id, "token": token, "at": ARRIVED}
    with world.store.begin(controller=world.owner().id) as connection:
        connection.execute(text(grave), values)


def test_a_tombstone_keeps_old_rows_out_and_a_later_parcel_opens_a_new_subject(
    world: World,
) -> None:
    world.load([parcel("W1", ARRIVED)])
    old = world.people()[0]["subject_id"]
    with world.store.begin(controller=world.owner().id) as connection:
        for table in ("parcel", "custody", "subject"):
            connection.execute(text(f"DELETE FROM {table}"))
    _bury(world, PHONE)
    rows = [parcel("W1", ARRIVED), parcel("W2", ARRIVED - DAY)]
    counts = world.load(rows, customers=[customer(ARRIVED)], preferences=[preference(ARRIVED)])
    assert (counts["erased_before"], counts["people"], counts["new"]) == (4, 0, 0)
    assert world.census()["subject"] == world.census()["parcel"] == 0
    counts = world.load([*rows, parcel("W3", ARRIVED + timedelta(microseconds=1))])
    assert (counts["erased_before"], counts["new_people"], counts["new"]) == (2, 1, 1)
    assert world.people()[0]["subject_id"] != old


def test_a_tombstone_of_one_owner_keeps_nobody_out_of_another(world: World) -> None:
    _bury(world, PHONE)
    assert world.load([parcel("W1", ARRIVED)], stations=["B1"])["erased_before"] == 0


# One transaction, once.


def test_the_same_shard_twice_writes_nothing(world: World) -> None:
    handoff = world.shard([parcel("W1", ARRIVED)], preferences=[preference(ARRIVED)])
    first = world.write(handoff)
    before = world.census()
    again = world.write(handoff)
    assert again.details["already"] is True
    assert again.counts == first.counts
    assert world.census() == before


def test_a_check_that_raises_leaves_nothing_half_loaded(world: World) -> None:
    def refuse(table: pa.Table) -> list[dict[str, Any]]:
        raise QualityGateClosed("validate.pseudonymised", rule="r", column="c", bad=1, rows=1)

    handoff = world.shard([parcel("W1", ARRIVED)], preferences=[preference(ARRIVED)])
    before = world.census()
    with pytest.raises(QualityGateClosed):
        dataclasses.replace(world, check=refuse).write(handoff)
    assert world.census() == before
    assert world.write(handoff).counts["new"] == 1


def test_the_check_sees_the_rows_that_will_be_written(world: World) -> None:
    seen: list[pa.Table] = []

    def look(table: pa.Table) -> list[dict[str, Any]]:
        seen.append(table)
        return []

    rows = [parcel("W1", ARRIVED), collected("W2", ARRIVED, receiver_phone=None, _file=1)]
    dataclasses.replace(world, check=look).load([*rows, rows[0]], stations=["A1", "A2"])
    (table,) = seen
    shown = sorted(table.to_pylist(), key=lambda row: row["waybill"])
    kept = sorted(world.parcels(), key=lambda row: row["waybill"].bytes)
    assert len(shown) == 2
    for left, right in zip(shown, kept, strict=True):
        assert left["waybill"] == right["waybill"].bytes
        assert left["subject_id"] == (right["subject_id"] and right["subject_id"].bytes)
        assert left["subject_id"] != NOBODY
        for name in ("controller_id", "station_id", "arrived_at", "collected_at", "status"):
            assert left[name] == right[name]


def test_two_tries_at_once_write_once(world: World) -> None:
    handoff = world.shard([parcel(f"W{i}", ARRIVED) for i in range(50)])
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: world.write(handoff), range(2)))
    assert sorted("already" in result.details for result in done) == [False, True]
    assert done[0].counts == done[1].counts
    census = world.census()
    assert (census["parcel"], census["subject"], census["effect"]) == (50, 1, 1)


def test_two_shards_of_one_owner_at_once_share_the_person(world: World) -> None:
    shards = [world.shard([parcel(f"W{i}", ARRIVED)], stations=["A1"]) for i in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(world.write, shards))
    assert len(world.people()) == 1
    assert len(world.parcels()) == 2


@pytest.mark.parametrize("empty", [{}, {"artifacts": {}}])
def test_a_shard_whose_files_were_all_set_aside_is_recorded(
    world: World, empty: dict[str, Any]
) -> None:
    problem = Problem("ingest.empty", {"file": "x"}, 23)
    handoff = world.shard(**empty)
    handoff = dataclasses.replace(handoff, problems={handoff.shard.files[0].path: problem})
    counts = world.write(handoff).counts
    assert counts["in"] == 0
    (batch,) = world.rows("SELECT state, problem FROM batch")
    assert batch["state"] == "set_aside"
    assert batch["problem"]["exit_code"] == 23


def test_everything_that_proves_the_shard_is_committed_with_it(world: World) -> None:
    def judge(table: pa.Table) -> list[dict[str, Any]]:
        return [{**_VERDICT, "rule": "pseudonymised.x"}]

    rows = [
        {**_SET_ASIDE, "_row": 7, "payload": '{"receiver_name":"张伟"}'},
        {**_SET_ASIDE, "_row": 9, "_file": 1, "payload": '{"receiver_name":"李娜"}'},
    ]
    handoff = dataclasses.replace(world, check=judge).load(
        [parcel("W1", ARRIVED)],
        quarantine=rows,
        stations=["A1", "A2"],
        details={"quality": [_VERDICT]},
        history=({"step": "ingest", "counts": {"in": 1}, "reasons": {}, "seconds": 0.5},),
    )
    assert handoff["new"] == 1
    census = world.census()
    assert (census["batch"], census["quarantine"], census["quality_result"]) == (2, 2, 2)
    assert (census["step_result"], census["ledger_entry"], census["effect"]) == (3, 3, 1)
    sealed = world.rows(
        "SELECT s.code, q.row_number, q.sealed FROM quarantine q JOIN batch b ON b.id = q.batch_id"
        " JOIN station s ON s.id = b.station_id ORDER BY q.row_number"
    )
    day = BUSINESS_DATE.isoformat()
    for row, payload in zip(sealed, (row["payload"] for row in rows), strict=True):
        box = DayBox(world.store.provider, "quarantine", row["code"], day)
        assert box.unseal([bytes(row["sealed"])]) == [str(payload).encode()]


_SET_ASIDE = {"_sheet": "", "dataset": "parcels", "rule": "ingest.bad_time", "column": "arrived_at"}
_VERDICT = {
    "station": "A1",
    "dataset": "parcels",
    "suite": "parcels",
    "rule": "parcels.x",
    "dimension": "accuracy",
    "severity": "warning",
    "evaluated": 1,
    "failed": 0,
}


# Ciphertexts stay where they belong.


@pytest.mark.parametrize(
    "moved",
    [
        ("subject", "sealed", "subject_id"),
        ("subject", "wrapped_salt", "subject_id"),
        ("custody", "sealed", "waybill"),
    ],
)
@pytest.mark.parametrize("stations", [("A1", "A1"), ("A1", "B1")])
def test_what_is_moved_to_another_person_or_owner_does_not_open(
    world: World, moved: tuple[str, str, str], stations: tuple[str, str]
) -> None:
    for i, (phone, station) in enumerate(zip((PHONE, OTHER), stations, strict=True)):
        world.load([parcel(f"W{i}", ARRIVED, receiver_phone=phone)], stations=[station])
    assert world.people()
    assert world.slips()
    table, column, key = moved
    swap = f"UPDATE {table} t SET {column} = o.{column} FROM {table} o WHERE o.{key} <> t.{key}"
    with world.store.admin().begin() as connection:
        connection.execute(text(swap))
    opened = world.people if table == "subject" else world.slips
    with pytest.raises(KeyProblem):
        opened()


def test_a_lost_epoch_key_stops_the_shard_before_anything_is_written(world: World) -> None:
    handoff: Handoff = world.shard([parcel("W1", ARRIVED)])
    before = world.census()
    world.store.provider.destroy("epoch/A/1")
    with pytest.raises(KeyProblem):
        world.write(handoff)
    assert world.census() == before
