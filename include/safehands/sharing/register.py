"""The register of disclosures (网络数据安全管理条例 12: kept three years), as counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

__all__ = ["Line", "disclosures"]


@dataclass(frozen=True)
class Line:
    """One disclosure: who got how much, when, and what of it is to come back.

    ``due``: people to be recalled; ``sent``: recalled and not acknowledged yet.
    """

    number: int
    agreement: str
    purpose: str
    day: date
    by: str
    people: int
    rows: int
    abroad: bool
    due: int
    sent: int
    acknowledged: int


def disclosures(connection: Connection, agreement: str = "") -> list[Line]:
    """Return the bound owner's register, oldest first."""
    return [Line(*row) for row in connection.execute(text(_LINES), {"code": agreement})]


_LINES = (
    "SELECT d.id, d.agreement, d.purpose, d.business_date, d.by_whom, d.people, d.rows, d.abroad,"
    " count(s.id) FILTER (WHERE s.state = 'due'), count(s.id) FILTER (WHERE s.state = 'sent'),"
    " count(s.id) FILTER (WHERE s.state = 'acknowledged') FROM disclosure d"
    " LEFT JOIN disclosure_subject s ON s.disclosure_id = d.id"
    " WHERE :code IN ('', d.agreement) GROUP BY d.id ORDER BY d.id"
)
