"""Notices of failed tasks in ``<home>/notices/``: whoever runs the steps writes, alerts read.

A notice is one JSON file (0600). Format::

    {"format": "safehands-notice/1", "dag": …, "night": …, "airflow_run": …, "step": …,
     "shard": …, "exit_code": …, "at": …, "zh": …, "en": …, "todo": {"zh": …, "en": …}}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safehands.settings import Settings

__all__ = ["FORMAT", "notices", "notices_folder", "runbook_of"]

FORMAT = "safehands-notice/1"


def notices_folder(settings: Settings) -> Path:
    """Return the folder of the notices."""
    return settings.home / "notices"


def notices(settings: Settings) -> list[dict[str, Any]]:
    """Return all notices, oldest first."""
    paths = notices_folder(settings).glob("[!.]*.json")
    found: list[dict[str, Any]] = [json.loads(p.read_text(encoding="utf-8")) for p in paths]
    return sorted(found, key=lambda notice: str(notice["at"]))


def runbook_of(dag: str) -> str:
    """Return the name of the run-book of ``dag``."""
    return "nightly" if dag == "nightly_governance" else dag
