"""Logs of the installation: cut daily, kept as long as the law asks, then removed.

CSL 23(3) asks for network and access logs of at least six months; policy's ``system_log`` says
184 days, and a smaller number is refused when policy is read. What the components write into one
file without end (`api-server.log` holds the accesses) is cut once a day::

    api-server.log                      written to
    api-server-2026-11-29.log.gz        one day, 0600
    dag_id=…/run_id=…/task_id=…/        the tasks' logs, as Airflow lays them

A component holds its file open for appending, so the file is copied and then emptied in place: a
line written between the two is lost at most, and nothing has to be restarted.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from safehands.errors import PolicyError
from safehands.night import SHANGHAI

__all__ = ["MINIMUM_DAYS", "Kept", "keep_logs", "newest_day", "oldest_day"]

MINIMUM_DAYS = 184
"""Six months (CSL 23(3), in force from 2026-01-01), counted on the safe side."""

_CUT = re.compile(r"-(\d{4}-\d{2}-\d{2})\.log\.gz$")


@dataclass(frozen=True)
class Kept:
    """What one run did: files cut, files removed, and the day of the oldest file that stays."""

    cut: int
    removed: int
    oldest: date | None


def keep_logs(folder: Path, today: date, days: int) -> Kept:
    """Cut the components' logs below ``folder`` and remove what is older than ``days``.

    Done again the same day, nothing is cut again. Raises ``PolicyError`` if ``days`` is below
    ``MINIMUM_DAYS``.
    """
    if days < MINIMUM_DAYS:
        raise PolicyError("policy.logs_too_short", days=days, minimum=MINIMUM_DAYS)
    if not folder.is_dir():
        return Kept(0, 0, None)
    cut = sum(_cut(path, today) for path in sorted(folder.glob("*.log")))
    removed = _remove(folder, today - timedelta(days=days))
    return Kept(cut, removed, oldest_day(folder))


def oldest_day(folder: Path) -> date | None:
    """Return the day of the oldest log below ``folder``; None for an empty one."""
    return min((_day(path) for path in _files(folder)), default=None)


def newest_day(folder: Path, component: str) -> date | None:
    """Return the day of the last line that ``component`` wrote; None if it has no log."""
    names = (f"{component}.log", f"{component}-????-??-??.log.gz")
    return max((_day(path) for name in names for path in folder.glob(name)), default=None)


def _cut(path: Path, today: date) -> bool:
    """Move what ``path`` holds from before ``today`` into a file of yesterday's name."""
    target = path.with_name(f"{path.stem}-{today - timedelta(days=1)}.log.gz")
    if target.exists() or not path.stat().st_size:
        return False
    draft = target.with_suffix(".partial")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as raw, gzip.open(raw, "wb") as packed, path.open("rb") as source:
        shutil.copyfileobj(source, packed)
    os.truncate(path, 0)
    os.replace(draft, target)
    return True


def _remove(folder: Path, before: date) -> int:
    old = [path for path in _files(folder) if _day(path) < before]
    for path in old:
        path.unlink()
    for place in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(place.iterdir()):
            place.rmdir()
    return len(old)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.log*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _day(path: Path) -> date:
    """Return the day that a cut log names, else the day of the last line written."""
    named = _CUT.search(path.name)
    if named:
        return date.fromisoformat(named[1])
    return datetime.fromtimestamp(path.stat().st_mtime, SHANGHAI).date()
