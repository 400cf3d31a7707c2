"""Nights in Airflow, one after the other in this process: each of the steps failing, then none.

Called with a settings home, a landing folder, a business date and ``filtered`` or ``unfiltered``.
The environment of Airflow is set before Airflow is imported, so this is a program of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from safehands.settings import PROJECT, Settings
from safehands_airflow import home


def main(landing: str, day: str, *steps: str) -> None:
    """Prepare Airflow and run the DAG once per step; ``-`` forces nothing."""
    settings = Settings.read(os.environ)
    os.environ.update(home.prepare(settings, os.environ))
    from airflow.utils import db

    db.initdb()
    for step in steps:
        # A forced error stays: each night is a child of its own.
        child = os.fork()
        if child == 0:
            _night(landing, day, step)
        os.waitpid(child, 0)


def _night(landing: str, day: str, step: str) -> None:
    import promise_forced
    from airflow.dag_processing.dagbag import DagBag

    filtered = not step.startswith("!")
    promise_forced.force(step.strip("!-"))
    if not filtered:
        promise_forced.take_the_filter_off()
    bag = DagBag(str(PROJECT / "dags"))
    dag = bag.dags["nightly_governance"]
    for task in dag.tasks:
        task.retries = 0
    dag.test(run_conf={"business_date": day, "landing": landing})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
