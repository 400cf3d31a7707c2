"""The doctor: every check sees what it is there for, and nothing is changed by looking."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from nights import NOW
from safehands.cli import command
from safehands.doctor import Finding, examine, worst
from safehands.doctor.airflow import airflow
from safehands.doctor.database import clock, ledger_clock, transport
from safehands.doctor.habits import drilled, kept_apart, recent
from safehands.doctor.kernel import clock_sync, kernel_status
from safehands.doctor.logs import log_files
from safehands.doctor.machine import disk, packages, python, time_zone
from safehands.doctor.ports import listeners, ports
from safehands.installation import Installation
from safehands.journal import append
from safehands.messages import LANGUAGES, catalogue
from safehands.night import SHANGHAI
from safehands.settings import Settings

GIB = 1 << 30


@pytest.fixture
def look(inst: Installation) -> Callable[[], dict[str, Finding]]:
    """A function that examines the test's installation and returns its findings by check."""
    inst.settings.home.chmod(0o700)

    def now() -> dict[str, Finding]:
        found = examine(inst.settings, {}, NOW, lambda: ())
        return {one.check: one for one in found}

    return now


Look = Callable[[], dict[str, Finding]]


def test_a_fresh_installation_has_nothing_that_must_be_put_right(look: Look) -> None:
    found = look()
    assert [c for c, one in found.items() if one.state == "bad" and c != "clock"] == []
    assert found["schema"].key == "ok"
    assert found["root_key"].key == "ok"
    assert found["night"].key == "never"
    assert found["backup"].key == "never"
    assert (found["escrow"].state, found["escrow"].key) == ("warn", "none")


def test_a_home_that_is_not_there_is_said_and_not_made(tmp_path: Path, inst: Installation) -> None:
    nowhere = replace(inst.settings, home=tmp_path / "nowhere", database_url="")
    found = list(examine(nowhere, {}, NOW, lambda: ()))
    assert [(one.check, one.key) for one in found][-1] == ("home", "none")
    assert not nowhere.home.exists()


def test_looking_changes_nothing(look: Look, inst: Installation) -> None:
    def picture() -> dict[str, tuple[int, int]]:
        files = sorted(p for p in inst.settings.home.rglob("*"))
        return {str(p): (p.stat().st_mode, p.stat().st_mtime_ns) for p in files}

    before = picture()
    look()
    assert picture() == before


def test_an_open_key_file_and_an_open_folder_are_found(look: Look, inst: Installation) -> None:
    key = next(inst.settings.keys.glob("*.key"))
    key.chmod(0o644)
    inst.settings.home.chmod(0o755)
    found = look()
    assert (found["secret_files"].state, found["secret_files"].key) == ("bad", "open")
    assert str(key) in str(found["secret_files"].params["shown"])
    assert (found["folders"].state, found["folders"].params["count"]) == ("bad", 1)
    key.chmod(0o600)
    inst.settings.home.chmod(0o700)
    assert look()["secret_files"].key == "ok"


def test_a_role_that_may_do_more_is_found(look: Look, inst: Installation) -> None:
    with inst.store.admin().begin() as connection:
        connection.execute(text("ALTER ROLE safehands_auditor BYPASSRLS"))
    try:
        assert look()["roles"].params == {"shown": "safehands_auditor"}
    finally:
        with inst.store.admin().begin() as connection:
            connection.execute(text("ALTER ROLE safehands_auditor NOBYPASSRLS"))
    assert look()["roles"].key == "ok"


def test_the_administrator_may_make_databases_and_roles_and_nothing_else(
    look: Look, inst: Installation
) -> None:
    def admin(statement: str) -> None:
        with inst.store.admin().begin() as connection:
            connection.execute(text(statement))

    # The tests' own login is a superuser, as the embedded server's is.
    assert (look()["admin_login"].state, look()["admin_login"].key) == ("warn", "mighty")
    # As docker/store-roles.sh makes it.
    admin("CREATE ROLE safehands_admin LOGIN CREATEDB CREATEROLE")
    try:
        assert look()["roles"].key == "ok"
        admin("ALTER ROLE safehands_admin REPLICATION")
        assert look()["roles"].params == {"shown": "safehands_admin"}
    finally:
        admin("DROP ROLE safehands_admin")


def test_a_table_whose_rows_are_open_is_found(look: Look, inst: Installation) -> None:
    with inst.store.admin().begin() as connection:
        connection.execute(text("ALTER TABLE subject NO FORCE ROW LEVEL SECURITY"))
    assert look()["row_security"].params == {"shown": "subject"}


@pytest.mark.parametrize(
    ("table", "trigger", "shown"),
    [
        ("custody", "note_delete", "custody"),
        ("parcel", "note_figure_update", "person_figure"),
        ("subject", "note_figure_delete", "person_figure"),
    ],
)
def test_a_table_whose_changes_are_not_noted_is_found(
    look: Look, inst: Installation, table: str, trigger: str, shown: str
) -> None:
    assert look()["changes"].state == "ok"
    with inst.store.admin().begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}"))
    assert (look()["changes"].state, look()["changes"].params) == ("bad", {"shown": shown})


def test_a_schema_of_another_release_is_found(look: Look, inst: Installation) -> None:
    for number, key, state in (("0001", "older", "warn"), ("9999", "newer", "bad")):
        with inst.store.admin().begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :n"), {"n": number})
        assert (look()["schema"].key, look()["schema"].state) == (key, state)


def test_another_root_key_is_found(look: Look, inst: Installation) -> None:
    with inst.store.admin().begin() as connection:
        connection.execute(text("ALTER TABLE installation DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE installation SET root_id = 'other'"))
    assert (look()["root_key"].key, look()["root_key"].state) == ("other", "bad")


def test_a_database_that_is_gone_is_said_without_its_address(inst: Installation) -> None:
    gone = "postgresql://someone:secret-word@127.0.0.1:1/nothing"
    found = list(examine(replace(inst.settings, database_url=gone), {}, NOW, lambda: ()))
    lost = next(one for one in found if one.check == "database")
    assert (lost.state, lost.key) == ("bad", "unreachable")
    assert "secret-word" not in json.dumps([one.as_json("en") for one in found])


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("postgresql://u@/db?host=/run/postgresql", "local"),
        ("postgresql://u@127.0.0.1/db", "local"),
        ("postgresql://u@db.example/db", "clear"),
        ("postgresql://u@db.example/db?sslmode=prefer", "clear"),
        ("postgresql://u@db.example/db?sslmode=verify-full", "tls"),
    ],
)
def test_the_way_to_the_database(url: str, key: str) -> None:
    assert transport(url).key == key
    assert (transport(url).state == "bad") == (key == "clear")


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (5, "ok"), (6, "warn"), (61, "bad")])
def test_two_clocks(seconds: int, state: str) -> None:
    assert clock(NOW + timedelta(seconds=seconds), NOW).state == state
    assert clock(NOW - timedelta(seconds=seconds), NOW).state == state


def test_a_clock_before_the_ledgers_newest_entry(look: Look, inst: Installation) -> None:
    assert list(ledger_clock(None, NOW)) == []
    [same], [slow] = (list(ledger_clock(NOW + timedelta(seconds=s), NOW)) for s in (60, 61))
    assert (same.state, slow.state) == ("ok", "bad")
    assert slow.params == {"minutes": 2}
    with inst.store.admin().begin() as connection:
        append(connection, "purge", "nightly-1", NOW + timedelta(minutes=90), {})
    found = look()["ledger_clock"]
    assert (found.state, found.params) == ("bad", {"minutes": 90})


@pytest.mark.parametrize(("status", "count"), [(0x0040, 1), (0x2041, 1), (0x2001, 0), (None, 0)])
def test_a_kernel_that_keeps_no_time_is_said(status: int | None, count: int) -> None:
    assert [one.state for one in clock_sync(status)] == ["warn"] * count


def test_the_kernel_is_not_asked_in_a_container(tmp_path: Path) -> None:
    assert kernel_status([tmp_path]) is None
    assert kernel_status([tmp_path / "none"]) == kernel_status([])


def test_a_python_and_a_time_zone_that_do_not_fit() -> None:
    assert [python(v).state for v in ((3, 10), (3, 11), (3, 14), (3, 15))] == [
        *("bad", "ok", "ok", "bad"),
    ]
    assert time_zone(NOW).key == "ok"
    assert [time_zone(NOW, name).state for name in ("Asia/Nowhere", "Asia/Tokyo")] == ["bad", "bad"]


@pytest.mark.parametrize(("free", "state"), [(0.5, "bad"), (1, "warn"), (4.9, "warn"), (5, "ok")])
def test_room_on_a_disk(free: float, state: str, tmp_path: Path) -> None:
    assert disk(tmp_path, int(free * GIB)).state == state


def test_a_package_of_another_version_is_found(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("sqlalchemy==0.1 \\\n    --hash=sha256:00\nnot-installed-here==1.0 \\\n")
    assert packages(lock).params == {"count": 1, "shown": "sqlalchemy"}
    assert packages(tmp_path / "none.txt").key == "no_lock"


def test_nights_backups_and_drills_that_are_late() -> None:
    today = date(2026, 11, 24)
    assert recent("night", today - timedelta(days=2), today).state == "ok"
    assert recent("backup", today - timedelta(days=3), today).key == "late"
    assert drilled(today - timedelta(days=7), True, today, 7).state == "ok"
    assert drilled(today - timedelta(days=8), True, today, 7).key == "late"
    assert drilled(today, False, today, 7).state == "bad"


def test_what_shares_a_disk_or_lies_in_clear_is_said(settings: Settings) -> None:
    def states(found: Settings) -> dict[str, str]:
        return {one.check: one.state for one in kept_apart(found)}

    names = ("landing_clear", "keys_on_one_disk", "backups_beside_store")
    assert states(settings) == dict.fromkeys(names, "warn")
    apart = replace(settings, archive_landing=True, backups_url="s3://elsewhere/backups")
    assert states(apart) == {**dict.fromkeys(names, "ok"), "keys_on_one_disk": "warn"}


def test_logs_are_looked_for_where_airflow_writes_them(settings: Settings, tmp_path: Path) -> None:
    today = datetime.now(SHANGHAI).date()

    def seen(base: Settings, environ: dict[str, str], day: date = today) -> tuple[str, str]:
        found = log_files(base, environ, day)
        return found.state, found.key

    logs = tmp_path / "logs"
    told = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs)}
    served = replace(settings, database_url="postgresql://store.example/safehands")
    assert seen(served, told) == ("ok", "none")
    logs.mkdir(mode=0o700)
    assert seen(served, told) == ("warn", "no_accesses")
    # On one machine the api-server need not ever have run.
    assert seen(settings, told) == ("ok", "ok")
    (logs / "api-server.log").write_text("GET /\n")
    assert seen(served, told) == ("ok", "ok")
    assert seen(served, told, today + timedelta(days=3)) == ("warn", "old_accesses")
    assert seen(settings, told, today + timedelta(days=3)) == ("ok", "ok")
    # What was cut counts by the day in its name.
    (logs / f"api-server-{today + timedelta(days=2)}.log.gz").write_bytes(b"")
    assert seen(served, told, today + timedelta(days=3)) == ("ok", "ok")
    tmp_path.chmod(0o755)
    logs.chmod(0o755)
    assert seen(served, told) == ("bad", "open")
    own = settings.home / "airflow" / "logs"
    own.mkdir(parents=True)
    own.parent.chmod(0o750)
    own.chmod(0o755)
    assert seen(settings, {}) == ("bad", "open")


def test_logins_and_addresses_of_airflow() -> None:
    def of(**settings: str) -> dict[str, tuple[str, str]]:
        return {one.check: (one.state, one.key) for one in airflow(settings)}

    assert of() == {
        "login": ("warn", "one_admin"),
        "airflow_config": ("ok", "ok"),
        "web": ("ok", "ok"),
    }
    assert of(SAFEHANDS_LOGINS="roles")["login"] == ("ok", "roles")
    everybody = of(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True")
    assert everybody["login"] == ("bad", "none")
    assert of(AIRFLOW__API__EXPOSE_CONFIG="true")["airflow_config"] == ("bad", "exposed")
    assert of(AIRFLOW__API__HOST="0.0.0.0")["web"] == ("warn", "outside")


def test_what_listens_outside_is_named() -> None:
    inside = [("127.0.0.1", 28080, "airflow"), ("::1", 5432, "postgres")]
    assert ports(inside).state == "ok"
    found = ports([*inside, ("0.0.0.0", 8793, "celery"), ("::", 6379, "redis-server")])
    assert (found.state, found.params["count"]) == ("bad", 2)
    assert found.params["shown"] == "celery 0.0.0.0:8793, redis-server :::6379"


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[int]:
    """A program named ``airflow`` that listens on the loopback address; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = tmp_path / "airflow"
    program.write_text(
        "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    words = [sys.executable, str(program), str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        yield port
        running.kill()


def test_a_listening_airflow_is_seen(listening: int) -> None:
    assert ("127.0.0.1", listening, "airflow") in set(listeners())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_command_says_it_and_ends_with_three(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    next(inst.settings.keys.glob("*.key")).chmod(0o640)
    environment = {
        "SAFEHANDS_HOME": str(inst.settings.home),
        "SAFEHANDS_DATABASE_URL": inst.settings.database_url,
    }
    done = CliRunner().invoke(command(lang), ["doctor", "--lang", lang], env=environment)
    assert done.exception is not None
    assert getattr(done.exception, "exit_code", 0) == 3
    assert "✗" in done.output
    assert "chmod 600" in done.output
    data = CliRunner().invoke(command(lang), ["doctor", "--json"], env=environment)
    found = json.loads(data.output)
    assert {"check", "state", "key", "params", "text"} == set(found[0])
    assert "bad" in {one["state"] for one in found}


def test_every_finding_has_its_sentences() -> None:
    known = catalogue()
    checks = {
        key.split(".")[1] for key in known if key.startswith("doctor.") and key.count(".") == 2
    }
    named = {
        key.split(".")[1] for key in known if key.startswith("doctor.") and key.count(".") == 1
    }
    assert checks <= named


def test_the_gravest_state() -> None:
    ok, warn = Finding("python", "ok", "ok"), Finding("disk", "warn", "low")
    assert worst([ok, warn, Finding("disk", "bad", "full")]) == "bad"
    assert worst([warn, ok]) == "warn"
    assert worst([]) == "ok"


def test_the_owner_of_a_file_counts_too(look: Look, inst: Installation) -> None:
    if os.geteuid() == 0:
        key = next(inst.settings.keys.glob("*.key"))
        os.chown(key, 65534, -1)
        assert look()["secret_files"].state == "bad"
        os.chown(key, 0, -1)
    assert look()["secret_files"].state == "ok"
