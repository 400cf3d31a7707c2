"""The folder of notices: what is told when a task failed for good; never a value.

A notice is one JSON file in ``<home>/notices/`` (0600); its format is told in
``safehands.failures``. The name is made from DAG, night, step and shard: the same failure
on the next try replaces its notice.
This module does without Airflow, so that notices can be read where Airflow is not set up.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safehands.failures import FORMAT, notices, notices_folder
from safehands.settings import Settings

__all__ = ["FORMAT", "notices_of", "post"]


def notices_of(settings: Settings, airflow_run: str) -> list[dict[str, Any]]:
    """Return the notices of one run of Airflow, oldest first."""
    return [notice for notice in notices(settings) if notice["airflow_run"] == airflow_run]


def post(settings: Settings, notice: Mapping[str, Any]) -> Path:
    """Write ``notice``, whole or not at all, and return where it is."""
    place = notices_folder(settings)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    shard = re.sub(r"[^A-Za-z0-9-]", "", str(notice["shard"]).split(":")[0])
    name = "-".join(
        part for part in (notice["dag"], notice["night"], notice["step"], shard) if part
    )
    draft = place / f".{name}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(notice, file, ensure_ascii=False, indent=1)
    os.replace(draft, place / f"{name}.json")
    return place / f"{name}.json"
