"""Answers as append-only events: granted, refused, withdrawn, expired (PIPL 14, 15, 23, 29, 31).

An answer names a subject by id, the notice that was read, a channel and a reference to its
evidence (the number of a form or of a reply), never the words of a person. Recording one that is no
longer yes takes away what rested on consent in the same transaction, and every later load does so
again, so that a station's sheet cannot bring it back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import names_a_person
from safehands.errors import AccessRefused
from safehands.keys import KeyRing
from safehands.night import SHANGHAI
from safehands.notices import ConsentBook, Notice, terms_of
from safehands.policy import Policy
from safehands.store.register import Owner
from safehands.vault.access import check_staff
from safehands.vault.suppression import suppressed

__all__ = ["KINDS", "Answer", "answers", "check", "history", "may_ask", "record"]

Kind = Literal["granted", "refused", "withdrawn", "expired"]
KINDS: tuple[Kind, ...] = ("granted", "refused", "withdrawn", "expired")

_REFERENCE = re.compile(r"[\w()（）〔〕\[\] ./#:-]{0,80}")


@dataclass(frozen=True)
class Answer:
    """One answer of one person for one purpose.

    ``notice``: number of the notice that was read; needed to grant. ``separate``: given specially
    for this purpose (单独同意; 网络数据安全管理条例 62). ``evidence`` and ``guardian`` are
    references, no names. ``campaign``: in which asking. ``valid_until``: last day of a consent.
    """

    subject: UUID
    kind: Kind
    purpose: str
    channel: str
    evidence: str
    at: datetime
    notice: int | None = None
    separate: bool = False
    guardian: str = ""
    campaign: str = ""
    valid_until: date | None = None


def record(
    connection: Connection,
    policy: Policy,
    book: ConsentBook,
    owner: Owner,
    notices: Sequence[Notice],
    given: Sequence[Answer],
    by: str,
    now: datetime,
    source: str = "",
) -> int:
    """Record answers in the caller's transaction, as the officer bound to ``owner``.

    One ledger entry counts them. Return how many people lost what rested on consent.

    Raises ``AccessRefused`` for what :func:`check` refuses and for people the owner doesn't have.
    """
    check_staff(by)
    for answer in given:
        check(policy, book, notices, answer, now)
    _check_people(connection, {answer.subject for answer in given})
    rows = [_row(book, owner, notices, answer, by, now, source) for answer in given]
    if not rows:
        return 0
    connection.execute(text(_INSERT), rows)
    day = now.astimezone(SHANGHAI).date()
    ended = [
        {"purpose": one, "terms": terms_of(policy, book, one), "day": day}
        for one in sorted({a.purpose for a in given} & set(policy.consent_purposes))
    ]
    stopped = sum(int(connection.execute(text(_HONOUR), one).scalar_one()) for one in ended)
    counts = {kind: sum(a.kind == kind for a in given) for kind in KINDS}
    facts = {
        "controller": owner.code,
        "answers": {kind: number for kind, number in counts.items() if number},
        "purposes": sorted({answer.purpose for answer in given}),
        "stopped": stopped,
        "source": source,
        "by": by,
    }
    journal.append(connection, "consent", f"consent-{owner.code}", now, facts)
    return stopped


def check(
    policy: Policy,
    book: ConsentBook,
    notices: Sequence[Notice],
    answer: Answer,
    now: datetime,
) -> None:
    """Raise ``AccessRefused`` when an answer lacks one of the five items (PIPL 14).

    They are: the notice that was read and was published by then, time, channel, purpose, evidence.
    A purpose that asks for separate consent takes no other; none is taken from a later day.
    """
    if answer.purpose not in policy.purposes:
        known = ", ".join(policy.purposes)
        raise AccessRefused("consent.unknown_purpose", known=known)
    if policy.purposes[answer.purpose].basis != 1 and not book.purposes[answer.purpose].separate:
        raise AccessRefused("consent.not_asked", purpose=answer.purpose)
    if answer.channel not in book.channels:
        raise AccessRefused("consent.unknown_channel", known=", ".join(book.channels))
    if answer.at > now:
        raise AccessRefused("consent.in_future")
    for reference in (answer.evidence, answer.guardian, answer.campaign):
        if not _REFERENCE.fullmatch(reference) or names_a_person(reference):
            raise AccessRefused("consent.reference")
    if answer.kind == "granted":
        _check_granted(book, notices, answer)


def _check_granted(book: ConsentBook, notices: Sequence[Notice], answer: Answer) -> None:
    read = next((one for one in notices if one.number == answer.notice), None)
    day = answer.at.astimezone(SHANGHAI).date()
    if read is None or read.valid_from > day or not read.terms(answer.purpose):
        raise AccessRefused("consent.no_notice")
    if not answer.evidence:
        raise AccessRefused("consent.no_evidence")
    if book.purposes[answer.purpose].separate and not answer.separate:
        raise AccessRefused("consent.not_separate", purpose=answer.purpose)
    longest = day + timedelta(days=book.valid_days)
    if answer.valid_until is not None and not day <= answer.valid_until <= longest:
        raise AccessRefused("consent.too_long", days=book.valid_days)


def may_ask(
    connection: Connection,
    ring: KeyRing,
    book: ConsentBook,
    subjects: Collection[UUID],
    purpose: str,
    campaign: str,
    day: date,
) -> set[UUID]:
    """Return those of ``subjects`` who may be asked for ``purpose`` in ``campaign`` on ``day``.

    Nobody is asked twice in a campaign once they answered, and nobody who refused or withdrew less
    than ``pause_days`` ago is asked for that purpose at all (网络数据安全管理条例 22(5)); also
    when the person was erased since and is back as somebody new.
    """
    since = day - timedelta(days=book.pause_days)
    values = {
        "who": list(subjects),
        "purpose": purpose,
        "campaign": campaign,
        "since": since,
    }
    refused = set(connection.execute(text(_NOT_AGAIN), values).scalars())
    left = set(subjects) - refused
    return left - suppressed(connection, ring, left, purpose, campaign, since)


def answers(connection: Connection, campaign: str) -> dict[UUID, Kind]:
    """Return the last answer of everybody who answered in ``campaign``; silence is not in it."""
    rows = connection.execute(text(_CAMPAIGN), {"campaign": campaign})
    return {row[0]: row[1] for row in rows}


def history(connection: Connection, subjects: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return every answer of these people, oldest first, for whoever answers their request."""
    rows = connection.execute(text(_HISTORY), {"who": list(subjects)})
    return [dict(row) for row in rows.mappings()]


def _row(
    book: ConsentBook,
    owner: Owner,
    notices: Sequence[Notice],
    answer: Answer,
    by: str,
    now: datetime,
    source: str,
) -> dict[str, Any]:
    read = next((one for one in notices if one.number == answer.notice), None)
    until = answer.valid_until
    if answer.kind == "granted" and until is None:
        until = answer.at.astimezone(SHANGHAI).date() + timedelta(days=book.valid_days)
    return {
        "controller": owner.id,
        "subject": answer.subject,
        "kind": answer.kind,
        "purpose": answer.purpose,
        "separate": answer.separate,
        "notice": read.number if read else None,
        "terms": read.terms(answer.purpose) if read else "",
        "channel": answer.channel,
        "evidence": answer.evidence,
        "guardian": answer.guardian,
        "campaign": answer.campaign,
        "until": until,
        "at": answer.at,
        "now": now,
        "by": by,
        "source": source,
    }


def _check_people(connection: Connection, subjects: set[UUID]) -> None:
    found = connection.execute(text(_PEOPLE), {"who": list(subjects)}).scalar_one()
    if found != len(subjects):
        raise AccessRefused("vault.nobody")


_PEOPLE = (
    "SELECT count(*) FROM (SELECT subject_id FROM subject WHERE subject_id = ANY (:who)"
    " UNION SELECT subject_id FROM restriction WHERE subject_id = ANY (:who)) found"
)
_INSERT = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, notice, terms,"
    " channel, evidence, guardian, campaign, valid_until, at, recorded_at, by_whom, source)"
    " VALUES (:controller, :subject, :kind, :purpose, :separate, :notice, :terms, :channel,"
    " :evidence, :guardian, :campaign, :until, :at, :now, :by, :source)"
)
_HONOUR = "SELECT honour_answers(:purpose, :terms, :day)"
_NOT_AGAIN = (
    "SELECT DISTINCT subject_id FROM consent_event WHERE subject_id = ANY (:who)"
    " AND ((campaign = :campaign AND :campaign <> '') OR (purpose = :purpose"
    " AND kind IN ('refused', 'withdrawn')"
    " AND (at AT TIME ZONE 'Asia/Shanghai')::date > :since))"
)
_CAMPAIGN = (
    "SELECT DISTINCT ON (subject_id) subject_id, kind FROM consent_event"
    " WHERE campaign = :campaign AND subject_id IS NOT NULL ORDER BY subject_id, at DESC, id DESC"
)
_HISTORY = (
    "SELECT subject_id, kind, purpose, separate, notice, channel, evidence, guardian, campaign,"
    " valid_until, at FROM consent_event WHERE subject_id = ANY (:who) ORDER BY at, id"
)
