"""No value of a customer gets anywhere but into ciphertext: not even when every step fails.

Planted people lie in every place of three stations' exports. Night after night one step after the
other fails with an error that quotes them, by the command line and in Airflow, until a last night
succeeds. Then everything that was left is searched, in many encodings. With the filter off, the
same search must find them, in the output of every step.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from promise_base import HERE, Host, Run, Search, clean_environment, files_below
from promise_forced import STEPS
from promise_pages import every_page
from sqlalchemy import text

from safehands import embedded
from safehands.dashboards import open_books
from safehands.keys import FileProvider
from safehands.sample.canaries import CANARIES
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.register import open_ring, owners

TODAY = datetime.now(UTC).date() - timedelta(days=1)
CUT_FILE = 24
UNEXPECTED = 90
PEOPLE = {f"{kind} of canary {n}" for n, c in enumerate(CANARIES) for kind in vars(c)}


@dataclass
class Station:
    """One installation with an embedded server, and what its nights have printed."""

    host: Host
    folder: Path
    printed: dict[str, Run] = field(default_factory=dict)
    landings: int = 0

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def server(self) -> embedded.Server:
        return embedded.start(embedded.Place(self.home))

    def land(self) -> tuple[Path, date]:
        """Write another landing folder with the planted people; return it and its date."""
        day = TODAY - timedelta(days=self.landings)
        self.landings += 1
        landing = self.folder / f"landing-{self.landings}"
        self.host.run("canaries", landing=str(landing), day=day.isoformat(), broken=True)
        return landing, day

    def environment(self, **more: str) -> dict[str, str]:
        return clean_environment(
            self.folder,
            SAFEHANDS_HOME=str(self.home),
            SAFEHANDS_WORKERS="1",
            SAFEHANDS_LANG="zh",
            **more,
        )

    def command(
        self, landing: Path, argv: list[str], force: str = "", filtered: bool = True
    ) -> Run:
        """Do one command in a child and keep what it printed."""
        environ = self.environment(SAFEHANDS_LANDING=str(landing))
        run = self.host.run("command", argv=argv, environ=environ, force=force, filtered=filtered)
        self.printed[f"{argv[0]} {force} {len(self.printed)}"] = run
        return run

    def airflow(self, day: date, nights: list[str]) -> list[str]:
        """Do nights in Airflow; return what each printed."""
        ended = subprocess.run(
            [sys.executable, str(HERE / "promise_airflow.py"), day.isoformat(), *nights],
            env=self.environment(PYTHONPATH=str(HERE)),
            capture_output=True,
            text=True,
            check=False,
        )
        self.printed[f"airflow {len(self.printed)}"] = Run(
            ended.returncode, ended.stdout, ended.stderr, None
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        logs = [self.home / f"airflow-{number}.log" for number in range(len(nights))]
        return [log.read_text(encoding="utf-8", errors="surrogateescape") for log in logs]

    def places(self) -> dict[str, Path]:
        """Return every file of the installation, the database server's included."""
        with self._admin("postgres") as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        roots = {self.home, Path(row[0]).parent}
        return {str(path): path for root in roots for path in files_below(root)}

    def tables(self) -> Iterator[tuple[str, bytes]]:
        """Yield every table of every database as text."""
        for database in self._names("postgres", _DATABASES):
            for table in self._names(database, _TABLES):
                with self._admin(database) as connection:
                    query = f"COPY (SELECT * FROM {table}) TO STDOUT".encode()
                    with connection.cursor().copy(query) as copy:
                        yield f"{database} {table}", b"".join(bytes(part) for part in copy)

    def _names(self, database: str, query: str) -> list[str]:
        with self._admin(database) as connection:
            return [str(row[0]) for row in connection.execute(query.encode())]

    def _admin(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(**self.server.conninfo(database), autocommit=True)


@pytest.fixture(scope="module")
def station(host: Host) -> Iterator[Station]:
    folder = Path(tempfile.mkdtemp(prefix="sh-values-"))
    made = Station(host, folder)
    embedded.start(embedded.Place(made.home), durable=False)
    yield made
    embedded.remove(embedded.Place(made.home))
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Findings:
    """What the search found in each place that there was; no values, but whose and which kind."""

    printed: dict[str, set[str]]
    files: dict[str, set[str]]
    tables: dict[str, set[str]]
    vault: set[str]


@pytest.fixture(scope="module")
def findings(station: Station, search: Search) -> Findings:
    """Search the installation after all its nights: each step has failed either way, then none."""
    _nights_by_command(station)
    _nights_in_airflow(station)
    return Findings(
        printed={n: search.in_text(run.out + run.err) for n, run in station.printed.items()},
        files={name: search.in_file(path) for name, path in station.places().items()},
        tables={name: search.in_bytes(content) for name, content in station.tables()},
        vault=search.in_bytes(_vault(station)),
    )


def _nights_by_command(station: Station) -> None:
    landing, day = station.land()
    argv = ["nightly", "--date", day.isoformat()]
    for step in STEPS:
        failed = station.command(landing, argv, step)
        assert failed.code == UNEXPECTED, step
    assert station.command(landing, argv).code == CUT_FILE
    assert station.command(landing, ["status"]).code == 0
    assert station.command(landing, ["verify"]).code == 0


def _nights_in_airflow(station: Station) -> None:
    landing, day = station.land()
    logs = station.airflow(day, [f"{step}:{landing}" for step in (*STEPS, "-")])
    for step, log in zip(STEPS, logs, strict=False):
        name = step if step in {"purge", "backup", "prove", "report"} else f"shard.{step}"
        assert f"STATE {name} failed" in log, step
    assert "STATE report success" in logs[-1]
    # Some of the files cannot be read, and that is the verdict of a night in which all else went.
    assert "STATE verdict failed" in logs[-1]


def _vault(station: Station) -> bytes:
    """Return what the vault holds, decrypted."""
    settings = Settings.read({}, home=str(station.home))
    store = Store(
        station.server.url("safehands"), FileProvider(settings.keys, settings.keys_second)
    )
    records: list[bytes] = []
    for owner in owners(store).values():
        with store.begin(controller=owner.id) as connection:
            ring = open_ring(connection, store.provider, owner)
            rows = connection.execute(text(_VAULT)).all()
        people = [row[0].bytes for row in rows]
        salts = [salt[:16] for salt in ring.unwrap_salts(people, [row[1] for row in rows])]
        records += ring.unseal("person", people, salts, [row[2] for row in rows])
    store.close()
    return b"\n".join(records)


def test_the_planted_people_are_in_the_vault(findings: Findings) -> None:
    """Otherwise there was nothing to find anywhere."""
    assert findings.vault >= {name for name in PEOPLE if not name.startswith("id_number")}


def test_no_value_is_printed(findings: Findings) -> None:
    assert len(findings.printed) > len(STEPS)
    assert _found(findings.printed) == {}


def test_no_value_is_in_any_file(findings: Findings) -> None:
    """Logs, notices, reports, work, keys, backups, and the database's files and WAL."""
    parts = ("airflow-0.log", "notices/", "reports/", "backups/objects/", "data/pg_wal/", "keys/")
    assert [p for p in parts if not any(f"/{p}" in name for name in findings.files)] == []
    assert _found(findings.files) == {}


def test_no_value_is_in_any_table(findings: Findings) -> None:
    """The store's evidence and Airflow's metadata: XCom, rendered fields, all of it."""
    names = ("airflow public.xcom", "airflow public.rendered_task_instance_fields")
    assert {*names, "airflow public.log", "safehands public.ledger_entry"} <= findings.tables.keys()
    assert _found(findings.tables) == {}


@pytest.mark.usefixtures("findings")
def test_no_value_is_on_any_page(station: Station, search: Search) -> None:
    """What the dashboards show of these nights, and the files that are published of them."""
    pages = _pages(station)
    names = ("quality/ zh", "risk/ en", "quality/row_width zh", "backups/ en")
    assert {*names} <= pages.keys()
    assert {name: hits for name, page in pages.items() if (hits := search.in_text(page))} == {}


def test_nothing_of_the_nights_is_left_in_the_work_folder(
    station: Station, findings: Findings
) -> None:
    assert not any(name.startswith(f"{station.home}/work/") for name in findings.files)


def _pages(station: Station) -> dict[str, str]:
    settings = Settings.read({}, home=str(station.home))
    store = Store(
        station.server.url("safehands"), FileProvider(settings.keys, settings.keys_second)
    )
    try:
        return every_page(store, open_books(settings))
    finally:
        store.close()


def _found(places: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: values for name, values in places.items() if values}


# --- the control: what the search sees when nothing is kept back ---------------------------------


@pytest.mark.usefixtures("findings")
def test_with_the_filter_off_every_step_is_found_out(station: Station, search: Search) -> None:
    landing, day = station.land()
    argv = ["nightly", "--date", day.isoformat()]
    for step in STEPS:
        run = station.command(landing, argv, step, filtered=False)
        assert (run.code, search.in_text(run.err)) == (1, PEOPLE), step


@pytest.mark.usefixtures("findings")
def test_with_the_filter_off_airflow_tells_too(station: Station, search: Search) -> None:
    landing, day = station.land()
    logs = station.airflow(day, [f"!{step}:{landing}" for step in ("minimise", "report")])
    assert [search.in_text(log) for log in logs] == [PEOPLE, PEOPLE]


@pytest.mark.usefixtures("findings")
def test_a_value_in_evidence_would_be_found_on_a_page(station: Station, search: Search) -> None:
    with psycopg.connect(**station.server.conninfo("safehands"), autocommit=True) as connection:
        connection.execute("UPDATE station SET name = %s", (CANARIES[1].address,))
    assert search.in_text(_pages(station)["quality/ zh"])


@pytest.mark.usefixtures("findings")
def test_a_value_in_the_database_is_found_in_its_files(station: Station, search: Search) -> None:
    with psycopg.connect(**station.server.conninfo("safehands"), autocommit=True) as connection:
        connection.execute("CREATE TABLE planted (value text)")
        connection.execute("INSERT INTO planted VALUES (%s)", (CANARIES[2].address,))
    hits = {Path(n).parent.name for n, path in station.places().items() if search.in_file(path)}
    assert "pg_wal" in hits
    assert any(name.isdecimal() for name in hits)
    assert search.in_bytes(dict(station.tables())["safehands public.planted"])


_VAULT = "SELECT subject_id, wrapped_salt, sealed FROM subject"
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
_TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    " UNION ALL SELECT 'pg_catalog.pg_stats' UNION ALL SELECT 'pg_catalog.pg_statistic_ext_data'"
)
