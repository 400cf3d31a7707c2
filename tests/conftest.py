"""Fixtures: one embedded PostgreSQL per test process, one cloned database per test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from nights import BUSINESS_DATE, NOW, fixed_clock
from safehands import embedded
from safehands.installation import Installation, open_installation
from safehands.keys import FileProvider, RunKey
from safehands.night import Night
from safehands.policy import Policy, load_policy
from safehands.settings import Settings
from safehands.store import Store, prepare_store

__all__ = ["BUSINESS_DATE", "NOW", "fixed_clock"]

# A machine that is busy with something else is no failure.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = "sh_template"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what tests recorded as ``told``, also of those that passed in another process."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for line in [told for name, told in report.user_properties if name == "told"]:
                terminalreporter.write_line(str(line))


class Served:
    """A PostgreSQL that somebody else runs, seen like ``embedded.Server``."""

    def __init__(self, url: str) -> None:
        self.address = make_url(url)

    def url(self, database: str) -> str:
        return self.address.set(database=database).render_as_string(hide_password=False)

    def conninfo(self, database: str) -> dict[str, Any]:
        return conninfo_to_dict(self.url(database))


class Cluster:
    """A running server with a prepared template database and the root key it belongs to.

    With ``SAFEHANDS_TEST_SERVER`` (an administrator's URL) it is that one, else an embedded one.
    Its role passwords are this cluster's: one test process at a time per served PostgreSQL.
    """

    def __init__(self, home: Path) -> None:
        served = os.environ.get("SAFEHANDS_TEST_SERVER")
        self.place = _place(home)
        self.server: Any = Served(served) if served else embedded.start(self.place, durable=False)
        self.keys = home / "root-keys"
        self.made = 0
        if served:
            self.drop()
        template = Store(self.server.url(TEMPLATE), FileProvider(self.keys, home / "second"))
        prepare_store(template)
        template.close()

    def clone(self) -> str:
        """Return the administrator's URL of a fresh copy of the template."""
        self.made += 1
        name = f"sh_test_{self.made}"
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return str(self.server.url(name))

    def forget(self, url: str) -> None:
        """Drop a copy that ``clone`` made, whoever is still connected."""
        name = make_url(url).database or ""
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def drop(self) -> None:
        """Drop what tests left on a served PostgreSQL."""
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            left = connection.execute(
                "SELECT datname FROM pg_database WHERE datname ~ '^sh_(template|test_)'"
            ).fetchall()
            for (name,) in left:
                connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def stop(self) -> None:
        """Leave nothing behind."""
        if isinstance(self.server, Served):
            self.drop()
        else:
            embedded.remove(self.place)


def _place(home: Path) -> embedded.Place:
    """Return where the cluster lives: in memory where there is room.

    A copy of the template is some 650 small files; ext4 takes half a second to make them wherever
    as many were deleted in the last minutes.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the server's own folder in it is 0700
    if os.geteuid() == 0 and memory.is_dir() and shutil.disk_usage(memory).free > 8 << 30:
        return embedded.Place(home, system_root=memory / "safehands-tests")
    return embedded.Place(home)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="sh-tests-"))
    made = Cluster(home)
    yield made
    made.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def policy() -> Policy:
    return load_policy(ROOT / "include" / "policy")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty home without a database; the landing folder exists."""
    made = Settings.read({}, home=str(tmp_path / "home"), lang="en", workers="1")
    made.landing.mkdir(parents=True)
    return made


@pytest.fixture
def provider(cluster: Cluster, settings: Settings) -> FileProvider:
    """A key provider of its own, with the template's root key."""
    settings.keys.mkdir(parents=True, mode=0o700)
    shutil.copy2(cluster.keys / "root.key", settings.keys / "root.key")
    return FileProvider(settings.keys, settings.keys_second)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The administrator's URL of a migrated, empty database."""
    url = cluster.clone()
    yield url
    cluster.forget(url)


@pytest.fixture
def store(cluster: Cluster, provider: FileProvider) -> Iterator[Store]:
    """A migrated, empty store."""
    url = cluster.clone()
    made = Store(url, provider)
    yield made
    made.close()
    cluster.forget(url)


@pytest.fixture
def install(
    cluster: Cluster, settings: Settings, provider: FileProvider
) -> Iterator[Callable[[], Installation]]:
    """A function that opens the test's installation (again): the same home, keys and database."""
    url = cluster.clone()
    opened: list[Installation] = []

    def open_again() -> Installation:
        opened.append(open_installation(replace(settings, database_url=url), fixed_clock))
        return opened[-1]

    yield open_again
    for inst in opened:
        inst.close()
    cluster.forget(url)


@pytest.fixture
def inst(install: Callable[[], Installation]) -> Installation:
    return install()


@pytest.fixture
def night(settings: Settings, policy: Policy) -> Night:
    """A night on the business date with a throw-away run key."""
    return Night("nightly-test", BUSINESS_DATE, settings, policy, RunKey("t", b"k" * 32))
