"""What Airflow calls when a task failed for good: a notice on the board, an alert, a log line.

Run, step, exit code and what to do; never a value. Where nobody can say what happened (the task
was killed), the exit code is 90.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from safehands.errors import SafehandsError, StepFailed
from safehands.failures import runbook_of
from safehands.messages import LANGUAGES, say
from safehands.settings import Settings
from safehands_airflow import board
from safehands_airflow.alerting import tell_failure
from safehands_airflow.operators import NightProblem, business_date

__all__ = ["notify_failure"]

_log = logging.getLogger(__name__)


def notify_failure(context: Context) -> None:
    """Write a failed task's notice and send its alert; for ``on_failure_callback``."""
    settings = Settings.read(os.environ)
    notice = _notice(context)
    board.post(settings, notice)
    tell_failure(settings, notice)
    _log.error(
        "safehands: %s failed, exit code %s: %s",
        *(notice["step"], notice["exit_code"], notice[settings.lang]),
    )


def _notice(context: Context) -> dict[str, Any]:
    dag, step = context["ti"].dag_id, context["ti"].task_id.rsplit(".", 1)[-1]
    problem = _problem(context.get("exception"), step)
    return {
        "format": board.FORMAT,
        "dag": dag,
        "night": business_date(context).isoformat(),
        "airflow_run": context["dag_run"].run_id,
        "step": step,
        "shard": str(context.get("shard_label", "")),
        "exit_code": problem.exit_code,
        "at": datetime.now(UTC).isoformat(),
        **{lang: problem.say(lang) for lang in LANGUAGES},
        "todo": {
            lang: say("airflow.todo", lang, step=step, dag=dag, runbook=runbook_of(dag))
            for lang in LANGUAGES
        },
    }


def _problem(exception: object, step: str) -> SafehandsError:
    if isinstance(exception, NightProblem):
        return exception.problem
    if isinstance(exception, SafehandsError):
        return exception
    # A foreign error's text may quote a cell: its type is all that is told.
    kind = type(exception).__name__ if isinstance(exception, BaseException) else "killed"
    return StepFailed("step.failed", step=step, kind=kind, place="airflow")
