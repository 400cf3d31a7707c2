"""Unusual access: reveals and files per role, hour and volume (反电信网络诈骗法 29, FRD-01).

Measured against fixed limits of policy and against each role's own usual day (the median of its
days with any access in the past). Read as the auditor: counts and staff ids, no person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.incidents.book import IncidentBook, Unusual
from safehands.installation import Installation
from safehands.store.register import Owner
from safehands.vault.access import OFFICER

__all__ = ["Alert", "alerts", "raise_alerts"]


@dataclass(frozen=True)
class Alert:
    """One thing out of the ordinary: whose, what, which limit, how much against how much."""

    by: str
    what: str
    rule: str
    number: int
    limit: int


def alerts(connection: Connection, book: IncidentBook, day: date) -> list[Alert]:
    """Return what was unusual on ``day`` (Asia/Shanghai), by staff id."""
    rules = book.unusual
    values = {"day": day, "first": day - timedelta(days=rules.past_days)}
    rows = connection.execute(text(_ACCESS), values).all()
    found: list[Alert] = []
    for by, what in sorted({(row.by_whom, row.what) for row in rows}):
        mine = [row for row in rows if (row.by_whom, row.what) == (by, what)]
        found += _of(rules, by, what, [r for r in mine if r.day == day], _usual(mine, day))
    return found


def raise_alerts(inst: Installation, book: IncidentBook, owner: Owner, day: date) -> list[Alert]:
    """Return the alerts of ``day`` and put them into the ledger once per day."""
    with inst.store.begin("safehands_auditor", owner.id) as connection:
        found = alerts(connection, book, day)
    if found:
        with inst.store.begin(OFFICER, owner.id) as connection:
            told = [f"{a.by} {a.what} {a.rule} {a.number}/{a.limit}" for a in found]
            body = {"controller": owner.code, "day": day.isoformat(), "alerts": told}
            journal.append(connection, "unusual_access", f"unusual-{day}", inst.clock(), body)
    return found


def _usual(rows: list[Any], day: date) -> float:
    """Return the median of the earlier days with access; 0 without a past."""
    days: dict[date, int] = {}
    for row in rows:
        if row.day < day:
            days[row.day] = days.get(row.day, 0) + int(row.number)
    return median(days.values()) if days else 0.0


def _of(rules: Unusual, by: str, what: str, today: list[Any], usual: float) -> list[Alert]:
    total = sum(int(row.number) for row in today)
    found = []
    for row in today:
        if row.number > rules.per_hour:
            found.append(Alert(by, what, "per_hour", int(row.number), rules.per_hour))
        if not rules.from_hour <= row.hour < rules.to_hour:
            found.append(Alert(by, what, "at_night", int(row.number), 0))
    if total > rules.per_day:
        found.append(Alert(by, what, "per_day", total, rules.per_day))
    own = int(usual * rules.times_usual)
    if usual and total > max(own, rules.least):
        found.append(Alert(by, what, "own_past", total, max(own, rules.least)))
    return found


_ACCESS = (
    "SELECT by_whom, what, (at AT TIME ZONE 'Asia/Shanghai')::date AS day,"
    " extract(hour FROM at AT TIME ZONE 'Asia/Shanghai')::int AS hour, sum(number)::int AS number"
    " FROM (SELECT by_whom, action AS what, at, 1 AS number FROM access_log"
    " UNION ALL SELECT by_whom, 'file', made_at, rows FROM disclosure) every"
    " WHERE (at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :day"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
