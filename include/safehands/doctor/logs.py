"""Logs: kept for half a year, readable for nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from safehands.doctor.finding import Finding
from safehands.doctor.private import too_open
from safehands.logs import newest_day, oldest_day
from safehands.settings import Settings

__all__ = ["log_files"]

_FOLDER = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"
_ACCESSES = "api-server"
_STILL = timedelta(days=2)


def log_files(settings: Settings, environ: Mapping[str, str], today: date) -> Finding:
    """Say how far the logs reach back, and whether accesses are among them.

    The folder is the one that Airflow is told in ``environ``, else the one-machine installation's.
    It is closed by itself or by the one above it.
    """
    told = environ.get(_FOLDER)
    folder = Path(told) if told else settings.home / "airflow" / "logs"
    if not folder.is_dir():
        return Finding("logs", "ok", "none")
    if too_open(folder.parent) and too_open(folder):
        return Finding("logs", "bad", "open", {"folder": str(folder)})
    if told and settings.database_url:
        # Several services: the api-server runs day and night, and is asked for its health. On one
        # machine it may be off for weeks, or never have run, and that is nothing to warn of.
        newest = newest_day(folder, _ACCESSES)
        if newest is None:
            return Finding("logs", "warn", "no_accesses", {"folder": str(folder)})
        if today - newest > _STILL:
            return Finding("logs", "warn", "old_accesses", {"days": (today - newest).days})
    first = oldest_day(folder)
    return Finding("logs", "ok", "ok", {"days": (today - first).days if first else 0})
