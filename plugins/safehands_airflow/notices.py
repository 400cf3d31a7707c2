"""What is told when a task fails for good: run, step, exit code and what to do; never a value.

A notice is one JSON file in ``<home>/notices/`` (0600) and one line in the log. Format::

    {"format": "safehands-notice/1", "night": …, "airflow_run": …, "step": …, "shard": …,
     "exit_code": …, "at": …, "zh": …, "en": …, "todo": {"zh": …, "en": …}}

The name is made from night, step and shard: the same failure on the next try replaces its notice.
Where nobody can say what happened (the task was killed), the exit code is 90.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from safehands.errors import SafehandsError, StepFailed
from safehands.messages import LANGUAGES, say
from safehands.settings import Settings
from safehands_airflow.operators import NightProblem, business_date

__all__ = ["FORMAT", "folder", "notices_of", "notify_failure"]

FORMAT = "safehands-notice/1"

_log = logging.getLogger(__name__)


def notify_failure(context: Context) -> None:
    """Write the notice of a failed task; for ``on_failure_callback``."""
    settings = Settings.read(os.environ)
    notice = _notice(context)
    _write(folder(settings), notice)
    _log.error(
        "safehands: %s failed, exit code %s: %s",
        *(notice["step"], notice["exit_code"], notice[settings.lang]),
    )


def folder(settings: Settings) -> Path:
    """Return the folder of the notices."""
    return settings.home / "notices"


def notices_of(settings: Settings, airflow_run: str) -> list[dict[str, Any]]:
    """Return the notices of one run of Airflow, oldest first."""
    found = [n for n in _all(folder(settings)) if n["airflow_run"] == airflow_run]
    return sorted(found, key=lambda notice: str(notice["at"]))


def _all(place: Path) -> Iterator[dict[str, Any]]:
    for path in place.glob("*.json"):
        yield json.loads(path.read_text(encoding="utf-8"))


def _notice(context: Context) -> dict[str, Any]:
    instance = context["ti"]
    step = instance.task_id.rsplit(".", 1)[-1]
    problem = _problem(context.get("exception"), step)
    texts = {lang: problem.say(lang) for lang in LANGUAGES}
    return {
        "format": FORMAT,
        "night": business_date(context).isoformat(),
        "airflow_run": context["dag_run"].run_id,
        "step": step,
        "shard": str(context.get("shard_label", "")),
        "exit_code": problem.exit_code,
        "at": datetime.now(UTC).isoformat(),
        **texts,
        "todo": {lang: say("airflow.todo", lang, step=step) for lang in LANGUAGES},
    }


def _problem(exception: object, step: str) -> SafehandsError:
    if isinstance(exception, NightProblem):
        return exception.problem
    if isinstance(exception, SafehandsError):
        return exception
    # A foreign error's text may quote a cell: its type is all that is told.
    kind = type(exception).__name__ if isinstance(exception, BaseException) else "killed"
    return StepFailed("step.failed", step=step, kind=kind, place="airflow")


def _write(place: Path, notice: Mapping[str, Any]) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    shard = re.sub(r"[^A-Za-z0-9-]", "", str(notice["shard"]).split(":")[0])
    name = "-".join(part for part in (notice["night"], notice["step"], shard) if part)
    draft = place / f".{name}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(notice, file, ensure_ascii=False, indent=1)
    os.replace(draft, place / f"{name}.json")
