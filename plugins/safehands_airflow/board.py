"""The folder of notices: what is told when a task failed for good; never a value.

A notice is one JSON file in ``<home>/notices/`` (0600). Format::

    {"format": "safehands-notice/1", "night": …, "airflow_run": …, "step": …, "shard": …,
     "exit_code": …, "at": …, "zh": …, "en": …, "todo": {"zh": …, "en": …}}

The name is made from night, step and shard: the same failure on the next try replaces its notice.
This module does without Airflow, so that notices can be read where Airflow is not set up.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safehands.settings import Settings

__all__ = ["FORMAT", "notices_of", "post"]

FORMAT = "safehands-notice/1"


def notices_of(settings: Settings, airflow_run: str) -> list[dict[str, Any]]:
    """Return the notices of one run of Airflow, oldest first."""
    paths = _folder(settings).glob("[!.]*.json")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    ours = [notice for notice in found if notice["airflow_run"] == airflow_run]
    return sorted(ours, key=lambda notice: str(notice["at"]))


def post(settings: Settings, notice: Mapping[str, Any]) -> Path:
    """Write ``notice``, whole or not at all, and return where it is."""
    place = _folder(settings)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    shard = re.sub(r"[^A-Za-z0-9-]", "", str(notice["shard"]).split(":")[0])
    name = "-".join(part for part in (notice["night"], notice["step"], shard) if part)
    draft = place / f".{name}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(notice, file, ensure_ascii=False, indent=1)
    os.replace(draft, place / f"{name}.json")
    return place / f"{name}.json"


def _folder(settings: Settings) -> Path:
    return settings.home / "notices"
