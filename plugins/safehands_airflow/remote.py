"""A night in the Airflow that ``make up`` started: triggered and followed through its API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote

from rich.console import Console

from safehands.errors import SetupProblem
from safehands.settings import Settings
from safehands_airflow import home
from safehands_airflow.api import Api
from safehands_airflow.watch import TaskState, Watch

__all__ = ["govern_remote"]

_LOOK_SECONDS = 1.0
_PAGE = 100


def govern_remote(
    dag: str, settings: Settings, port: int, conf: Mapping[str, str], console: Console
) -> tuple[str, str, tuple[TaskState, ...]]:
    """Trigger ``dag``, wait for its end and return the run's id, its state and its tasks.

    Raises ``SetupProblem`` when the running Airflow does not answer or the DAG is paused.
    """
    api = Api(port, home.password(settings))
    if api.get(f"/api/v2/dags/{dag}")["is_paused"]:
        # A run of a paused DAG would wait for ever.
        raise SetupProblem("airflow.paused", dag=dag)
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(api.trigger(dag, conf), safe='')}"
    watch = Watch(console, settings.lang)
    with watch.shown():
        while True:
            run = api.get(path)
            tasks = _tasks(api, path)
            watch.show(tasks)
            if run["state"] in {"success", "failed"}:
                return str(run["dag_run_id"]), str(run["state"]), tuple(tasks)
            time.sleep(_LOOK_SECONDS)


def _tasks(api: Api, path: str) -> list[TaskState]:
    found: list[TaskState] = []
    while True:
        answer = api.get(f"{path}/taskInstances?limit={_PAGE}&offset={len(found)}")
        page = answer["task_instances"]
        found += [
            TaskState(
                t["task_id"].rsplit(".", 1)[-1], t["rendered_map_index"] or "", t["state"] or ""
            )
            for t in page
        ]
        if not page or len(found) >= answer["total_entries"]:
            return found
