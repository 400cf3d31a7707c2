"""Logs are looked after wherever this Airflow writes them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safehands_airflow.home import airflow_home


def aged(path: Path, days: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line\n", encoding="utf-8")
    moment = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def upkeep() -> Any:
    from safehands_airflow.upkeep import LogsOperator

    return LogsOperator(task_id="logs").execute({})


def test_half_a_year_of_logs_stays_on_one_machine(airflow: Any) -> None:
    task = airflow_home(airflow.settings) / "logs" / "dag_id=tick" / "run_id=x"
    old, young = aged(task / "old.log", 200), aged(task / "young.log", 100)
    assert upkeep()["removed"] == 1
    assert not old.exists()
    assert young.exists()


def test_containers_have_their_logs_on_a_volume_of_their_own(
    airflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    old = aged(tmp_path / "dag_id=tick" / "run_id=x" / "old.log", 200)
    assert upkeep()["removed"] == 1
    assert not old.exists()
