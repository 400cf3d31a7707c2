"""A store that an earlier release wrote, opened by this one: nothing is lost, nothing twice.

``make_previous.py`` writes the archives, one per released schema.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from make_previous import tool

from nights import fixed_clock
from safehands import embedded, pipeline
from safehands.errors import SetupProblem
from safehands.installation import open_installation
from safehands.settings import Settings
from safehands.status import status
from safehands.store.setup import newest_revision, schema_revision
from safehands.verification import verify_installation

HERE = Path(__file__).resolve().parent
ARCHIVES = sorted(HERE.glob("*.tar.gz"))
LIVED = ("consent_event", "erasure", "handover", "quarantine", "tombstone")
# What had happened in each: the first holds no more than two nights and a complaint.
SEEN = {"0014": set[str](), "0022": set(LIVED)}


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def earlier(request: Any) -> Iterator[tuple[str, Settings, dict[str, Any]]]:
    """An installation as an earlier release left it: revision, settings and its own status."""
    folder = Path(tempfile.mkdtemp(prefix="sh-upgrade-"))
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    settings = Settings.read({}, home=str(folder / "home"), lang="en", workers="1")
    for path in (settings.keys, settings.keys_second):
        for one in (path, *path.rglob("*")):
            one.chmod(0o700 if one.is_dir() else 0o600)
    place = embedded.Place(settings.home)
    server = embedded.start(place, durable=False)
    fill(server, folder / "store.sql")
    yield (
        request.param.name.split(".")[0],
        settings,
        json.loads((folder / "expected.json").read_text()),
    )
    embedded.remove(place)
    shutil.rmtree(folder)


def fill(server: embedded.Server, dump: Path) -> None:
    """Make the roles and the database and run the dump in it."""
    roles = set(re.findall(r"\bsafehands_[a-z]+(?=;)", dump.read_text(encoding="utf-8")))
    with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as connection:
        for role in sorted(roles):
            connection.execute(f"CREATE ROLE {role} LOGIN NOINHERIT".encode())
        connection.execute("CREATE DATABASE safehands ENCODING 'UTF8' TEMPLATE template0")
    link = server.conninfo("safehands")
    words = [str(tool("psql")), "-q", "-v", "ON_ERROR_STOP=1", "-h", link["host"]]
    words += ["-U", link["user"], "-d", "safehands", "-f", str(dump)]
    environment = {**os.environ, "PGPASSFILE": link["passfile"], "PGOPTIONS": ""}
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)


def clock_of(settings: Settings) -> Callable[[], datetime]:
    """Return a clock that stands an hour after the last thing which the earlier release did."""
    server = embedded.start(embedded.Place(settings.home))
    newest = "SELECT max((body::jsonb ->> 'at')::timestamptz) FROM ledger_entry"
    with psycopg.connect(**server.conninfo("safehands")) as connection:
        row = connection.execute(newest).fetchone()
    assert row is not None
    moment: datetime = row[0] + timedelta(hours=1)
    return lambda: moment


def lived(settings: Settings) -> dict[str, int]:
    """Return how many rows there are of each kind that the store's schema knows."""
    server = embedded.start(embedded.Place(settings.home))
    with psycopg.connect(**server.conninfo("safehands")) as connection:
        known = [
            name
            for name in LIVED
            if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() != (None,)
        ]
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchall()[0][0]
            for name in known
        }


Earlier = tuple[str, Settings, dict[str, Any]]


def test_there_is_a_store_of_an_earlier_schema() -> None:
    assert ARCHIVES
    assert all(path.name.split(".")[0] < newest_revision() for path in ARCHIVES)


def test_an_earlier_store_is_brought_up_with_everything_in_it(earlier: Earlier) -> None:
    revision, settings, before = earlier
    clock, rows = clock_of(settings), lived(settings)
    assert {name for name, count in rows.items() if count} == SEEN[revision]
    inst = open_installation(settings, clock)
    try:
        assert schema_revision(inst.store) == newest_revision() != revision
        after = status(inst)
        assert after["counts"] == before["counts"]
        assert after["store_digest"] == before["store_digest"]
        assert after["checkpoint"] == before["checkpoint"]
        assert after["backup"] == before["backup"]
        assert rows.items() <= lived(settings).items()
        assert "whole" in verify_installation(settings, clock, "en")
        # The night after loads nothing twice, whatever policy says of new columns.
        pipeline.nightly(inst, date(2026, 11, 23), lambda *_: None)
        again = status(inst)
        assert again["store_digest"] == before["store_digest"]
        assert {k: v for k, v in again["counts"].items() if k != "ledger_entry"} == {
            k: v for k, v in before["counts"].items() if k != "ledger_entry"
        }
    finally:
        inst.close()
    # Opened once more, nothing changes.
    inst = open_installation(settings, clock)
    try:
        assert status(inst)["store_digest"] == before["store_digest"]
    finally:
        inst.close()


@pytest.mark.parametrize("earlier", ARCHIVES[-1:], indirect=True)
def test_a_store_of_a_newer_release_is_refused_and_left_alone(earlier: Earlier) -> None:
    _, settings, _ = earlier
    server = embedded.start(embedded.Place(settings.home))
    with psycopg.connect(**server.conninfo("safehands"), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupProblem) as caught:
        open_installation(settings, fixed_clock)
    assert caught.value.params == {"found": "9999", "newest": newest_revision()}
    with psycopg.connect(**server.conninfo("safehands")) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row == ("9999",)
