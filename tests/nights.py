"""The one night of all tests.

Constants that tests import live here and not in ``conftest``: with a ``conftest.py`` per folder,
the name ``conftest`` means whichever was loaded last.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

__all__ = ["BUSINESS_DATE", "NOW", "fixed_clock"]

BUSINESS_DATE = date(2026, 11, 23)
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def fixed_clock() -> datetime:
    """The clock of all tests: the night after the business date."""
    return NOW
