"""Leaving the mainland: people per calendar year against the law's thresholds (PIPL 38–40).

促进和规范数据跨境流动规定 5, 7, 8 (secondary source). People are counted once per calendar year
(Asia/Shanghai) over all recipients abroad; somebody erased since counts once per file, which is
never fewer. Hong Kong, Macao and Taiwan count as outside.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import GateClosed
from safehands.sharing.agreements import Agreement, ShareBook

__all__ = ["check_abroad", "needed", "people_abroad"]


def people_abroad(connection: Connection, day: date, fresh: Collection[UUID] = ()) -> int:
    """Return how many people's data has left in the year of ``day``, ``fresh`` ones included."""
    values = {"first": date(day.year, 1, 1), "day": day, "fresh": list(fresh)}
    return int(connection.execute(text(_COUNT), values).scalar_one())


def needed(book: ShareBook, people: int, sensitive: int) -> str:
    """Return which mechanism the law asks for at so many people a year; empty below its numbers."""
    rules = book.abroad
    if people >= rules.assessment_from or sensitive >= rules.sensitive_assessment_from:
        return "assessment"
    if people >= rules.standard_from or sensitive >= rules.sensitive_standard_from:
        return "standard_contract"
    return ""


def check_abroad(
    connection: Connection,
    book: ShareBook,
    code: str,
    agreement: Agreement,
    day: date,
    subjects: Collection[UUID],
    sensitive: int = 0,
) -> int:
    """Return the people of the year when this file may leave; 0 for one that stays.

    Raises ``GateClosed`` without a mechanism on file that is in date and of the kind needed.
    ``sensitive``: people with sensitive information in the file; policy keeps none.
    """
    if not book.is_abroad(agreement):
        return 0
    total = people_abroad(connection, day, subjects)
    law = needed(book, total, sensitive)
    held = agreement.mechanism
    if (
        held is not None
        and held.until >= day
        and (held.kind == "assessment" or law != "assessment")
    ):
        return total
    if not law and not book.abroad.always_mechanism:
        return total
    wanted = law or "standard_contract"
    raise GateClosed(
        "sharing.abroad_by_law" if law else "sharing.abroad_by_policy",
        agreement=code,
        people=total,
        mechanism=wanted,
    )


_COUNT = (
    "WITH out AS (SELECT s.subject_id, s.id FROM disclosure_subject s JOIN disclosure d"
    " ON d.id = s.disclosure_id WHERE d.abroad AND d.business_date BETWEEN :first AND :day)"
    " SELECT (SELECT count(*) FROM out WHERE subject_id IS NULL)"
    " + (SELECT count(*) FROM (SELECT subject_id FROM out WHERE subject_id IS NOT NULL"
    " UNION SELECT unnest(CAST(:fresh AS uuid[]))) people)"
)
