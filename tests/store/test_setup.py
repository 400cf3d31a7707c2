"""Preparing a store: nothing twice, nothing under the wrong key, nothing for strangers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import make_url

from safehands.errors import KeyProblem, SetupProblem
from safehands.keys import FileProvider
from safehands.settings import PROJECT
from safehands.store import ROLES, Store, migrations, prepare_store

NEWEST = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()
CATALOGUE = """
    SELECT 'class', relname, relkind::text, relacl::text, relrowsecurity::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'role', rolname, rolcanlogin::text, rolsuper::text, rolbypassrls::text
    FROM pg_roles WHERE rolname LIKE 'safehands%' ORDER BY 1, 2
"""
KEYED_BY = """
    SELECT c.relname, EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid
        AND o.attname = 'controller_id' AND NOT o.attisdropped) AS owned, a.attname AS first
    FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition ORDER BY 1
"""


def catalogue(store: Store) -> list[tuple[Any, ...]]:
    with store.admin().connect() as connection:
        return [tuple(row) for row in connection.execute(text(CATALOGUE))]


def test_a_second_preparation_changes_nothing(store: Store) -> None:
    before = catalogue(store)
    prepare_store(store)
    assert catalogue(store) == before
    with store.admin().connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM installation")).scalar_one() == 1
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        assert list(version) == [NEWEST]


def test_the_plan_for_many_machines_knows_which_tables_are_not_keyed_by_owner(store: Store) -> None:
    """docs/scale.md says what Citus would need: a primary key that begins with the owner."""
    with store.admin().connect() as connection:
        tables = [tuple(row) for row in connection.execute(text(KEYED_BY))]
    page = (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
    keyed = [name for name, owned, first in tables if owned and first == "controller_id"]
    otherwise = [name for name, owned, first in tables if owned and first != "controller_id"]
    ownerless = [name for name, owned, _ in tables if not owned]
    assert len(otherwise) + len(ownerless) > 40
    [line] = [one for one in page if one.startswith(f"- {len(otherwise)} tables have")]
    assert set(otherwise) <= set(line.split("`"))
    [line] = [one for one in page if one.startswith(f"- {len(ownerless)} tables have no owner")]
    assert set(ownerless) <= set(line.split("`"))
    assert any(f"`custody`, {len(keyed)} in all" in one for one in page)


def test_no_role_of_ours_may_do_more_than_log_in(store: Store) -> None:
    query = (
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'safehands%'"
        " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    )
    with store.admin().connect() as connection:
        assert connection.execute(text(query)).all() == []


@pytest.mark.parametrize("role", ROLES)
def test_each_role_logs_in(store: Store, role: str) -> None:
    with store.begin(role) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == role


def test_each_role_has_a_password_of_its_own_kept_as_a_verifier(store: Store) -> None:
    # Whether one is asked for is the server's to say; test_embedded.py shows that ours does.
    query = "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'safehands%'"
    with store.admin().connect() as connection:
        verifiers = connection.execute(text(query)).scalars().all()
    assert len(set(verifiers)) == len(ROLES)
    assert all(verifier.startswith("SCRAM-SHA-256$") for verifier in verifiers)


def test_a_store_of_another_root_key_is_refused_and_left_alone(
    store: Store, tmp_path: Path
) -> None:
    before = catalogue(store)
    other = FileProvider(tmp_path / "other", tmp_path / "second")
    other.create("root")
    with pytest.raises(KeyProblem) as caught:
        prepare_store(Store(store.url, other))
    assert caught.value.key == "keys.other_root"
    assert catalogue(store) == before
    with store.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_missing_root_key_is_not_made_anew_for_a_store_that_has_one(
    store: Store, tmp_path: Path
) -> None:
    empty = FileProvider(tmp_path / "empty", tmp_path / "second")
    with pytest.raises(KeyProblem) as caught:
        prepare_store(Store(store.url, empty))
    assert caught.value.key == "keys.missing"
    assert not empty.has("root")


def test_a_new_database_is_made_with_an_awkward_name(
    store: Store, provider: FileProvider, tmp_path: Path
) -> None:
    url = make_url(store.url).set(database="sh_test_New 'store\"")
    made = Store(url.render_as_string(hide_password=False), provider)
    try:
        prepare_store(made)
        assert len(catalogue(made)) == len(catalogue(store))
    finally:
        made.close()


def test_a_server_that_is_not_there_is_a_setup_problem(tmp_path: Path) -> None:
    nowhere = f"postgresql+psycopg://u@/x?host={tmp_path}"
    lost = Store(nowhere, FileProvider(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(SetupProblem):
        prepare_store(lost)
    lost.provider.create("root")
    with pytest.raises(SetupProblem), lost.begin():
        raise AssertionError("no connection can have been made")


def test_the_url_with_its_secret_is_not_shown(store: Store) -> None:
    assert store.url not in repr(store)


def test_the_embedded_server_stores_no_password_in_clear(store: Store) -> None:
    with store.admin().connect() as connection:
        stored = connection.execute(
            text("SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'safehands%'")
        ).scalars()
        assert all(str(value).startswith("SCRAM-SHA-256$") for value in stored)


def test_a_copied_key_folder_belongs_to_the_same_store(store: Store, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(store.provider.first, copied)
    before = catalogue(store)
    again = Store(store.url, FileProvider(copied, tmp_path / "second"))
    prepare_store(again)
    again.close()
    assert catalogue(store) == before
