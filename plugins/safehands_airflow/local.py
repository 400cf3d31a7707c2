"""A night inside this process: Airflow's own ``dag.test()``, on the real databases, no server.

Airflow is imported here and nowhere earlier: its settings are read from the environment at the
first import. What it prints goes to ``<home>/airflow/logs/nightly.log``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from rich.console import Console
from sqlalchemy import create_engine, text

from safehands.errors import SetupProblem
from safehands.messages import say
from safehands.settings import Settings
from safehands_airflow import home
from safehands_airflow.metadata import prepare_metadata
from safehands_airflow.watch import TaskState, Watch

__all__ = [
    "end_what_was_killed",
    "govern_here",
    "in_process",
    "load_dag",
    "task_states",
    "turned_away",
]

_LOOK_SECONDS = 0.3
_RETRY_DELAY = timedelta(seconds=2)


def govern_here(
    dag: str,
    settings: Settings,
    environment: Mapping[str, str],
    conf: Mapping[str, str],
    console: Console,
) -> tuple[str, str, tuple[TaskState, ...]]:
    """Run ``dag`` once and return the run's id, its state and its tasks.

    Changes this process's environment. Raises ``SetupProblem`` when the DAG cannot be loaded.
    """
    log = home.airflow_home(settings) / "logs" / "nightly.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    console.print(say("airflow.log", settings.lang, file=str(log)), style="dim", soft_wrap=True)
    os.environ.update(environment)
    with turned_away(log):
        prepare_metadata()
        loaded = load_dag(dag)
        last = end_what_was_killed(dag)
        with _watched(lambda: task_states(dag, last), Watch(console, settings.lang)):
            done = loaded.test(run_conf=dict(conf))
    return str(done.run_id), str(done.state.value), tuple(task_states(dag, last))


def load_dag(dag: str) -> Any:
    """Return the DAG of this checkout, with retries that don't keep anybody waiting."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    for file, trace in bag.import_errors.items():
        kind = trace.strip().splitlines()[-1].split(":")[0]
        raise SetupProblem("airflow.broken_dag", file=Path(file).name, kind=kind)
    for task in bag.dags[dag].tasks:
        task.retry_delay = _RETRY_DELAY
    return in_process(bag.dags[dag])


def in_process(dag: Any) -> Any:
    """Return ``dag`` as ``dag.test()`` can run it: nobody watches deadlines there.

    Airflow 3.3.2 fails to end such a run of a DAG with deadlines (apache/airflow#73428).
    """
    dag.deadline = None
    return dag


def end_what_was_killed(dag: str) -> int:
    """Close the runs that a killed ``make nightly`` left open; return the last run's number.

    No scheduler is up and no other ``make nightly`` runs, so nobody works on them.
    """
    with _metadata().begin() as connection:
        connection.execute(
            text(
                "UPDATE dag_run SET state = 'failed', end_date = now()"
                " WHERE dag_id = :dag AND state IN ('running', 'queued')"
            ),
            {"dag": dag},
        )
        newest = text("SELECT coalesce(max(id), 0) FROM dag_run WHERE dag_id = :dag")
        return int(connection.execute(newest, {"dag": dag}).scalar_one())


def task_states(dag: str, after: int) -> list[TaskState]:
    """Return the tasks of the run that was made after run number ``after``."""
    query = text(
        "SELECT t.task_id, t.rendered_map_index, t.state FROM task_instance t"
        " JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id"
        " WHERE r.dag_id = :dag AND r.id > :after"
    )
    with _metadata().connect() as connection:
        rows = connection.execute(query, {"dag": dag, "after": after}).all()
    return [TaskState(i.rsplit(".", 1)[-1], label or "", state or "") for i, label, state in rows]


def _metadata() -> Any:
    from sqlalchemy.pool import NullPool

    return create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], poolclass=NullPool)


@contextmanager
def _watched(states: Callable[[], Iterable[TaskState]], watch: Watch) -> Iterator[None]:
    over = Event()
    thread = Thread(target=watch.follow, args=(states, over, _LOOK_SECONDS), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def turned_away(log: Path) -> Iterator[None]:
    """Send what this process writes to its output into ``log``."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(handle, number)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
            os.close(original)
        os.close(handle)
