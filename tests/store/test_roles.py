"""Who may do what to which table; and what one owner's connection sees of another's rows.

Everything is tried on the real catalogue: a table that is not entered in ``role_rights`` fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from role_rights import RIGHTS, STRICT
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from minimised import World, parcel, preference
from nights import NOW
from safehands.night import Night
from safehands.store import ROLES, Store, driver
from safehands.store.bulk import copy_in, uuids

PERSONAL = ("subject", "parcel", "custody", "preference", "tombstone", "quarantine")
LOADED = ("subject", "parcel", "custody", "preference")
SERVANTS = [role for role in ROLES if role != "safehands_owner"]
STRANGERS = [role for role in SERVANTS if role != "safehands_pipeline"]


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
    """Return one harmless statement per privilege; reads and updates per column."""
    made = {
        ("delete", ""): f"DELETE FROM {table} WHERE false",
        ("insert", ""): f"INSERT INTO {table} DEFAULT VALUES",
    }
    for name in own:
        made["select", name] = f"SELECT {name} FROM {table} LIMIT 0"
        made["update", name] = f"UPDATE {table} SET {name} = DEFAULT WHERE false"
    return made


def may(role: str, table: str, verb: str, column: str) -> bool:
    """Say what ``role_rights`` says."""
    if role == "safehands_backup":
        return verb == "select"
    granted = RIGHTS[table].get(role.removeprefix("safehands_"), "").split()
    for right in granted:
        kind, _, names = right.partition(":")
        if kind != verb[0]:
            continue
        if names.startswith("-"):
            return column not in names[1:].split(",")
        return not names or column in names.split(",")
    return False


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


def test_every_table_is_entered(store: Store) -> None:
    assert set(columns(store)) == set(RIGHTS)


@pytest.mark.parametrize("role", SERVANTS)
def test_each_role_may_do_what_it_needs_and_nothing_else(store: Store, role: str) -> None:
    wrong = []
    with store.begin(role) as connection:
        for table, own in columns(store).items():
            for (verb, column), statement in attempts(table, own).items():
                allowed = may(role, table, verb, column)
                if works(connection, statement) != allowed:
                    wrong.append((verb, table, column, "allowed" if allowed else "refused"))
    assert wrong == []


def test_no_role_is_a_superuser_or_above_the_policies(store: Store) -> None:
    query = (
        "SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles) AND (rolsuper OR rolbypassrls"
        " OR rolcreaterole OR rolcreatedb OR rolreplication)"
    )
    with store.admin().connect() as connection:
        assert connection.execute(text(query), {"roles": list(ROLES)}).all() == []


def test_every_table_with_a_controller_forces_its_policies(store: Store) -> None:
    query = (
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE a.attname = 'controller_id' AND c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    )
    with store.admin().connect() as connection:
        owned = set(connection.execute(text(query)).scalars()) | {"controller"}
        forced = set(
            connection.execute(
                text("SELECT relname FROM pg_class WHERE relforcerowsecurity AND relrowsecurity")
            ).scalars()
        )
    assert owned - forced == set()
    assert len(owned) > 20


@pytest.mark.parametrize("role", SERVANTS)
def test_functions_are_for_those_who_need_them(store: Store, role: str) -> None:
    query = (
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
        " AND p.prorettype <> 'trigger'::regtype"
        " AND has_function_privilege(:role, p.oid, 'EXECUTE')"
    )
    with store.admin().connect() as connection:
        found = set(connection.execute(text(query), {"role": role}).scalars())
    shared = {"bound_controller"}
    officer = {"restrict_subject", "restrict_subjects", "release_subjects", "restriction_of"}
    officer |= {"renumber_subject", "last_answers", "lawful_basis", "honour_answers"}
    officer |= {"affected_people"}
    if role == "safehands_officer":
        assert found == shared | officer
    elif role != "safehands_pipeline":
        assert found == shared
    else:
        assert "restrict_again" not in found
        assert {"held_waybills", "ended_restrictions", "drop_old_month"} <= found


def test_the_night_connects_as_its_roles_and_nobody_else(world: World) -> None:
    seen: set[str] = set()
    query = (
        "SELECT usename FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )

    def look(table: pa.Table) -> list[dict[str, Any]]:
        with world.store.admin().connect() as connection:
            seen.update(connection.execute(text(query)).scalars())
        return []

    world.store.close()
    world.check = look
    world.load([parcel("W1", NOW)])
    assert seen == {"safehands_pipeline"}


@pytest.mark.parametrize("role", SERVANTS)
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


@pytest.mark.parametrize("role", SERVANTS)
@pytest.mark.parametrize("other", ["safehands_owner", "postgres"])
def test_no_role_becomes_another(store: Store, role: str, other: str) -> None:
    with store.begin(role) as connection, pytest.raises(DBAPIError):
        connection.execute(text(f"SET ROLE {other}"))


@pytest.mark.parametrize("role", SERVANTS)
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
    readable = [table for table in PERSONAL if may(role, table, "select", "controller_id")]
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


# The same on every table of the catalogue, with made-up rows.

VALUES = {
    "int2": "0",
    "int4": "(random() * 1000000000)::int",
    "int8": "(random() * 1000000000)::bigint",
    "float8": "0",
    "bool": "false",
    "text": "md5(random()::text)",
    "jsonb": "'{}'",
    "uuid": "gen_random_uuid()",
    "bytea": "'x'::bytea",
    "date": "date '2026-11-23'",
    "timestamptz": "timestamptz '2026-11-23 12:00+08'",
}


@pytest.fixture
def crowded(world: World) -> World:
    """A row of owner A and one of owner B in every table with a controller.

    What a row says does not matter here, so constraints on it are dropped.
    """
    mine, theirs = world.owner("A").id, world.owner("B").id
    with world.store.admin().begin() as connection:
        connection.execute(text("SELECT add_month('2026-11-01')"))
        for table, check in connection.execute(text(_CHECKS)).all():
            connection.execute(text(f'ALTER TABLE "{table}" DROP CONSTRAINT "{check}"'))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table, own in owned_tables(connection).items():
            for owner in (mine, theirs):
                values = ", ".join(
                    str(owner) if name == "controller_id" else VALUES[kind]
                    for name, kind in own.items()
                )
                connection.execute(
                    text(f"INSERT INTO {table} ({', '.join(own)}) VALUES ({values})")
                )
    return world


def owned_tables(connection: Connection) -> dict[str, dict[str, str]]:
    """Return the tables with a controller: column → type, identities left out."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(text(_OWNED)):
        found.setdefault(table, {})[column] = kind
    return {t: own for t, own in found.items() if "controller_id" in own and t not in REGISTERED}


# Rows of these two are there since the owners were registered.
REGISTERED = ("controller_key", "epoch", "record_set", "station")


def every_owned(world: World) -> list[str]:
    with world.store.admin().connect() as connection:
        return [*owned_tables(connection), *REGISTERED]


def foreign_rows(connection: Connection, table: str, own: int) -> int:
    query = f"SELECT count(*) FROM {table} WHERE controller_id <> :own"
    return int(connection.execute(text(query), {"own": own}).scalar_one())


@pytest.mark.parametrize("role", SERVANTS)
def test_on_every_table_a_role_sees_no_row_of_another_owner(crowded: World, role: str) -> None:
    own = crowded.owner("A").id
    with crowded.store.begin(role, own) as connection:
        for table in every_owned(crowded):
            if may(role, table, "select", "controller_id"):
                hidden = role != "safehands_backup"
                assert (foreign_rows(connection, table, own) == 0) is hidden, table


@pytest.mark.parametrize("role", ["safehands_pipeline", "safehands_analyst", "safehands_officer"])
def test_unbound_nobodys_record_is_seen(crowded: World, role: str) -> None:
    with crowded.store.begin(role) as connection:
        for table in sorted(STRICT):
            if may(role, table, "select", "controller_id"):
                assert foreign_rows(connection, table, 0) == 0, table


@pytest.mark.parametrize("role", ["safehands_pipeline", "safehands_officer"])
def test_on_every_table_no_row_of_another_owner_is_changed_taken_or_written(
    crowded: World, role: str
) -> None:
    own, other = crowded.owner("A").id, crowded.owner("B").id
    with crowded.store.admin().connect() as connection:
        kinds = owned_tables(connection)
    with crowded.store.begin(role, own) as connection:
        for table in every_owned(crowded):
            if may(role, table, "delete", ""):
                gone = f"DELETE FROM {table} WHERE controller_id = :other"
                assert connection.execute(text(gone), {"other": other}).rowcount == 0, table
            for column in columns(crowded.store)[table]:
                if may(role, table, "update", column):
                    change = f"UPDATE {table} SET {column} = {column} WHERE controller_id = :other"
                    assert connection.execute(text(change), {"other": other}).rowcount == 0, table
            if may(role, table, "insert", "") and table in kinds:
                names = kinds[table]
                values = ", ".join(
                    str(other) if name == "controller_id" else VALUES[kind]
                    for name, kind in names.items()
                )
                save = connection.begin_nested()
                with refused():
                    connection.execute(
                        text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})")
                    )
                save.rollback()


def test_a_login_of_one_controller_cannot_choose_another(crowded: World) -> None:
    """The binding of a transaction guards against mistakes; this one guards against people."""
    own, other = crowded.owner("A").id, crowded.owner("B").id
    url = make_url(crowded.store.url)
    login = f"anna_{url.database}"
    with crowded.store.admin().begin() as connection:
        connection.execute(
            text(f"CREATE ROLE {login} LOGIN PASSWORD 'x' IN ROLE safehands_analyst")
        )
        connection.execute(text(f"GRANT CONNECT ON DATABASE {url.database} TO {login}"))
        bind = "INSERT INTO login_controller VALUES (:login, :own)"
        connection.execute(text(bind), {"login": login, "own": own})
    try:
        asked = url.set(username=login, password="x").difference_update_query(["passfile"])
        plain = asked.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain) as anna:
            for wish in (str(other), ""):
                anna.execute("SELECT set_config('safehands.controller', %s, false)", [wish])
                for table in ("parcel", "preference", "quality_result", "station"):
                    found = anna.execute(f"SELECT DISTINCT controller_id FROM {table}").fetchall()
                    assert found == [(own,)], table
    finally:
        with crowded.store.admin().begin() as connection:
            connection.execute(text(f"DROP OWNED BY {login}"))
            connection.execute(text(f"DROP ROLE {login}"))


_OWNED = (
    "SELECT c.relname, a.attname, y.typname FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_type y ON y.oid = a.atttypid WHERE c.relnamespace = 'public'::regnamespace"
    " AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attidentity = ''"
    " AND c.relname <> 'login_controller' ORDER BY 1, a.attnum"
)
_CHECKS = (
    "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c'"
    " AND connamespace = 'public'::regnamespace AND conparentid = 0 AND coninhcount = 0"
)
