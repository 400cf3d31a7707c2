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
    """One retention rule with its cut-off: events before ``before`` are past their time.

    ``then_days``: with the action ``restrict``, days of storage that follow.
    """

    rule: str
    table: str
    action: str
    before: datetime
    then_days: int = 0


def plan_purge(policy: Policy, today: date) -> tuple[Due, ...]:
    """Return what is due on ``today``, in the order in which it is applied.

    An event on day D is kept until the end of day D + ``keep_days`` in Asia/Shanghai; of a month,
    the event is its last day. The same day gives the same plan whenever it is asked for: a retry
    next week deletes what the first try would have.
    """
    return tuple(
        Due(name, rule.table, rule.action, _cut_off(today, rule.keep_days, rule.from_), then)
        for name, rule in policy.retention.items()
        for then in (rule.then_days or 0,)
    )


def _cut_off(today: date, keep_days: int, event: str) -> datetime:
    first_kept = today - timedelta(days=keep_days)
    # A month is past its time as a whole: the first instant of the month that is still kept.
    day = first_kept.replace(day=1) if event == "month_end" else first_kept
    return datetime.combine(day, time(), _SHANGHAI)
