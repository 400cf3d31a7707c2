"""The environment in which this checkout's Airflow runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from safehands import embedded
from safehands.errors import SetupProblem
from safehands.installation import database_url
from safehands.settings import Settings
from safehands_airflow import board, home
from safehands_airflow.clean import remove

CONNECTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="sh-home-"))
    made = Settings.read({}, home=str(folder / "home"), lang="zh")
    embedded.start(embedded.Place(made.home), durable=False)
    yield made
    embedded.remove(embedded.Place(made.home))
    shutil.rmtree(folder, ignore_errors=True)


def test_second_time_changes_nothing(settings: Settings) -> None:
    first = home.prepare(settings, {})
    files = {p: p.read_bytes() for p in home.airflow_home(settings).iterdir() if p.is_file()}
    assert home.prepare(settings, {}) == first
    assert {p: p.read_bytes() for p in files} == files


def test_secrets_are_in_private_files_and_in_no_url(settings: Settings) -> None:
    made = home.prepare(settings, {})
    files = [p for p in home.airflow_home(settings).iterdir() if p.is_file()]
    assert {p.name for p in files} == {"secrets.json", "pgpass", "login.json"}
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}
    assert make_url(made[CONNECTION]).password is None
    kept = json.loads((home.airflow_home(settings) / "secrets.json").read_text())
    assert kept["database_password"] not in " ".join(made.values())
    assert len(set(kept.values())) == len(kept)


def test_airflow_owns_its_database_and_sees_nothing_of_the_store(settings: Settings) -> None:
    url = make_url(home.prepare(settings, {})[CONNECTION])
    admin = create_engine(make_url(database_url(settings)).set(database="postgres"))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE other"))
    inside = create_engine(make_url(database_url(settings)).set(database="other"))
    with inside.begin() as connection:
        connection.execute(text("CREATE TABLE subject (phone text)"))
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE probe (id int)"))
        connection.execute(text("DROP TABLE probe"))
    outsider = create_engine(url.set(database="other"))
    with pytest.raises(DBAPIError, match="permission denied"), outsider.connect() as connection:
        connection.execute(text("SELECT * FROM subject"))
    outsider.dispose()
    inside.dispose()
    admin.dispose()


def test_a_role_of_somebody_elses_airflow_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    home.prepare(settings, {})
    served = Settings.read({}, home=str(tmp_path / "home"), database_url=database_url(settings))
    with pytest.raises(SetupProblem) as caught:
        home.prepare(served, {})
    assert caught.value.key == "airflow.role_taken"
    with create_engine(home.prepare(settings, {})[CONNECTION]).connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == "airflow"


def test_a_served_database_gets_its_own_role(tmp_path: Path) -> None:
    place = embedded.Place(tmp_path / "server")
    url = embedded.start(place, durable=False).url("safehands")
    served = Settings.read({}, home=str(tmp_path / "home"), database_url=url)
    try:
        for _ in range(2):
            own = make_url(home.prepare(served, {})[CONNECTION])
            with create_engine(own).connect() as connection:
                who = connection.execute(text("SELECT current_user, current_database()")).one()
            assert tuple(who) == ("airflow", "airflow")
        assert not (served.home / "postgres").exists()
    finally:
        embedded.remove(place)


def test_somebodys_own_database_is_used(settings: Settings) -> None:
    made = home.prepare(settings, {CONNECTION: "postgresql://elsewhere/af"})
    assert made[CONNECTION] == "postgresql://elsewhere/af"
    assert f"{CONNECTION}_ASYNC" not in made


def test_the_page_stays_on_this_machine_whatever_is_set(settings: Settings) -> None:
    given = {"AIRFLOW__API__HOST": "0.0.0.0", "AIRFLOW__CORE__PARALLELISM": "8"}
    made = home.prepare(settings, given)
    assert made["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert made["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert made["AIRFLOW__API__EXPOSE_CONFIG"] == "False"


def test_a_lost_password_file_is_made_good(settings: Settings) -> None:
    url = home.prepare(settings, {})[CONNECTION]
    for name in ("secrets.json", "pgpass"):
        (home.airflow_home(settings) / name).unlink()
    with pytest.raises(OperationalError):
        create_engine(url).connect()
    home.prepare(settings, {})
    create_engine(url).connect().close()


def test_clean_removes_what_is_ours_and_keeps_what_is_not(tmp_path: Path) -> None:
    settings = Settings.read({}, home=str(tmp_path / "home"))
    embedded.start(embedded.Place(settings.home), durable=False)
    home.prepare(settings, {})
    export = settings.landing / "S1" / "parcels.csv"
    export.parent.mkdir(parents=True)
    export.write_text("a station's only copy")
    remove(settings)
    assert [p for p in settings.home.rglob("*") if p.is_file()] == [export]
    remove(settings)
    assert export.exists()


def test_clean_removes_the_sample_unless_somebody_changed_it(tmp_path: Path) -> None:
    from safehands.sample.landing import lay

    settings = Settings.read({}, home=str(tmp_path / "home"))
    lay(settings.landing, {"S1/a.csv": b"1", "S2/b.csv": b"2"}, {"version": 0}, {})
    (settings.landing / "S1" / "a.csv").write_text("changed")
    remove(settings)
    assert (settings.landing / "S2" / "b.csv").exists()
    (settings.landing / "S1" / "a.csv").write_text("1")
    remove(settings)
    assert not settings.home.exists()


def test_the_commands_import_no_airflow_before_it_is_set_up() -> None:
    """An import without settings makes folders in the user's home and reads another's settings."""
    modules = ("board", "clean", "launcher", "local", "nightly", "remote", "watch")
    program = "".join(f"import safehands_airflow.{module}\n" for module in modules)
    program += "import sys; print('airflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_notice_replaces_the_one_of_an_earlier_try(tmp_path: Path) -> None:
    settings = Settings.read({}, home=str(tmp_path / "home"))
    notice = {"night": "2026-11-23", "step": "ingest", "shard": "owner-1: S1, S2", "at": "1"}
    notice["dag"] = "nightly_governance"
    first = board.post(settings, {**notice, "airflow_run": "a"})
    assert board.post(settings, {**notice, "airflow_run": "b", "at": "2"}) == first
    assert first.stat().st_mode & 0o777 == 0o600
    assert board.notices_of(settings, "a") == []
    assert [n["at"] for n in board.notices_of(settings, "b")] == ["2"]
    board.post(settings, {**notice, "airflow_run": "b", "step": "backup", "shard": ""})
    assert [n["step"] for n in board.notices_of(settings, "b")] == ["backup", "ingest"]
