"""The DAG ``nightly_governance``, run by Airflow in this process on real databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from safehands import embedded, erasure
from safehands.installation import open_installation
from safehands.store.register import owners
from safehands_airflow.board import notices_of

DAY = "2026-11-23"
NAME, PHONE = "测试员", "1390000"
SHARD_STEPS = {"shard.ingest", "shard.validate", "shard.minimise", "shard.pseudonymise"}
WHOLE_STEPS = {"purge", "backup", "report"}
PROVE = {"prove"}

Land = Callable[..., Path]
States = dict[str, set[str]]


def run_dag(landing: Path) -> tuple[Any, States]:
    """Run the DAG on ``landing``; return the run and the states of each task's instances."""
    from safehands_airflow.local import load_dag

    dag = load_dag("nightly_governance")
    for task in dag.tasks:
        task.retry_delay = timedelta(milliseconds=50)
    run = dag.test(run_conf={"business_date": DAY, "landing": str(landing)})
    states: States = {}
    for task in run.get_task_instances():
        states.setdefault(task.task_id, set()).add(str(task.state))
    return run, states


def count(airflow: Any, query: str) -> int:
    """Return the number that ``query`` gives on the store, asked by its administrator."""
    server = embedded.start(embedded.Place(airflow.settings.home), durable=False)
    with psycopg.connect(**server.conninfo("safehands")) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def metadata_text(airflow: Any) -> str:
    """Return everything in Airflow's own database as text."""
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    parts = []
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for (table,) in tables.all():
            rows = connection.execute(text(f'SELECT t::text FROM "{table}" t'))
            parts += [row[0] for row in rows]
    engine.dispose()
    return "\n".join(parts)


def test_a_night_loads_and_a_second_changes_nothing(
    airflow: Any, land: Land, capfd: pytest.CaptureFixture[str]
) -> None:
    landing = land("S1", rows=40)
    # Other files' tests may have filled the same store before, or nobody has made it yet.
    open_installation(airflow.settings, lambda: datetime.now(UTC)).close()
    before = count(airflow, "SELECT count(*) FROM parcel")
    run, states = run_dag(landing)
    assert run.state == "success"
    assert states.keys() == SHARD_STEPS | WHOLE_STEPS | PROVE | {"plan", "verdict", "close"}
    # Nobody was erased.
    assert states.pop("prove") == {"skipped"}
    assert set().union(*states.values()) == {"success"}
    assert count(airflow, "SELECT count(*) FROM parcel") == before + 40
    entries = count(airflow, "SELECT count(*) FROM ledger_entry")
    manifests = sorted((airflow.settings.backups / "manifests").iterdir())
    assert entries > 0
    assert manifests

    again, states = run_dag(landing)
    assert again.state == "success"
    assert set().union(*(states[step] for step in SHARD_STEPS)) == {"skipped"}
    assert set().union(*(states[step] for step in WHOLE_STEPS)) == {"success"}
    assert count(airflow, "SELECT count(*) FROM ledger_entry") == entries
    assert sorted((airflow.settings.backups / "manifests").iterdir()) == manifests
    assert count(airflow, "SELECT count(*) FROM parcel") == before + 40

    printed = capfd.readouterr()
    seen = printed.out + printed.err + metadata_text(airflow)
    assert "shard.ingest" in seen
    assert NAME not in seen
    assert json.dumps(NAME)[1:-1] not in seen
    assert PHONE not in seen


def test_shards_are_labelled_and_outcomes_announced(airflow: Any, land: Land) -> None:
    run, _ = run_dag(land("S2", rows=5, first=1000))
    labels = {t.rendered_map_index for t in run.get_task_instances() if t.task_id in SHARD_STEPS}
    assert labels == {"owner-1: station"}
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    query = text("SELECT source_task_id, extra FROM asset_event WHERE source_run_id = :run")
    with engine.connect() as connection:
        events = {row[0]: row[1] for row in connection.execute(query, {"run": run.run_id})}
    engine.dispose()
    assert events.keys() == WHOLE_STEPS
    for extra in events.values():
        told = extra if isinstance(extra, Mapping) else json.loads(extra)
        assert told["run"] == f"nightly-{DAY}"


def test_after_an_erasure_the_backup_is_proved_and_the_old_key_destroyed(
    airflow: Any, land: Land, capfd: pytest.CaptureFixture[str]
) -> None:
    landing = land("S7", rows=5, first=7000)
    run_dag(landing)
    inst = open_installation(airflow.settings, lambda: datetime.now(UTC))
    owner = owners(inst.store)["owner"]
    subjects, _ = erasure.find_subjects(inst.store, owner, f"{PHONE}7000")
    before = inst.provider.names("epoch/owner")
    erasure.register(inst.store, owner, "R-1", subjects, "withdrawn", inst.clock())
    run, states = run_dag(landing)
    assert run.state == "success"
    assert states["prove"] == {"success"}
    (now,) = inst.provider.names("epoch/owner")
    assert now not in before
    (found,) = erasure.list_requests(inst.store, [owner])
    assert found.state == "final"
    inst.close()
    printed = capfd.readouterr()
    assert f"{PHONE}7000" not in printed.out + printed.err + metadata_text(airflow)


def test_the_runs_key_is_gone_afterwards(airflow: Any, land: Land) -> None:
    run_dag(land("S3", rows=5, first=2000))
    assert not list(airflow.settings.keys.glob("run/*"))
    assert not list((airflow.settings.home / "work").glob("*"))


def test_without_a_plan_nothing_is_touched(airflow: Any, tmp_path: Path) -> None:
    run, states = run_dag(tmp_path / "nowhere")
    assert run.state == "failed"
    assert states["plan"] == {"failed"}
    assert set().union(*(states[step] for step in WHOLE_STEPS | {"close"})) == {"skipped"}
    assert states["verdict"] == {"upstream_failed"}
    [notice] = notices_of(airflow.settings, run.run_id)
    assert (notice["step"], notice["exit_code"]) == ("plan", 10)
    assert notice["night"] == DAY
    assert notice["zh"] != notice["en"]


def test_a_killed_night_does_not_stay_open(airflow: Any, land: Land) -> None:
    from safehands_airflow.local import end_what_was_killed

    run, _ = run_dag(land("S5", rows=5, first=5000))
    engine = create_engine(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    state = text("SELECT state FROM dag_run WHERE run_id = :run")
    with engine.begin() as connection:
        reopen = text("UPDATE dag_run SET state = 'running', end_date = NULL WHERE run_id = :run")
        connection.execute(reopen, {"run": run.run_id})
    assert end_what_was_killed("another_dag") == 0
    with engine.connect() as connection:
        assert connection.execute(state, {"run": run.run_id}).scalar() == "running"
    assert end_what_was_killed("nightly_governance") == run.id
    with engine.connect() as connection:
        assert connection.execute(state, {"run": run.run_id}).scalar() == "failed"
    engine.dispose()


TWO_OWNERS = """
controllers:
  - {code: good, name: A, record_sets: {}, stations: [{code: G1, name: A, folder: good}]}
  - {code: bad, name: B, record_sets: {}, stations: [{code: B1, name: B, folder: bad}]}
"""


def test_a_bad_file_closes_the_verdict_and_nothing_else(airflow: Any, land: Land) -> None:
    """The command that ``make nightly`` runs: exit code, output, and the other owner's rows."""
    land("good", rows=7, first=3000)
    landing = land("bad", rows=0, text="")
    (landing / "stations.yaml").write_text(TWO_OWNERS, encoding="utf-8")
    before = count(airflow, "SELECT count(*) FROM parcel")
    options = ("--landing", str(landing), "--date", DAY, "--lang", "en")
    done = subprocess.run(
        [sys.executable, "-m", "safehands_airflow.nightly", *options],
        env=airflow.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 23, done.stderr
    assert count(airflow, "SELECT count(*) FROM parcel") == before + 7
    assert "✗ verdict" in done.stdout
    assert "bad/parcels.csv" in done.stdout
    assert NAME not in done.stdout + done.stderr
    [path] = [p for p in (airflow.settings.home / "notices").glob("*.json") if "verdict" in p.name]
    assert path.stat().st_mode & 0o777 == 0o600
    notice = json.loads(path.read_text(encoding="utf-8"))
    assert notice["exit_code"] == 23
    assert [n["step"] for n in notices_of(airflow.settings, notice["airflow_run"])] == ["verdict"]


def test_an_unexpected_error_is_tried_again_and_says_nothing(
    airflow: Any, land: Land, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file where the work folder should be: no error of ours, and maybe gone in a minute."""
    landing = land("S4", rows=5, first=4000)
    work = airflow.settings.home / "work"
    kept = work.with_name("work.kept")
    work.rename(kept)
    work.write_text("in the way")
    try:
        run, states = run_dag(landing)
    finally:
        work.unlink()
        kept.rename(work)
    assert run.state == "failed"
    assert states["shard.ingest"] == {"failed"}
    assert states["verdict"] == {"upstream_failed"}
    tries = {t.try_number for t in run.get_task_instances() if t.task_id == "shard.ingest"}
    assert tries == {4}
    first = notices_of(airflow.settings, run.run_id)[0]
    assert (first["step"], first["exit_code"], first["shard"]) == ("ingest", 90, "owner-1: station")
    printed = capfd.readouterr()
    assert NAME not in printed.out + printed.err
