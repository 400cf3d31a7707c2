"""What the newest evidence says of nights, drills, risk and rules.

A state that lasts is one alert: its key is the day on which it began. Read as the auditor.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection, text

from safehands.alerts.book import AlertBook
from safehands.alerts.found import Found, Value
from safehands.rulebook import RuleBook

__all__ = ["drills", "edition_changes", "nights", "risks", "verdicts"]


def nights(connection: Connection, book: AlertBook, day: date) -> list[Found]:
    """Return the alert that no night was recorded; an installation without any is new."""
    last = connection.execute(text("SELECT max(business_date) FROM step_result")).scalar()
    if last is None or last >= day - timedelta(days=book.night_days):
        return []
    return [Found("night_missing", last.isoformat(), {"last": last.isoformat()})]


def drills(connection: Connection, every_days: int, day: date) -> list[Found]:
    """Return a failed newest drill, and the last good one being older than ``every_days``."""
    found = []
    newest = connection.execute(text(_DRILL)).first()
    if newest is not None and not newest.passed:
        when = newest.business_date.isoformat()
        found.append(Found("drill_failed", f"{newest.id}", {"day": when}))
    since = connection.execute(text(_GOOD_SINCE)).scalar()
    if since is not None and (day - since).days > every_days:
        params = {"day": since.isoformat(), "days": (day - since).days, "every": every_days}
        found.append(Found("drill_overdue", since.isoformat(), params))
    return found


def risks(connection: Connection, book: AlertBook) -> list[Found]:
    """Return owners whose highest risk of one record is above policy's."""
    rows = connection.execute(text(_RISK), {"bound": book.risk_highest})
    return [
        Found(
            "risk_above",
            f"{row.owner}/{row.since}/{book.risk_highest}",
            {"owner": row.owner, "risk": f"{row.highest:.3f}", "bound": f"{book.risk_highest:g}"},
        )
        for row in rows
    ]


def verdicts(connection: Connection) -> list[Found]:
    """Return thresholds that are passed, and rules that were met before and are not now."""
    found = []
    for row in connection.execute(text(_VERDICTS)):
        bound = "/" in row.rule
        if bound or row.before == "met":
            kind = "bound_passed" if bound else "rule_not_met"
            since = row.since.isoformat()
            params = {"owner": row.owner, "rule": row.rule, "since": since}
            found.append(Found(kind, f"{row.owner}/{row.rule}/{since}", params))
    return found


def edition_changes(rules: RuleBook, book: AlertBook, day: date) -> list[Found]:
    """Return new editions of rules, which began within ``rule_days``, and reviews that are due."""
    found = []
    for rule in rules.at(day):
        began = rule.edition.from_
        if (day - began).days <= book.rule_days and len(rule.rule.editions) > 1:
            params: dict[str, Value] = {"rule": rule.id, "since": began.isoformat()}
            found.append(Found("rule_changed", f"{rule.id}/{began}", params))
    late = rules.past_review(day)
    if late:
        # All at once: a book is reviewed as a whole, and one message says so.
        oldest = min(rule.past_review for rule in late).isoformat()
        params = {"count": len(late), "rule": late[0].id, "since": oldest}
        found.append(Found("rule_past_review", f"{oldest}/{len(late)}", params))
    return found


_DRILL = "SELECT id, passed, business_date FROM restore_drill ORDER BY id DESC LIMIT 1"
# Before the first good drill the clock runs from the first night.
_GOOD_SINCE = (
    "SELECT coalesce((SELECT max(business_date) FROM restore_drill WHERE passed),"
    " (SELECT min(business_date) FROM step_result))"
)
_RISK = (
    "WITH every AS (SELECT c.code AS owner, r.id, r.business_date,"
    " (r.figures->'figures'->'prosecutor'->>'highest')::float8 AS highest,"
    " row_number() OVER (PARTITION BY c.code ORDER BY r.id DESC) AS back"
    " FROM risk_assessment r JOIN controller c ON c.id = r.controller_id),"
    " fine AS (SELECT owner, max(id) AS id FROM every"
    " WHERE highest IS NULL OR highest <= :bound GROUP BY 1)"
    " SELECT e.owner, e.highest, (SELECT min(s.business_date) FROM every s"
    " LEFT JOIN fine f ON f.owner = s.owner WHERE s.owner = e.owner AND s.id > coalesce(f.id, 0))"
    " AS since FROM every e WHERE e.back = 1 AND e.highest > :bound ORDER BY 1"
)
_VERDICTS = (
    "WITH every AS (SELECT c.code AS owner, r.rule, r.outcome, r.business_date, r.id,"
    " lag(r.outcome) OVER w AS before, row_number() OVER (PARTITION BY c.code, r.rule"
    " ORDER BY r.id DESC) AS back FROM rule_result r JOIN controller c ON c.id = r.controller_id"
    " WHERE r.occasion = 'night' WINDOW w AS (PARTITION BY c.code, r.rule ORDER BY r.id))"
    " SELECT DISTINCT ON (e.owner, e.rule) e.owner, e.rule, b.business_date AS since, b.before"
    " FROM every e JOIN every b ON (b.owner, b.rule, b.outcome) = (e.owner, e.rule, 'not_met')"
    " AND b.before IS DISTINCT FROM 'not_met'"
    " WHERE e.back = 1 AND e.outcome = 'not_met' ORDER BY e.owner, e.rule, b.id DESC"
)
