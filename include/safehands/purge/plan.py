"""What is due on a given day: pure, from policy and the day alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from safehands.policy import Policy

__all__ = ["Due", "plan_purge"]

_SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Due:
    """One retention rule with its cut-off: events before ``before`` are past their time."""

    rule: str
    table: str
    action: str
    before: datetime


def plan_purge(policy: Policy, today: date) -> tuple[Due, ...]:
    """Return what is due on ``today``, in the order in which it is applied.

    An event on day D is kept until the end of day D + ``keep_days`` in Asia/Shanghai. The same
    day gives the same plan whenever it is asked for: a retry next week deletes what the first
    try would have.
    """
    return tuple(
        Due(name, rule.table, rule.action, _cut_off(today, rule.keep_days))
        for name, rule in policy.retention.items()
    )


def _cut_off(today: date, keep_days: int) -> datetime:
    return datetime.combine(today - timedelta(days=keep_days), time(), _SHANGHAI)
