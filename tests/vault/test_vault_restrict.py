"""A restricted record is stored and nothing else (PIPL 47 ¶2): every step, every role, its end."""

from __future__ import annotations

import inspect
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from sqlalchemy import text

from minimised import PHONE, World, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.backup.reading import read_rows
from safehands.backup.tables import tables
from safehands.errors import AccessRefused
from safehands.ingest import ingest
from safehands.minimise import minimise
from safehands.night import Night
from safehands.purge import count_due, purge
from safehands.report.evidence import gather
from safehands.report.people import people_table
from safehands.report.retention import retained
from safehands.store import Store, driver
from safehands.store.digest import store_digest
from safehands.validate import validate
from safehands.vault.restrict import release, restrict

ARRIVED = at(2026, 11, 20)
DAY = timedelta(days=1)
OTHER = "13900000002"
PEOPLE = ("subject", "parcel", "custody", "preference")


@pytest.fixture
def world(store: Store, night: Night) -> World:
    """One person with a row in every table, and somebody else with a parcel."""
    made = World(store, night, NOW)
    made.load(
        [
            parcel("W1", ARRIVED),
            collected("W2", ARRIVED - DAY),
            collected("W3", ARRIVED, receiver_phone=OTHER, receiver_name="李四"),
        ],
        customers=[customer(ARRIVED)],
        preferences=[preference(ARRIVED)],
    )
    return made


def subject(world: World, name: str = "张伟") -> UUID:
    found: UUID = next(p["subject_id"] for p in world.people() if p["record"]["name"] == name)
    return found


def seen(world: World, role: str) -> dict[str, int]:
    with world.store.begin(role, world.owner().id) as connection:
        return {
            table: int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
            for table in PEOPLE
            if role != "safehands_analyst" or table in ("parcel", "preference")
        }


# Roles.


def test_every_role_but_the_backups_finds_nobody(world: World) -> None:
    world.restrict(subject(world))
    for role in ("safehands_pipeline", "safehands_officer"):
        assert seen(world, role) == {"subject": 1, "parcel": 1, "custody": 0, "preference": 0}
    assert seen(world, "safehands_analyst") == {"parcel": 1, "preference": 0}
    assert seen(world, "safehands_backup") == {
        "subject": 2,
        "parcel": 1,
        "custody": 1,
        "preference": 1,
    }
    held = "SELECT count(*) FROM parcel_held"
    with world.store.begin("safehands_backup") as connection:
        assert connection.execute(text(held)).scalar_one() == 2


@pytest.mark.parametrize(
    ("role", "table", "others"),
    [
        ("safehands_analyst", "preference", 0),
        ("safehands_officer", "preference", 0),
        ("safehands_officer", "custody", 0),
        ("safehands_officer", "subject", 1),
    ],
)
def test_no_role_of_people_can_say_it_is_upkeep(
    world: World, role: str, table: str, others: int
) -> None:
    world.restrict(subject(world))
    with world.store.begin(role, world.owner().id, storage=True) as connection:
        found = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    assert found == others


# Steps.


def test_ingest_validate_and_minimise_are_given_no_store() -> None:
    for step in (ingest, validate, minimise):
        assert "store" not in inspect.signature(step).parameters


def test_pseudonymise_keeps_old_rows_out_and_leaves_the_record_alone(world: World) -> None:
    who = subject(world)
    world.restrict(who)
    before = _row(world, who)
    counts = world.load(
        [collected("W1", ARRIVED, receiver_name="张大伟"), parcel("W9", ARRIVED + DAY)],
        customers=[customer(ARRIVED + DAY, receiver_name="张大伟"), customer(None)],
        preferences=[preference(ARRIVED + DAY, notify_channel=3), preference(None)],
    )
    assert counts["restricted_before"] == 6
    assert (counts["people"], counts["new_people"]) == (0, 0)
    assert _row(world, who) == before


def test_a_stored_parcel_does_not_come_back_under_a_hidden_number(world: World) -> None:
    world.restrict(subject(world))
    counts = world.load([collected("W1", ARRIVED, receiver_phone=None, receiver_name=None)])
    assert counts["restricted_before"] == 1
    assert [row["station_id"] for row in world.parcels()] == [1]
    again = world.load([parcel("W1", ARRIVED + 400 * DAY, receiver_phone=None)])
    assert again["new"] == 1


def test_a_parcel_that_arrives_later_opens_a_new_subject(world: World) -> None:
    who = subject(world)
    world.restrict(who)
    later = world.on(BUSINESS_DATE + 5 * DAY)
    counts = later.load([parcel("W9", NOW + DAY)], customers=[customer(None)])
    assert counts["new_people"] == 1
    mine = [p for p in world.people() if p["record"]["phone"] == PHONE]
    assert sorted((p["generation"], p["restricted"]) for p in mine) == [(-1, True), (0, False)]
    assert len({p["subject_id"] for p in mine}) == 2


def test_purge_neither_masks_nor_deletes_nor_counts_it(world: World) -> None:
    world.restrict(subject(world))
    before = _row(world, subject(world))
    later = world.on(BUSINESS_DATE + 800 * DAY)
    assert count_due(later.night, later.store)["custody_detail"] == 0
    purge(later.night, later.store, later.now, later.night.business_date)
    assert _row(world, before["subject_id"]) == before
    assert [p["record"]["name"] for p in world.people()] == ["张伟"]


def test_report_and_its_figures_do_not_see_it(world: World) -> None:
    night = world.night
    with world.store.begin(controller=world.owner().id) as connection:
        whole = people_table(connection).num_rows
    world.restrict(subject(world))
    with world.store.begin(controller=world.owner().id) as connection:
        assert (whole, people_table(connection).num_rows) == (2, 1)
    (counts,) = [o for o in gather(night, world.store)["owners"] if o["code"] == "A"]
    assert (counts["people"], counts["parcels"], counts["preferences"]) == (1, 1, 0)
    held = {row["rule"]: row["held"] for row in retained(night, world.store)[0]}
    assert (held["contact_detail"], held["custody_detail"], held["idle_preference"]) == (1, 0, 0)


def test_what_a_night_replaced_goes_with_the_restriction(world: World) -> None:
    """The purge, which removes it otherwise, does not see restricted people."""
    who = subject(world)
    with world.store.admin().begin() as connection:
        connection.execute(text("UPDATE subject SET before = sealed"))
    world.restrict(who)
    kept = world.rows("SELECT subject_id, before IS NULL AS gone FROM subject", storage=True)
    assert {row["subject_id"]: row["gone"] for row in kept} == {
        row["subject_id"]: row["subject_id"] == who for row in kept
    }


def test_the_backup_has_it(world: World) -> None:
    world.restrict(subject(world))
    with world.store.begin("safehands_backup") as connection:
        known = {table.name: table for table in tables(connection)}
        rows = {
            name: read_rows(driver(connection), known[name], sql.SQL("true")).num_rows
            for name in ("subject", "custody", "preference", "parcel_held", "restriction")
        }
    assert rows == {
        "subject": 2,
        "custody": 1,
        "preference": 1,
        "parcel_held": 2,
        "restriction": 1,
    }


def test_upkeep_sees_it(world: World) -> None:
    before = store_digest(world.store)
    world.restrict(subject(world))
    hidden = store_digest(world.store)
    assert hidden != before
    with world.store.admin().begin() as connection:
        connection.execute(text("UPDATE subject SET last_seen = now() WHERE restricted"))
    assert store_digest(world.store) != hidden


# Release and end.


def test_release_brings_everything_back(world: World) -> None:
    before, census = store_digest(world.store), world.census()
    who = subject(world)
    world.restrict(who)
    release(world.store, world.night.policy, world.access(), NOW, subject=who)
    assert store_digest(world.store) == before
    after = world.census()
    assert {t: after[t] for t in PEOPLE} == {t: census[t] for t in PEOPLE}
    assert seen(world, "safehands_pipeline")["subject"] == 2


def test_release_after_a_new_subject_was_opened_keeps_both(world: World) -> None:
    who = subject(world)
    world.restrict(who)
    world.on(BUSINESS_DATE + 5 * DAY).load([parcel("W9", NOW + DAY)])
    release(world.store, world.night.policy, world.access(), NOW, subject=who)
    mine = [p["generation"] for p in world.people() if p["record"]["phone"] == PHONE]
    assert sorted(mine) == [0, 1]


def test_release_into_a_month_that_was_dropped_makes_it_again(world: World) -> None:
    who = subject(world)
    world.load([collected("OLD", at(2026, 9, 1))])
    world.restrict(who)
    purge(world.night, world.store, NOW)
    release(world.store, world.night.policy, world.access(), NOW, subject=who)
    assert len(world.parcels()) == 4


@pytest.mark.parametrize(("days", "gone"), [(0, False), (1, True)])
def test_at_its_end_the_person_is_deleted_and_stays_away(
    world: World, days: int, gone: bool
) -> None:
    until = date(2026, 12, 24)
    world.restrict(subject(world), until=until)
    later = world.on(until + days * DAY)
    counts = purge(later.night, later.store, later.now, later.night.business_date).counts
    assert counts.get("restrictions_ended", 0) == int(gone)
    names = {p["record"]["name"] for p in world.people()}
    assert ("张伟" in names) is not gone
    with world.store.begin("safehands_backup") as connection:
        for table in ("restriction", "parcel_held", "custody", "preference"):
            left = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            assert bool(left) is not gone
    again = world.on(until + 2 * DAY).load([collected("W1", ARRIVED)], customers=[customer(None)])
    assert again["people"] == 0


# Refusals and evidence.


def test_what_does_not_fit_is_refused(world: World) -> None:
    who, policy = subject(world), world.night.policy

    def key(reason: str, until: date | None, target: UUID = who, purpose: str = "rights") -> str:
        access = world.access(purpose)
        with pytest.raises(AccessRefused) as caught:
            restrict(world.store, policy, access, NOW, subject=target, reason=reason, until=until)
        return caught.value.key

    assert key("fun", None) == "vault.unknown_reason"
    assert key("legal_period", None) == "vault.end_missing"
    assert key("request", date(2026, 11, 23)) == "vault.end_past"
    assert key("request", None, uuid4()) == "vault.nobody_to_restrict"
    assert key("request", None, purpose="fun") == "vault.unknown_purpose"
    world.restrict(who)
    assert key("request", None) == "vault.nobody_to_restrict"
    with pytest.raises(AccessRefused) as caught:
        release(world.store, policy, world.access(), NOW, subject=subject(world, "李四"))
    assert caught.value.key == "vault.not_restricted"


def test_both_ways_are_in_the_log_and_the_ledger(world: World) -> None:
    who = subject(world)
    world.restrict(who)
    release(world.store, world.night.policy, world.access(), NOW, subject=who)
    rows = world.rows("SELECT action FROM access_log ORDER BY id")
    assert [row["action"] for row in rows] == ["restrict", "release"]
    with world.store.begin("safehands_backup") as connection:
        found = connection.execute(text("SELECT body FROM ledger_entry WHERE body LIKE '%vault%'"))
        bodies = [str(row[0]) for row in found]
    assert len(bodies) == 2
    assert not any(str(who) in body for body in bodies)


def test_no_token_stands_beside_an_id(world: World) -> None:
    """In an old backup it would lead from a phone number to an erased person's parcels."""
    world.restrict(subject(world))
    token = str(UUID(bytes=world.ring().tombstones("mobile", [PHONE]).tolist()[0]))
    with world.store.begin("safehands_backup") as connection:
        for (table,) in connection.execute(text(_EVERY_TABLE)).all():
            for row in connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars():
                assert token not in row


def test_a_restored_older_store_is_restricted_again(world: World) -> None:
    """As after a restore: the register is new, the people and their parcels are old."""
    who = subject(world)
    with world.store.admin().begin() as connection:
        connection.execute(text("SET LOCAL ROLE safehands_owner"))
        insert = "INSERT INTO restriction VALUES (1, :who, 'request', :at, NULL, 'wang.li')"
        connection.execute(text(insert), {"who": who, "at": NOW})
        connection.execute(text(insert), {"who": uuid4(), "at": NOW})
        connection.execute(
            text("UPDATE subject SET restricted = true WHERE subject_id = :who"), {"who": who}
        )
        assert connection.execute(text("SELECT restrict_again()")).scalar_one() == 1
        assert connection.execute(text("SELECT restrict_again()")).scalar_one() == 0
    assert seen(world, "safehands_pipeline") == {
        "subject": 1,
        "parcel": 1,
        "custody": 0,
        "preference": 0,
    }


def _row(world: World, who: UUID) -> dict[str, Any]:
    query = f"SELECT * FROM subject WHERE subject_id = '{who}'"
    found: dict[str, Any] = world.rows(query, storage=True)[0]
    return found


_EVERY_TABLE = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') AND NOT relispartition"
)
