"""The DAG ``restore_drill``, run by Airflow in this process on real databases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from safehands.verification import verifier_from, verify_file
from safehands_airflow.board import notices_of

DAY = "2026-11-23"


def run_dag(name: str, conf: dict[str, str]) -> Any:
    from safehands_airflow.local import load_dag

    dag = load_dag(name)
    for task in dag.tasks:
        task.retry_delay = timedelta(milliseconds=50)
    return dag.test(run_conf=conf)


def states(run: Any) -> dict[str, str]:
    return {task.task_id: str(task.state) for task in run.get_task_instances()}


@pytest.fixture(scope="module")
def night(airflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after a night."""
    landing = tmp_path_factory.mktemp("drill") / "landing"
    small_landing(landing)
    conf = {"business_date": DAY, "landing": str(landing)}
    assert run_dag("nightly_governance", conf).state == "success"
    return Path(airflow.settings.backups)


@pytest.fixture
def backed_up(night: Path) -> Iterator[Path]:
    """The repository; whatever the test does to it is undone."""
    kept = night.with_name("backups.kept")
    shutil.copytree(night, kept)
    yield night
    shutil.rmtree(night, ignore_errors=True)
    kept.rename(night)


def small_landing(folder: Path) -> None:
    """One station's export of twenty parcels."""
    (folder / "D1").mkdir(parents=True)
    lines = ["运单号,快递公司,收件人,收件人手机号,收件地址,取件码,货架号,状态,入库时间,取件时间"]
    lines += [
        f"SF{700000 + n:013d},顺丰,测试员,1390070{n:04d},广东省深圳市南山区测试路1号,1-2,"
        "A-01,已取件,2026-11-20 10:00:00,2026-11-20 18:00:00"
        for n in range(20)
    ]
    (folder / "D1" / "parcels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def drills(airflow: Any) -> list[Any]:
    from safehands.installation import open_installation

    inst = open_installation(airflow.settings, lambda: None)  # type: ignore[arg-type, return-value]
    try:
        with inst.store.begin() as connection:
            query = "SELECT passed, problem, rto_seconds, recovery_point FROM restore_drill"
            return list(connection.execute(text(f"{query} ORDER BY id")))
    finally:
        inst.close()


def test_a_drill_passes_records_and_certifies(airflow: Any, backed_up: Path) -> None:
    run = run_dag("restore_drill", {"business_date": DAY})
    assert states(run) == {"drill": "success", "prune": "success"}
    last = drills(airflow)[-1]
    assert last.passed
    assert last.rto_seconds > 0
    assert last.recovery_point is not None
    [path] = (airflow.settings.reports / "certificates").glob(f"restore-drill-{DAY}-*.json")
    verifier = verifier_from(None, airflow.settings.home / "ledger.pub")
    assert "restore_drill" in verify_file(path, verifier, "en")
    body = json.loads(path.read_text(encoding="utf-8"))["body"]
    assert body["newest"]["rows"] > 0
    assert not [n for n in databases(airflow) if n.endswith("_proof")]


def databases(airflow: Any) -> list[str]:
    import psycopg

    from safehands import embedded

    server = embedded.start(embedded.Place(airflow.settings.home), durable=False)
    with psycopg.connect(**server.conninfo("postgres")) as connection:
        return [row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()]


def broken(folder: Path) -> None:
    path = sorted((folder / "objects").iterdir())[0]
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))


def zero_bytes(folder: Path) -> None:
    for path in (folder / "manifests").iterdir():
        path.write_bytes(b"")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("harm", [broken, zero_bytes, empty])
def test_a_backup_that_would_not_restore_turns_it_red(
    airflow: Any, backed_up: Path, harm: Callable[[Path], None]
) -> None:
    harm(backed_up)
    run = run_dag("restore_drill", {"business_date": DAY})
    assert run.state == "failed"
    assert states(run) == {"drill": "failed", "prune": "upstream_failed"}
    [notice] = notices_of(airflow.settings, run.run_id)
    assert (notice["step"], notice["exit_code"]) == ("drill", 60)
    last = drills(airflow)[-1]
    assert not last.passed
    assert last.problem["key"].startswith("backup.")


def test_a_failure_that_trying_again_does_not_solve_is_not_tried_again(
    airflow: Any, backed_up: Path
) -> None:
    empty(backed_up)
    run = run_dag("restore_drill", {"business_date": DAY})
    assert {t.try_number for t in run.get_task_instances() if t.task_id == "drill"} == {1}
