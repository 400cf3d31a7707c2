"""Whatever changes rows of a watched table leaves a note, and what does not happen leaves none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from minimised import World
from nights import NOW
from safehands.night import Night
from safehands.store import Store
from safehands.store.changes import (
    WATCHED,
    Changes,
    forget_changes,
    note_everything,
    read_changes,
    watched,
)

READER = "backup"
PARCEL = (
    "INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,"
    " district, batch_id, carrier, status, weight_band, tags) VALUES"
    " (:c, 1, 'a0000000-0000-0000-0000-00000000000{n}', NULL, '{at}', NULL, 440305, 1, 1, 1, 1, 0)"
)
PERSON = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen) VALUES (:c,"
    " '{d}0000000-0000-0000-0000-000000000001', gen_random_uuid(), 0, 1, 'w', 1, 's', 0,"
    " '2026-11-02', '2026-11-03')"
)
CORRECTED = (
    "INSERT INTO correction VALUES"
    " (:c, '{d}0000000-0000-0000-0000-000000000001', 1, 1, 'w', '2026-11-03', 'officer')"
)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    with store.admin().begin() as connection:
        connection.execute(text("SELECT add_month('2026-10-01'), add_month('2026-11-01')"))
    return made


@pytest.fixture
def owner(world: World) -> int:
    return world.owner("A").id


def forgotten(store: Store) -> None:
    with store.begin() as connection:
        forget_changes(connection, read_changes(connection, READER))


def seen(store: Store) -> Changes:
    with store.begin("safehands_backup") as connection:
        return read_changes(connection, READER)


Do = Callable[[Connection], Any]


def run(store: Store, owner: int, *statements: str) -> None:
    with store.admin().begin() as connection:
        for statement in statements:
            connection.execute(text(statement), {"c": owner})


def test_every_large_table_of_people_is_watched(store: Store) -> None:
    with store.begin("safehands_backup") as connection:
        assert watched(connection) == WATCHED


def test_a_new_store_and_a_new_reader_have_seen_nothing(store: Store) -> None:
    assert seen(store).everything
    forgotten(store)
    assert seen(store) == Changes((), everything=False, places={})


WAYS: dict[str, tuple[str, set[Any]]] = {
    "insert": (PARCEL.format(n=2, at="2026-10-31 16:00+00"), {("c", "202611")}),
    "the last hour of a month": (
        PARCEL.format(n=2, at="2026-10-31 15:59:59.999999+00"),
        {("c", "202610")},
    ),
    "update": ("UPDATE parcel SET status = 2", {("c", "202611")}),
    "update to another month": (
        "UPDATE parcel SET arrived_at = '2026-10-05'",
        {("c", "202610"), ("c", "202611")},
    ),
    "delete": ("DELETE FROM parcel", {("c", "202611")}),
    "truncate": ("TRUNCATE parcel", {(None, None), (None, "202610"), (None, "202611")}),
    "merge": (
        "MERGE INTO parcel p USING (VALUES (1)) v (x) ON p.carrier = v.x"
        " WHEN MATCHED THEN UPDATE SET carrier = 2",
        {("c", "202611")},
    ),
    "insert or update": (
        PARCEL.format(n=1, at="2026-11-20 12:00+08")
        + " ON CONFLICT (controller_id, waybill, arrived_at) DO UPDATE SET tags = 1",
        {("c", "202611")},
    ),
    "a month's own table": ("UPDATE parcel_202611 SET status = 2", {(None, "202611")}),
    "a month's own table emptied": ("TRUNCATE parcel_202611", {(None, "202611")}),
    "an empty month dropped": ("SELECT drop_month('2026-10-01')", {(None, "202610")}),
    "an old month dropped": (
        "SELECT drop_old_month('2026-11-01', timestamptz '2026-12-01 00:00+08')",
        {(None, "202611")},
    ),
    "nothing found": ("UPDATE parcel SET status = 2 WHERE carrier = 9", set()),
    "a new month": ("SELECT add_month('2026-12-01')", set()),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_change_parcels_is_noted(world: World, owner: int, way: str) -> None:
    run(world.store, owner, PARCEL.format(n=1, at="2026-11-20 12:00+08"))
    forgotten(world.store)
    statement, wanted = WAYS[way]
    run(world.store, owner, statement)
    assert seen(world.store).of("parcel") == {(owner if c == "c" else c, m) for c, m in wanted}


def test_a_role_that_plays_a_replica_is_noted_too(world: World, owner: int) -> None:
    forgotten(world.store)
    run(world.store, owner, "SET LOCAL session_replication_role = replica", PERSON.format(d="c"))
    assert seen(world.store).of("subject") == {(owner, "c")}


def test_what_goes_by_a_foreign_key_is_noted(world: World, owner: int) -> None:
    run(world.store, owner, PERSON.format(d="c"), CORRECTED.format(d="c"))
    forgotten(world.store)
    run(world.store, owner, "DELETE FROM subject")
    assert seen(world.store).of("correction") == {(owner, "c")}


def test_rows_moved_by_the_owners_functions_are_noted(world: World, owner: int) -> None:
    person = "c0000000-0000-0000-0000-000000000001"
    run(
        world.store,
        owner,
        PERSON.format(d="c"),
        PARCEL.format(n=1, at="2026-11-20 12:00+08").replace("NULL", f"'{person}'", 1),
    )
    forgotten(world.store)
    with world.store.begin(controller=owner) as connection:
        call = text("SELECT restrict_subject(:who, 'r', now(), NULL, 'officer')")
        connection.execute(call, {"who": person})
    changes = seen(world.store)
    assert changes.of("parcel") == {(owner, "202611")}
    assert changes.of("parcel_held") == {(owner, "a")}
    assert changes.of("restriction") == changes.of("subject") == {(owner, "c")}


def test_a_change_that_is_undone_leaves_no_note(world: World, owner: int) -> None:
    forgotten(world.store)
    with world.store.admin().begin() as connection:
        save = connection.begin_nested()
        connection.execute(text(PERSON.format(d="c")), {"c": owner})
        save.rollback()
        connection.execute(text(PERSON.format(d="d")), {"c": owner})
    assert seen(world.store).of("subject") == {(owner, "d")}


def test_a_note_that_came_after_the_snapshot_is_not_forgotten(world: World, owner: int) -> None:
    forgotten(world.store)
    with world.store.begin("safehands_backup") as reader:
        reader.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        with world.store.admin().begin() as late:
            late.execute(text(PERSON.format(d="c")), {"c": owner})
            early = read_changes(reader, READER)
        assert read_changes(reader, READER) == early
    with world.store.begin() as connection:
        forget_changes(connection, early)
    assert early.of("subject") == frozenset()
    assert seen(world.store).of("subject") == {(owner, "c")}


def test_each_reader_has_notes_of_its_own(world: World, owner: int) -> None:
    run(world.store, owner, "INSERT INTO change_consumer VALUES ('other')")
    forgotten(world.store)
    run(world.store, owner, PERSON.format(d="c"))
    forgotten(world.store)
    with world.store.begin() as connection:
        assert read_changes(connection, "other").touched("subject", owner, "c")
        note_everything(connection, "other")
        assert read_changes(connection, "other").everything
    assert not seen(world.store).everything


def test_a_cut_is_touched_by_its_own_notes_and_by_wider_ones() -> None:
    cuts = frozenset({(1, "202611"), (2, None), (None, "202601")})
    changes = Changes((), everything=False, places={"parcel": cuts})
    touched = {(1, "202611"), (2, "202505"), (7, "202601")}
    untouched = {(1, "202610"), (7, "202611")}
    assert all(changes.touched("parcel", *cut) for cut in touched)
    assert not any(changes.touched("parcel", *cut) for cut in untouched)
    assert not changes.touched("subject", 1, "0")


SWITCHES = (
    "ALTER TABLE parcel DISABLE TRIGGER note_update",
    "ALTER TABLE parcel_202611 DISABLE TRIGGER note_month",
    "ALTER TABLE parcel ENABLE TRIGGER note_update",
    "DROP TRIGGER note_truncate ON parcel",
)


@pytest.mark.parametrize("statement", SWITCHES)
def test_a_table_whose_triggers_are_off_is_not_called_watched(
    world: World, owner: int, statement: str
) -> None:
    run(world.store, owner, statement)
    with world.store.begin("safehands_backup") as connection:
        assert watched(connection) == WATCHED - {"parcel"}
