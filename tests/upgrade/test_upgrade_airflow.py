"""Airflow's own database, as an earlier Airflow left it, is brought to the installed one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from safehands import embedded
from safehands.settings import Settings
from safehands_airflow import home, launcher

# Airflow's own way back from here to 3.1 fails on PostgreSQL.
EARLIER = "3.2.0"


@pytest.fixture
def place() -> Iterator[tuple[Settings, Mapping[str, str]]]:
    folder = Path(tempfile.mkdtemp(prefix="sh-upgrade-airflow-"))
    settings = Settings.read({}, home=str(folder / "home"), lang="en")
    prefixes = ("AIRFLOW", "SAFEHANDS_", "PG")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    embedded.start(embedded.Place(settings.home), durable=False)
    yield settings, home.prepare(settings, kept)
    embedded.remove(embedded.Place(settings.home))
    shutil.rmtree(folder)


def airflow(environment: Mapping[str, str], *words: str) -> int:
    command = [sys.executable, "-m", "airflow", *words]
    return subprocess.run(
        command, env=dict(environment), capture_output=True, check=False
    ).returncode


def ask(environment: Mapping[str, str], query: str) -> list[tuple[object, ...]]:
    engine = create_engine(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        found = connection.execute(text(query))
        rows = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return rows


def test_an_earlier_airflow_database_keeps_what_is_in_it(
    place: tuple[Settings, Mapping[str, str]],
) -> None:
    settings, environment = place
    base = home.airflow_home(settings)
    launcher.migrate(environment, base)
    newest = ask(environment, "SELECT version_num FROM alembic_version")
    assert airflow(environment, "db", "downgrade", "--to-version", EARLIER, "--yes") == 0
    assert ask(environment, "SELECT version_num FROM alembic_version") != newest
    ask(
        environment,
        "INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('kept', 7, false)",
    )
    launcher.migrate(environment, base)
    assert ask(environment, "SELECT version_num FROM alembic_version") == newest
    assert ask(environment, "SELECT slots FROM slot_pool WHERE pool = 'kept'") == [(7,)]
