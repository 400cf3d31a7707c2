"""The machine: Python, packages, time zone, free disk."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from safehands.doctor.finding import Finding
from safehands.doctor.kernel import clock_sync, kernel_status
from safehands.settings import PROJECT, Settings

__all__ = ["disk", "machine", "packages", "python", "time_zone"]

_GIB = 1 << 30
_FULL_BYTES, _LOW_BYTES = 1 * _GIB, 5 * _GIB
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)", re.MULTILINE)
_CHINA = timedelta(hours=8)


def machine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield what is true of the machine at ``now`` (aware)."""
    yield python(sys.version_info[:2])
    yield packages(PROJECT / "requirements" / "lock.txt")
    yield time_zone(now)
    yield from clock_sync(kernel_status())
    for place in _places(settings):
        yield disk(place, shutil.disk_usage(place).free)


def python(version: tuple[int, int]) -> Finding:
    """Judge the version of Python by what the releases are tested with."""
    shown = f"{version[0]}.{version[1]}"
    fits = (3, 11) <= version < (3, 15)
    return Finding("python", "ok" if fits else "bad", "ok" if fits else "other", {"found": shown})


def packages(lock: Path) -> Finding:
    """Compare what is installed with the lock file; without one nothing can be said."""
    if not lock.is_file():
        return Finding("packages", "warn", "no_lock")
    pins = dict(_PIN.findall(lock.read_text(encoding="utf-8")))
    other = sorted(name for name, wanted in pins.items() if _installed(name) not in (None, wanted))
    if other:
        shown = ", ".join(other[:5])
        return Finding("packages", "warn", "other", {"count": len(other), "shown": shown})
    return Finding("packages", "ok", "ok", {"count": len(pins)})


def _installed(name: str) -> str | None:
    """Return the version of a package; None where it is not here, as extras need not be."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def time_zone(now: datetime, name: str = "Asia/Shanghai") -> Finding:
    """Check that the machine knows Asia/Shanghai: business dates and months depend on it."""
    try:
        offset = now.astimezone(ZoneInfo(name)).utcoffset()
    except ZoneInfoNotFoundError:
        offset = None
    good = offset == _CHINA
    return Finding("time_zone", "ok" if good else "bad", "ok" if good else "unknown")


def _places(settings: Settings) -> list[Path]:
    """Return one existing folder per disk on which we write."""
    disks: dict[int, Path] = {}
    for folder in (settings.home, settings.backups, settings.keys, settings.keys_second):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        disks.setdefault(there.stat().st_dev, there)
    return list(disks.values())


def disk(folder: Path, free: int) -> Finding:
    """Judge ``free`` bytes on the disk of ``folder``."""
    shown: dict[str, str | int] = {"folder": str(folder), "free": f"{free / _GIB:.1f}"}
    if free < _FULL_BYTES:
        return Finding("disk", "bad", "full", shown)
    return Finding(
        "disk", "warn" if free < _LOW_BYTES else "ok", "low" if free < _LOW_BYTES else "ok", shown
    )
