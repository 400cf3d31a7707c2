"""All checks in the order in which a person would put things right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from safehands.doctor.airflow import airflow
from safehands.doctor.database import database
from safehands.doctor.finding import Finding
from safehands.doctor.habits import kept_apart
from safehands.doctor.logs import log_files
from safehands.doctor.machine import machine
from safehands.doctor.ports import Listener, listeners, ports
from safehands.doctor.private import private
from safehands.night import SHANGHAI
from safehands.settings import Settings

__all__ = ["examine"]


def examine(
    settings: Settings,
    environ: Mapping[str, str],
    now: datetime,
    listening: Callable[[], Iterable[Listener]] = listeners,
) -> Iterator[Finding]:
    """Yield all findings at ``now`` (aware); nothing is written, made or started."""
    yield from machine(settings, now)
    if not settings.home.is_dir():
        yield Finding("home", "warn", "none", {"folder": str(settings.home)})
        return
    yield Finding("home", "ok", "ok", {"folder": str(settings.home)})
    yield from private(settings)
    yield from database(settings, now)
    yield from kept_apart(settings)
    yield log_files(settings, environ, now.astimezone(SHANGHAI).date())
    yield from airflow(environ)
    yield ports(listening())
