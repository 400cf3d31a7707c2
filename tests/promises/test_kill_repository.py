"""Backup, prune, restore and drill: killed, or failing, at any point and done again.

Points are sampled; ``SAFEHANDS_TORTURE=1`` takes every one. The last run is always whole: nothing
lost, nothing twice, the repository verifies and so does the ledger.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from promise_base import Host

from backup_home import NOW, Home, make_home
from safehands import embedded
from safehands.keys import FileProvider
from safehands.policy import Policy
from safehands.store import Store, prepare_store

TORTURE = os.environ.get("SAFEHANDS_TORTURE") == "1"
SAMPLES = {"backup": 6, "prune": 6, "restore": 4, "drill": 4}
TASKS = sorted(SAMPLES)


@dataclass
class Stage:
    """A state to start from, as often as needed."""

    host: Host
    server: embedded.Server
    base: Path
    template: str
    task: str
    made: int = 0

    def fresh(self) -> dict[str, str]:
        """Return a new home with a new database, and the name of one to restore into."""
        self.made += 1
        home = self.base.with_name(f"{self.base.name}-{self.task}-{self.made}")
        shutil.copytree(self.base, home)
        name = f"sh_{self.task}_{self.made}"
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            statement = f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY FILE_COPY"
            connection.execute(statement.encode())
        return {"home": str(home), "database_url": self.server.url(name), "lang": "en"}

    def run(self, settings: dict[str, str], die_at: int | None, how: str = "killed") -> Any:
        """Do the task in a child; return the finished run."""
        name = f"{_database(settings)}_back" if self.task == "restore" else ""
        return self.host.run(
            "repository",
            what=self.task,
            settings=settings,
            target=self.server.url(name) if name else "",
            at=(NOW + timedelta(days=9)).isoformat(),
            die_at=die_at,
            how=how,
        )

    def drop(self, settings: dict[str, str]) -> None:
        """Remove a home and its databases."""
        shutil.rmtree(settings["home"])
        name = _database(settings)
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            for one in (name, f"{name}_back", f"{name}_proof"):
                connection.execute(f"DROP DATABASE IF EXISTS {one} WITH (FORCE)".encode())


def _database(settings: dict[str, str]) -> str:
    return settings["database_url"].split("?")[0].rpartition("/")[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    place = embedded.Place(tmp_path_factory.mktemp("kill-repository"))
    yield embedded.start(place, durable=False)
    embedded.remove(place)


@pytest.fixture(scope="module")
def base(server: embedded.Server, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three generations, the newest proved, and something new to back up."""
    folder = tmp_path_factory.mktemp("kill-repository-home")
    provider = FileProvider(folder / "root", folder / "root-second")
    empty = Store(server.url("sh_base"), provider)
    prepare_store(empty)
    empty.close()
    home = make_home(server.url("sh_base"), folder / "root" / "root.key", policy, folder / "home")
    _fill(home)
    home.store.close()
    return folder / "home"


def _fill(home: Home) -> None:
    # The fake records of this store can't be opened, and a drill opens every one.
    home.admin("TRUNCATE subject, custody, access_log CASCADE", "DELETE FROM quarantine")
    home.admin("UPDATE parcel SET subject_id = NULL", "DELETE FROM preference")
    for day in range(3):
        home.admin(f"UPDATE parcel SET tags = {day}")
        home.backup(day)
    home.admin(
        "INSERT INTO generation_proof (manifest, manifest_digest, kind, proved_at, facts)"
        " SELECT manifest, facts ->> 'manifest_digest', 'prove', now(), '{}' FROM backup"
        " ORDER BY id DESC LIMIT 1",
    )


@pytest.fixture
def stage(request: pytest.FixtureRequest, host: Host, server: Any, base: Path) -> Stage:
    task = request.param
    if task == "backup":
        with psycopg.connect(**server.conninfo("sh_base")) as connection:
            connection.execute("UPDATE parcel SET tags = 3 WHERE district > 0")
    return Stage(host, server, base, "sh_base", task)


@pytest.mark.parametrize("stage", TASKS, indirect=True)
@pytest.mark.parametrize("how", ["killed", "eio", "full"])
def test_a_task_that_was_cut_off_and_done_again_is_an_undisturbed_one(
    stage: Stage, how: str
) -> None:
    undisturbed = _undisturbed(stage)
    differing = {}
    wanted = SAMPLES[stage.task] if how == "killed" else SAMPLES[stage.task] // 2
    for at in _sampled(undisturbed["points"], wanted):
        settings = stage.fresh()
        ended = stage.run(settings, at, how)
        assert ended.code == (-signal.SIGKILL if how == "killed" else 0), (at, ended.err)
        again = stage.run(settings, None)
        assert again.code == 0, (at, again.err)
        found = again.result
        if found["error"] or found["state"] != undisturbed["state"]:
            differing[f"{at}: {ended.err}"] = found["error"] or _differences(
                undisturbed["state"], found["state"]
            )
        stage.drop(settings)
    assert differing == {}


def _undisturbed(stage: Stage) -> Any:
    settings = stage.fresh()
    ended = stage.run(settings, None)
    assert ended.code == 0, ended.err
    assert ended.result["error"] == ""
    assert ended.result["state"]["leftovers"] == 0
    stage.drop(settings)
    return ended.result


def _sampled(points: int, wanted: int) -> list[int]:
    if TORTURE:
        return list(range(1, points + 1))
    spread = {round(1 + i * (points - 1) / (wanted - 1)) for i in range(wanted)}
    # Around the last commits lies what is done outside of a transaction.
    return sorted(spread | {round(points * share) for share in (0.8, 0.9, 0.95)})


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {n: (expected[n], found[n]) for n in expected if expected[n] != found[n]}
