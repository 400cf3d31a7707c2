"""Policy of alerts: ``alerts.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from safehands.organisation.files import Frozen, checked, read_yaml

__all__ = ["AlertBook", "Kind", "Soon", "load_alert_book"]

_Days = Annotated[int, Field(ge=0)]


class Kind(Frozen):
    """One kind of alert: how urgent, which page shows it, which section under ``docs/`` helps."""

    urgent: bool
    page: str
    runbook: str


class Soon(Frozen):
    """How many days before its end a clock is announced."""

    request: _Days
    complaint: _Days
    handover: _Days


class AlertBook(Frozen):
    """All of ``alerts.yaml``."""

    services: tuple[str, ...]
    soon_days: Soon
    night_days: _Days
    failure_days: _Days
    risk_highest: Annotated[float, Field(gt=0, le=1)]
    rule_days: _Days
    kinds: dict[str, Kind]


def load_alert_book(folder: Path) -> AlertBook:
    """Read ``alerts.yaml`` in ``folder``. Raises ``PolicyError``."""
    return checked(AlertBook, read_yaml(folder / "alerts.yaml"), "alerts.yaml", "-")
