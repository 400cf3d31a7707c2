"""What every step of one night is given: the policy, the places, the date and the run's key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from safehands.keys import RunKey
from safehands.policy import Policy
from safehands.settings import Settings

__all__ = ["SHANGHAI", "Night"]

SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Night:
    """One run of the nightly chain. ``business_date`` is an Asia/Shanghai calendar day.

    ``elapsed`` gives the seconds since the present step began, for the record only.
    """

    run: str
    business_date: date
    settings: Settings
    policy: Policy
    key: RunKey = field(repr=False)
    elapsed: Callable[[], float] = field(default=lambda: 0.0, repr=False)

    @property
    def work(self) -> Path:
        """The folder of this run's artifacts."""
        return self.settings.work / self.run

    @property
    def midnight_after(self) -> datetime:
        """The first instant after the business date: nothing can have happened later."""
        return datetime.combine(self.business_date + timedelta(days=1), time(), SHANGHAI)

    def horizon(self, keep_days: int) -> datetime:
        """Return the instant before which events are past ``keep_days``.

        An event on day D is kept until the end of day D + ``keep_days`` (Asia/Shanghai).
        """
        return datetime.combine(self.business_date - timedelta(days=keep_days), time(), SHANGHAI)
