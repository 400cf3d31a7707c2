"""Who may do what to which table; and what one owner's connection sees of another's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from minimised import World, parcel, preference
from nights import NOW
from safehands.night import Night
from safehands.store import ROLES, Store, driver
from safehands.store.bulk import copy_in, uuids

PERSONAL = ("subject", "parcel", "custody", "preference", "tombstone", "quarantine")
EVIDENCE = ("batch", "step_result", "quality_result", "backup", "risk_assessment")
OWNERS = ("controller", "record_set", "station")
KEYS = ("controller_key", "epoch")
LEDGER = ("ledger_entry", "ledger_checkpoint")
INSIDE = ("effect", "outbox", "backup_object")
TABLES = (*PERSONAL, *EVIDENCE, *OWNERS, *KEYS, *LEDGER, *INSIDE, "installation")
LOADED = ("subject", "parcel", "custody", "preference")

READ: dict[str, set[str]] = {
    "safehands_pipeline": set(TABLES),
    "safehands_backup": set(TABLES),
    "safehands_analyst": {
        "parcel",
        "preference",
        "controller",
        "station",
        "quality_result",
        "risk_assessment",
    },
    "safehands_auditor": {*EVIDENCE, *OWNERS, *LEDGER},
    "safehands_officer": {
        "subject",
        "parcel",
        "custody",
        "preference",
        "tombstone",
        "batch",
        *OWNERS,
        *KEYS,
    },
}
INSERT = {"safehands_pipeline": set(TABLES) - {"installation"}}
DELETE = {"safehands_pipeline": {*LOADED, "quarantine", "backup_object"}}
COLUMNS = {
    "controller": {"name", "kind"},
    "record_set": {"role", "by_whom"},
    "station": {"name"},
    "outbox": {"done"},
    "ledger_entry": {"seq"},
    "tombstone": {"erased_at"},
}
STRANGERS = [role for role in ROLES if role not in {"safehands_owner", "safehands_pipeline"}]


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(DBAPIError) as caught:
        yield
    assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)


def columns(store: Store) -> dict[str, list[str]]:
    query = (
        "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND c.relname <> 'alembic_version' GROUP BY 1"
    )
    with store.admin().connect() as connection:
        return {name: list(found) for name, found in connection.execute(text(query))}


def attempts(table: str, own: list[str]) -> dict[tuple[str, str], str]:
    """Return one harmless statement per privilege; updates per column."""
    made = {
        ("select", ""): f"SELECT * FROM {table} LIMIT 0",
        ("delete", ""): f"DELETE FROM {table} WHERE false",
        ("insert", ""): f"INSERT INTO {table} DEFAULT VALUES",
    }
    for name in own:
        made["update", name] = f"UPDATE {table} SET {name} = DEFAULT WHERE false"
    return made


def works(connection: Connection, statement: str) -> bool:
    save = connection.begin_nested()
    try:
        connection.execute(text(statement))
    except DBAPIError as error:
        save.rollback()
        # A row without values may be refused by a constraint or a policy: no matter of rights.
        return "permission denied" not in str(error.orig)
    save.rollback()
    return True


def test_the_matrix_knows_every_table(store: Store) -> None:
    assert set(columns(store)) == set(TABLES)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "safehands_owner"])
def test_each_role_may_do_what_it_needs_and_nothing_else(store: Store, role: str) -> None:
    wrong = []
    with store.begin(role) as connection:
        for table, own in columns(store).items():
            for (verb, column), statement in attempts(table, own).items():
                allowed = {
                    "select": table in READ[role],
                    "insert": table in INSERT.get(role, ()),
                    "delete": table in DELETE.get(role, ()),
                    "update": role == "safehands_pipeline"
                    and (table in LOADED or column in COLUMNS.get(table, ())),
                }[verb]
                if works(connection, statement) != allowed:
                    wrong.append((verb, table, column, "allowed" if allowed else "refused"))
    assert wrong == []


@pytest.mark.parametrize("role", [role for role in ROLES if role != "safehands_owner"])
def test_no_role_reaches_a_month_past_its_policies(world: World, role: str) -> None:
    world.load([parcel("W1", NOW)])
    with refused(), world.store.begin(role) as connection:
        connection.execute(text("SELECT * FROM parcel_202611"))


@pytest.mark.parametrize("role", STRANGERS)
@pytest.mark.parametrize(
    "call", ["add_month('2026-11-01')", "drop_month('2026-11-01')", "settle_load()"]
)
def test_only_the_pipeline_makes_and_drops_months(store: Store, role: str, call: str) -> None:
    with refused(), store.begin(role) as connection:
        connection.execute(text(f"SELECT {call}"))


@pytest.mark.parametrize("role", [role for role in ROLES if role != "safehands_owner"])
@pytest.mark.parametrize("other", ["safehands_owner", "postgres"])
def test_no_role_becomes_another(store: Store, role: str, other: str) -> None:
    with store.begin(role) as connection, pytest.raises(DBAPIError):
        connection.execute(text(f"SET ROLE {other}"))


@pytest.mark.parametrize("role", [role for role in ROLES if role != "safehands_owner"])
def test_no_role_makes_a_table_or_turns_policies_off(store: Store, role: str) -> None:
    for statement in (
        "CREATE TABLE mine (a int)",
        "ALTER TABLE subject DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE subject NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY one_controller ON subject",
    ):
        with refused(), store.begin(role) as connection:
            connection.execute(text(statement))


# One owner and another.


@pytest.fixture
def filled(world: World) -> World:
    """Owners A and B with a row in every personal table."""
    quarantine = [
        {"_sheet": "", "_row": 2, "dataset": "d", "rule": "r", "column": "", "payload": ""}
    ]
    for station in ("A1", "B1"):
        world.load(
            [parcel("W1", NOW)],
            preferences=[preference(NOW)],
            quarantine=quarantine,
            stations=[station],
        )
        grave = "INSERT INTO tombstone VALUES (:c, gen_random_uuid(), now(), 'request')"
        owner = world.owner(station[0]).id
        with world.store.begin(controller=owner) as connection:
            connection.execute(text(grave), {"c": owner})
    return world


def counts(world: World, role: str, controller: int | None) -> dict[str, int]:
    readable = [table for table in PERSONAL if table in READ[role]]
    with world.store.begin(role, controller) as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in readable
        }


@pytest.mark.parametrize("role", ["safehands_pipeline", "safehands_analyst", "safehands_officer"])
def test_a_connection_sees_the_owner_it_is_bound_to(filled: World, role: str) -> None:
    assert set(counts(filled, role, filled.owner("A").id).values()) == {1}
    assert set(counts(filled, role, None).values()) == {0}
    assert set(counts(filled, role, 99).values()) == {0}


def test_the_backup_role_sees_all(filled: World) -> None:
    assert set(counts(filled, "safehands_backup", None).values()) == {2}


def test_the_binding_ends_with_its_transaction(filled: World) -> None:
    filled.store.close()
    counts(filled, "safehands_pipeline", filled.owner("A").id)
    assert set(counts(filled, "safehands_pipeline", None).values()) == {0}


@pytest.mark.parametrize("table", LOADED)
def test_another_owners_rows_are_neither_changed_nor_taken(filled: World, table: str) -> None:
    mine, theirs = filled.owner("A").id, filled.owner("B").id
    with filled.store.begin(controller=mine) as connection:
        statement = f"DELETE FROM {table} WHERE controller_id = :other"
        assert connection.execute(text(statement), {"other": theirs}).rowcount == 0
    with refused(), filled.store.begin(controller=mine) as connection:
        statement = f"UPDATE {table} SET controller_id = :other"
        connection.execute(text(statement), {"other": theirs})
    assert counts(filled, "safehands_backup", None)[table] == 2


@pytest.mark.parametrize("table", PERSONAL)
def test_a_row_of_another_owner_is_not_written(filled: World, table: str) -> None:
    mine, theirs = filled.owner("A").id, filled.owner("B").id
    own = [name for name in columns(filled.store)[table] if name != "id"]
    values = ", ".join(":other" if name == "controller_id" else name for name in own)
    statement = f"INSERT INTO {table} ({', '.join(own)}) SELECT {values} FROM {table}"
    with refused(), filled.store.begin(controller=mine) as connection:
        connection.execute(text(statement), {"other": theirs})


def test_copy_into_a_table_with_forced_policies_is_refused(world: World) -> None:
    token: Any = uuids([b"t" * 16])
    one: list[Any] = [("i4", np.array([world.owner().id])), ("uuid", token), ("ts", np.array([0]))]
    with world.store.begin(controller=world.owner().id) as connection:
        raw = driver(connection)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="row-level security"):
            copy_in(raw, "tombstone (controller_id, token, erased_at)", one)
