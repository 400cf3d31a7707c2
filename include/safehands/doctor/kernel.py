"""What the kernel says of its own clock: whether something keeps it right (NTP, PTP)."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from safehands.doctor.finding import Finding

__all__ = ["clock_sync", "kernel_status"]

_UNSYNCHRONISED = 0x0040
"""``STA_UNSYNC`` of ``adjtimex(2)``."""

_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"), Path("/run/secrets/kubernetes.io"))


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``; the rest is room for what the kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def kernel_status(container: Iterable[Path] = _CONTAINER) -> int | None:
    """Return the status word of ``adjtimex(2)``, which is only asked; None where it says nothing.

    In a container and under another system's kernel (WSL) the clock is the host's affair.
    """
    if platform.system() != "Linux" or "microsoft" in platform.release().casefold():
        return None
    if any(mark.exists() for mark in container):
        return None
    asked = _Timex(modes=0)
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else int(asked.status)


def clock_sync(status: int | None) -> Iterator[Finding]:
    """Yield a warning when the kernel says that nothing keeps its clock right, else nothing."""
    if status is not None and status & _UNSYNCHRONISED:
        yield Finding("clock_sync", "warn", "unsynchronised")
