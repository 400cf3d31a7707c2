"""Logs: kept for half a year, readable for nobody else."""

from __future__ import annotations

from datetime import date

from safehands.doctor.finding import Finding
from safehands.doctor.private import too_open
from safehands.logs import oldest_day
from safehands.settings import Settings

__all__ = ["log_files"]


def log_files(settings: Settings, today: date) -> Finding:
    """Say how far the logs reach back; the folder is closed by the one above it."""
    folder = settings.home / "airflow" / "logs"
    if not folder.is_dir():
        return Finding("logs", "ok", "none")
    if too_open(folder.parent):
        return Finding("logs", "bad", "open", {"folder": str(folder)})
    first = oldest_day(folder)
    return Finding("logs", "ok", "ok", {"days": (today - first).days if first else 0})
