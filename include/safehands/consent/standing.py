"""Who may be processed for a purpose on a day, and on which basis (PIPL 13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import AccessRefused
from safehands.notices import ConsentBook, terms_of
from safehands.policy import Policy

__all__ = ["Standing", "basis", "standing"]


@dataclass(frozen=True)
class Standing:
    """What one person's last answer for a purpose is worth on a day.

    ``kind``: the answer, ``none`` without one, ``stale`` where the terms have changed since, and
    ``expired`` past its time. ``good``: the person may be processed on this consent.
    """

    kind: str
    good: bool


def basis(
    connection: Connection, policy: Policy, book: ConsentBook, purpose: str, day: date
) -> dict[UUID, int]:
    """Return who may be processed for ``purpose`` on ``day`` → item of PIPL 13 ¶1.

    For a purpose that rests on consent these are the people whose last answer by the end of that
    day was yes, under today's terms, separate where policy asks for it. For any other those with
    rows that are handled for it today. Restricted people are nobody here (PIPL 47 ¶2). The
    transaction is bound to the owner. Raises ``AccessRefused`` for an unknown purpose.
    """
    if purpose not in policy.purposes:
        raise AccessRefused("consent.unknown_purpose", known=", ".join(policy.purposes))
    use = book.purposes[purpose]
    values = {
        "purpose": purpose,
        "item": policy.purposes[purpose].basis,
        "rows": use.rows,
        "terms": terms_of(policy, book, purpose),
        "separate": use.separate,
        "day": day,
    }
    return {row[0]: row[1] for row in connection.execute(text(_BASIS), values)}


def standing(
    connection: Connection,
    policy: Policy,
    book: ConsentBook,
    subject: UUID,
    purpose: str,
    day: date,
) -> Standing:
    """Return what the last answer of one person is worth on ``day``."""
    row = connection.execute(text(_LAST), {"day": day, "who": subject, "purpose": purpose}).first()
    if row is None:
        return Standing("none", False)
    kind, separate, terms = row
    if kind != "granted":
        return Standing(kind, False)
    if terms != terms_of(policy, book, purpose):
        return Standing("stale", False)
    return Standing("granted", bool(separate) or not book.purposes[purpose].separate)


_BASIS = "SELECT * FROM lawful_basis(:purpose, :item, :rows, :terms, :separate, :day)"
_LAST = (
    "SELECT kind, separate, terms FROM last_answers(:day)"
    " WHERE subject_id = :who AND purpose = :purpose"
)
