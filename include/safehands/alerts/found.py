"""One thing that somebody should know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Found", "Value"]

Value = str | int | float


@dataclass(frozen=True)
class Found:
    """``kind`` of ``alerts.yaml``, ``key``: what tells it from others of its kind, ``params``.

    ``key`` holds what makes it new (a night, a deadline, the day on which it began), so the same
    state found again is the same alert. ``params`` are counts, dates, ids of records and of staff.
    ``runbook`` wins over the kind's: a failed task has a section of its own.
    """

    kind: str
    key: str
    params: Mapping[str, Value] = field(default_factory=dict)
    runbook: str = ""
