"""Unusual access: records opened and rows given, per staff id, hour and volume (FRD-01).

What counts: reveals, corrections and restrictions (``access_log``), rows of files that were given,
and numbers in send files of incidents. Measured against fixed limits of policy and against each
staff id's own usual day (the median of its days with any access in the past); 反电信网络诈骗法 29.
Read as the auditor: counts and staff ids, no person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, text

from safehands import journal
from safehands.incidents.book import IncidentBook, Unusual
from safehands.installation import Installation
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import Owner

__all__ = ["Alert", "access", "alerts", "raise_alerts"]


@dataclass(frozen=True)
class Alert:
    """One thing out of the ordinary: whose, what, which limit, how much against how much."""

    by: str
    what: str
    rule: str
    number: int
    limit: int


def access(connection: Connection, first: date, day: date) -> Sequence[Row[Any]]:
    """Return ``by_whom``, ``what``, ``day``, ``hour``, ``number`` of every hour with access."""
    return connection.execute(text(_ACCESS), {"first": first, "day": day}).all()


def alerts(connection: Connection, book: IncidentBook, day: date) -> list[Alert]:
    """Return what was unusual on ``day`` (Asia/Shanghai), by staff id."""
    rules = book.unusual
    rows = access(connection, day - timedelta(days=rules.past_days), day)
    found: list[Alert] = []
    for by, what in sorted({(row.by_whom, row.what) for row in rows}):
        mine = [row for row in rows if (row.by_whom, row.what) == (by, what)]
        found += _of(rules, by, what, [r for r in mine if r.day == day], _usual(mine, day))
    return found


def raise_alerts(inst: Installation, book: IncidentBook, owner: Owner, day: date) -> list[Alert]:
    """Return the alerts of ``day`` and put them into the ledger, once until there are more."""
    names = load_rulebook(inst.settings.policy).figures
    with inst.store.begin("safehands_auditor", owner.id) as connection:
        found = alerts(connection, book, day)
    run = f"unusual-{day}"
    with inst.store.begin(controller=owner.id) as connection:
        before = connection.execute(text(_BEFORE), {"day": day, "run": run}).scalar() or 0
        record_figure(
            connection,
            names,
            owner,
            "access.unusual_of_day",
            len(found),
            day=day,
            run=run,
            source="access_log",
        )
        if len(found) != before:
            told = [f"{a.by} {a.what} {a.rule} {a.number}/{a.limit}" for a in found]
            body = {"controller": owner.code, "day": day.isoformat(), "alerts": told}
            journal.append(connection, "unusual_access", run, inst.clock(), body)
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


_BEFORE = (
    "SELECT number FROM rule_figure WHERE name = 'access.unusual_of_day' AND day = :day"
    " AND run = :run"
)
_ACCESS = (
    "SELECT by_whom, what, (at AT TIME ZONE 'Asia/Shanghai')::date AS day,"
    " extract(hour FROM at AT TIME ZONE 'Asia/Shanghai')::int AS hour, sum(number)::int AS number"
    " FROM (SELECT by_whom, action AS what, at, 1 AS number FROM access_log"
    " UNION ALL SELECT by_whom, 'file', made_at, rows FROM disclosure"
    " UNION ALL SELECT e.by_whom, 'send_file', e.at, CAST(e.facts ->> 'messages' AS int)"
    " FROM incident_event e JOIN incident i ON i.id = e.incident_id"
    " WHERE e.kind = 'drafted' AND NOT i.drill) every"
    " WHERE (at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :day"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
