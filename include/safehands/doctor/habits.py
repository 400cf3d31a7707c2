"""What should have happened lately: nights, backups, drills; and what lies about in clear."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import Connection, text

from safehands.backuppolicy import load_backup_policy
from safehands.doctor.finding import Finding
from safehands.report.attention import places
from safehands.settings import Settings

__all__ = ["drilled", "habits", "kept_apart", "recent"]

_DAYS = 2


def habits(connection: Connection, settings: Settings, today: date) -> Iterator[Finding]:
    """Yield how long ago the last night, backup and drill were, seen from ``today``."""
    yield recent("night", connection.execute(text(_NIGHT)).scalar(), today)
    yield recent("backup", connection.execute(text(_BACKUP)).scalar(), today)
    drill = connection.execute(text(_DRILL)).first()
    every = load_backup_policy(settings.policy).drill.every_days
    yield drilled(drill[0] if drill else None, bool(drill and drill[1]), today, every)


def recent(check: str, last: date | None, today: date) -> Finding:
    """Judge the day of the ``last`` night or backup."""
    if last is None:
        return Finding(check, "warn", "never")
    days = (today - last).days
    late = days > _DAYS
    return Finding(check, "warn" if late else "ok", "late" if late else "ok", {"days": days})


def drilled(last: date | None, passed: bool, today: date, every: int) -> Finding:
    """Judge the last restore drill against policy (``drill.every_days``)."""
    if last is None:
        return Finding("drill", "warn", "never", {"every": every})
    shown: dict[str, str | int] = {"days": (today - last).days, "every": every}
    if not passed:
        return Finding("drill", "bad", "failed", shown)
    late = today - last > timedelta(days=every)
    return Finding("drill", "warn" if late else "ok", "late" if late else "ok", shown)


def kept_apart(settings: Settings) -> Iterator[Finding]:
    """Yield what shares a disk with what it should outlive, and exports in clear text."""
    for name, holds in places(settings).items():
        yield Finding(name, "warn" if holds else "ok", "holds" if holds else "ok")


_NIGHT = "SELECT max(business_date) FROM step_result WHERE step = 'report'"
_BACKUP = "SELECT max(business_date) FROM backup"
_DRILL = "SELECT business_date, passed FROM restore_drill ORDER BY id DESC LIMIT 1"
