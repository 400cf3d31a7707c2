"""Clocks that end soon or ended: requests, complaints, incidents, hand-overs, findings.

Read as the auditor. One alert when a clock is about to end and one when it ended.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, text

from safehands.alerts.book import AlertBook
from safehands.alerts.found import Found, Value
from safehands.incidents import IncidentBook, cases, clocks

__all__ = ["deadlines", "incident_clocks"]


def deadlines(connection: Connection, book: AlertBook, day: date) -> list[Found]:
    """Return requests, complaints, hand-over windows and findings that are due."""
    soon = book.soon_days
    found = _dated(connection, "request", _REQUESTS, day, soon.request, "late")
    found += _dated(connection, "complaint", _COMPLAINTS, day, soon.complaint, "late")
    found += _dated(connection, "handover", _WINDOWS, day, soon.handover, "over")
    rows = connection.execute(text(_FINDINGS), {"day": day})
    return found + [
        Found("finding_late", f"{row.owner}/{row.due}", {"owner": row.owner, "count": row.number})
        for row in rows
    ]


def incident_clocks(connection: Connection, book: IncidentBook, now: datetime) -> list[Found]:
    """Return the running clocks of real incidents, each when it starts and when it ended."""
    found = []
    for case in cases(connection):
        if case.drill or case.first("closed"):
            continue
        assessed = case.last("assessed")
        people = int(assessed.facts["people"]) if assessed else 0
        for clock in clocks(book, case, people):
            if clock.done is not None:
                continue
            kind = "incident_late" if clock.state(now) == "late" else "incident_due"
            words = book.clocks[clock.name]
            params: dict[str, Value] = {
                "id": case.number,
                "clock_zh": words.zh,
                "clock_en": words.en,
                "due": clock.due.isoformat(timespec="minutes"),
                "law": clock.cites or "-",
            }
            found.append(Found(kind, f"{case.number}/{clock.name}", params))
    return found


def _dated(
    connection: Connection, what: str, query: str, day: date, soon: int, ended: str
) -> list[Found]:
    found = []
    for row in connection.execute(text(query), {"day": day, "soon": soon}):
        kind = f"{what}_{ended if row.due < day else 'soon'}"
        due = row.due.isoformat()
        params = {"id": str(row.id), "owner": row.owner, "due": due}
        found.append(Found(kind, f"{row.id}/{due}", params))
    return found


_REQUESTS = (
    "SELECT r.request AS id, c.code AS owner, r.latest AS due FROM subject_request r"
    " JOIN controller c ON c.id = r.controller_id WHERE r.state NOT IN ('refused', 'done')"
    " AND r.latest <= CAST(:day AS date) + CAST(:soon AS int) ORDER BY 3, 1"
)
_COMPLAINTS = (
    "SELECT p.id AS id, c.code AS owner, p.due FROM complaint p"
    " JOIN controller c ON c.id = p.controller_id WHERE p.answered_at IS NULL"
    " AND p.due <= CAST(:day AS date) + CAST(:soon AS int) ORDER BY 3, 1"
)
# The window of a hand-over ends on the day that its notices named.
_WINDOWS = (
    "SELECT h.handover_id AS id, c.code AS owner, max((e.facts->>'until')::date) AS due"
    " FROM handover h JOIN controller c ON c.id = h.controller_id"
    " JOIN handover_event e ON e.handover_id = h.handover_id AND e.facts ? 'until'"
    " WHERE h.state = 'noticed' GROUP BY 1, 2"
    " HAVING max((e.facts->>'until')::date) <= CAST(:day AS date) + CAST(:soon AS int)"
    " ORDER BY 3, 1"
)
# One alert for all findings of an owner that passed their date on the same day.
_FINDINGS = (
    "SELECT c.code AS owner, f.due, count(*)::int AS number FROM finding f"
    " JOIN controller c ON c.id = f.controller_id WHERE f.state = 'open' AND f.due < :day"
    " GROUP BY 1, 2 ORDER BY 2, 1"
)
