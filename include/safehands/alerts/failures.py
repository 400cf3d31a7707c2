"""Failures of tasks, as the notices in ``<home>/notices/`` tell them.

A notice is one JSON file (0600). Format::

    {"format": "safehands-notice/1", "dag": …, "night": …, "airflow_run": …, "step": …,
     "shard": …, "exit_code": …, "at": …, "zh": …, "en": …, "todo": {"zh": …, "en": …}}

Whoever runs the steps writes them (in Airflow: ``safehands_airflow.board``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from safehands.alerts.found import Found, Value
from safehands.settings import Settings

__all__ = ["FORMAT", "OWN_DAG", "failure", "failures", "notices", "notices_folder", "runbook_of"]

FORMAT = "safehands-notice/1"
OWN_DAG = "alerts"
"""What sends alerts does not tell of its own failure: it could not."""

_GATES = (30, 31)
"""Exit codes of a closed gate (``errors``)."""


def notices_folder(settings: Settings) -> Path:
    """Return the folder of the notices."""
    return settings.home / "notices"


def notices(settings: Settings) -> list[dict[str, Any]]:
    """Return all notices, oldest first."""
    paths = notices_folder(settings).glob("[!.]*.json")
    found: list[dict[str, Any]] = [json.loads(p.read_text(encoding="utf-8")) for p in paths]
    return sorted(found, key=lambda notice: str(notice["at"]))


def failures(settings: Settings, day: date, days: int) -> list[Found]:
    """Return the failures of nights that are at most ``days`` old."""
    since = (day - timedelta(days=days)).isoformat()
    return [
        failure(notice)
        for notice in notices(settings)
        if notice["night"] >= since and notice.get("dag") != OWN_DAG
    ]


def failure(notice: Mapping[str, Any]) -> Found:
    """Return the alert of one notice: its file names, the reason's text, are left out."""
    code = int(notice["exit_code"])
    shard = str(notice["shard"]).split(":")[0]
    dag = str(notice.get("dag") or "nightly_governance")
    params: dict[str, Value] = {
        "dag": dag,
        "step": str(notice["step"]),
        "night": str(notice["night"]),
        "shard": shard or "-",
        "code": code,
    }
    kind = "gate_failed" if code in _GATES else "task_failed"
    key = "/".join((dag, str(notice["night"]), str(notice["step"]), shard, str(code)))
    return Found(kind, key, params, f"runbook/{runbook_of(dag)}.md")


def runbook_of(dag: str) -> str:
    """Return the name of the run-book of ``dag``."""
    return "nightly" if dag == "nightly_governance" else dag
