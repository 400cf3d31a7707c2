"""Nights in Airflow, one after the other: each step failing, unfiltered ones too, then none.

Arguments: the business date, then per night the step that fails, ``-`` for none, with ``!`` in
front when the filter is off, a colon and the landing folder. Each night's output goes to the file
``<home>/airflow-<number>.log``. Airflow reads its environment when it is imported, so this is a
program of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from promise_forced import forced

from safehands.settings import PROJECT, Settings
from safehands_airflow import home


def main(day: str, *nights: str) -> None:
    """Prepare Airflow and run the nights."""
    settings = Settings.read(os.environ)
    os.environ.update(home.prepare(settings, os.environ))
    from airflow.dag_processing.dagbag import DagBag

    from safehands_airflow.local import in_process
    from safehands_airflow.metadata import prepare_metadata

    prepare_metadata()
    dag = in_process(DagBag(str(PROJECT / "dags")).dags["nightly_governance"])
    for task in dag.tasks:
        task.retries = 0
    for number, night in enumerate(nights):
        step, _, landing = night.partition(":")
        _redirect(settings.home / f"airflow-{number}.log")
        with forced(step.strip("!-"), filtered=not step.startswith("!")):
            _run(dag, {"business_date": day, "landing": landing})


def _run(dag: Any, conf: dict[str, str]) -> None:
    run = dag.test(run_conf=conf)
    for instance in run.get_task_instances():
        sys.stdout.write(f"STATE {instance.task_id} {instance.state}\n")
    sys.stdout.flush()


def _redirect(path: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)


if __name__ == "__main__":
    main(*sys.argv[1:])
