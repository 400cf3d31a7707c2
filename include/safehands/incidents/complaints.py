"""Complaints: a register with its clock, people by token, no text (快递暂行条例 29; LAW DSR-04)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import names_a_person
from safehands.errors import AccessRefused
from safehands.incidents.book import IncidentBook
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, check_staff

__all__ = ["Complaint", "answer", "complaints", "overdue_figure", "receive", "statistics"]


@dataclass(frozen=True)
class Complaint:
    """One complaint. ``about``: a known person is behind it; who, only the table knows."""

    number: int
    topic: str
    channel: str
    reference: str
    received_at: datetime
    due: date
    answered_at: datetime | None
    outcome: str
    about: bool

    def state(self, day: date) -> str:
        """Return answered, late (answered or not) or open."""
        ended = self.answered_at.astimezone(SHANGHAI).date() if self.answered_at else day
        if ended > self.due:
            return "late"
        return "answered" if self.answered_at else "open"


def receive(
    inst: Installation,
    book: IncidentBook,
    owner: Owner,
    topic: str,
    channel: str,
    reference: str,
    received_at: datetime,
    by: str,
    subject: UUID | None = None,
) -> int:
    """Enter a complaint and return its number; it is due after the days of policy.

    Raises ``AccessRefused`` for an unknown topic or channel, a reference that may name somebody,
    a time in the future, or a person the owner doesn't have.
    """
    check_staff(by)
    rules, now = book.complaints, inst.clock()
    if topic not in rules.topics or channel not in rules.channels:
        known = f"{', '.join(rules.topics)}; {', '.join(rules.channels)}"
        raise AccessRefused("complaint.unknown", known=known)
    if len(reference) > 80 or names_a_person(reference) or received_at > now:
        raise AccessRefused("complaint.reference")
    values = {
        "owner": owner.id,
        "subject": subject,
        "topic": topic,
        "channel": channel,
        "reference": reference,
        "at": received_at,
        "due": received_at.astimezone(SHANGHAI).date() + timedelta(days=rules.days),
        "by": by,
    }
    with inst.store.begin(OFFICER, owner.id) as connection:
        known_person = subject is None or connection.execute(text(_KNOWN), values).scalar()
        if not known_person:
            raise AccessRefused("vault.nobody")
        number = int(connection.execute(text(_RECEIVE), values).scalar_one())
        body = {"controller": owner.code, "complaint": number, "topic": topic, "by": by}
        journal.append(connection, "complaint", f"complaint-{number}", now, body)
    return number


def answer(
    inst: Installation, book: IncidentBook, owner: Owner, number: int, outcome: str, by: str
) -> None:
    """Record the answer. Raises ``AccessRefused`` for an unknown outcome or complaint."""
    check_staff(by)
    now = inst.clock()
    if outcome not in book.complaints.outcomes:
        raise AccessRefused("complaint.unknown", known=", ".join(book.complaints.outcomes))
    with inst.store.begin(OFFICER, owner.id) as connection:
        values = {"number": number, "outcome": outcome, "at": now}
        if not connection.execute(text(_ANSWER), values).rowcount:
            raise AccessRefused("complaint.no_such", number=number)
        body = {"controller": owner.code, "complaint": number, "outcome": outcome, "by": by}
        journal.append(connection, "complaint", f"complaint-{number}", now, body)
    overdue_figure(inst, owner, now.astimezone(SHANGHAI).date())


def complaints(connection: Connection) -> list[Complaint]:
    """Return the bound owner's complaints, oldest first."""
    return [Complaint(*row) for row in connection.execute(text(_ALL))]


def statistics(found: list[Complaint], day: date) -> dict[str, int]:
    """Return how many complaints there are by state, topic and outcome."""
    counts: dict[str, int] = {"all": len(found)}
    for one in found:
        for name in (one.state(day), f"topic {one.topic}", f"outcome {one.outcome or '–'}"):
            counts[name] = counts.get(name, 0) + 1
    return counts


def overdue_figure(inst: Installation, owner: Owner, day: date) -> int:
    """Record how many complaints are past their day without an answer (DSR-04); return it."""
    names = load_rulebook(inst.settings.policy).figures
    with inst.store.begin(OFFICER, owner.id) as connection:
        late = sum(one.answered_at is None and one.due < day for one in complaints(connection))
    with inst.store.begin(controller=owner.id) as connection:
        record_figure(
            connection,
            names,
            owner,
            "requests.complaints_overdue",
            late,
            day=day,
            run=f"complaints-{day}",
            source="complaint",
        )
    return late


_KNOWN = "SELECT EXISTS (SELECT FROM subject WHERE subject_id = :subject)"
_RECEIVE = (
    "INSERT INTO complaint (controller_id, subject_id, topic, channel, reference, received_at, due,"
    " by_whom) VALUES (:owner, :subject, :topic, :channel, :reference, :at, :due, :by) RETURNING id"
)
_ANSWER = (
    "UPDATE complaint SET answered_at = :at, outcome = :outcome"
    " WHERE id = :number AND answered_at IS NULL"
)
_ALL = (
    "SELECT id, topic, channel, reference, received_at, due, answered_at, outcome,"
    " subject_id IS NOT NULL FROM complaint ORDER BY id"
)
