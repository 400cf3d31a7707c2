"""Failures of tasks, as their notices tell them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from safehands.alerts.found import Found, Value
from safehands.failures import notices, runbook_of
from safehands.settings import Settings

__all__ = ["OWN_DAG", "failure", "failures"]

OWN_DAG = "alerts"
"""What sends alerts does not tell of its own failure: it could not."""

_GATES = (30, 31)
"""Exit codes of a closed gate (``errors``)."""


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
    return Found(kind, key, params, f"runbook/{runbook_of(dag)}.md#{params['step']}")
