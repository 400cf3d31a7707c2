"""Signing an assessment, and asking which one is current: what gates and hand-overs use.

A signature needs every judgement answered by a named assessor on numbers that have not moved since.
The signed document is kept whole, so that it reads the same in three years (PIPL 56).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.organisation import Row, names, record
from safehands.pipia.document import compose
from safehands.pipia.questions import OccasionName
from safehands.pipia.records import Case, Opened, event, look, owner_by_id, refill
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.model import FigureKind
from safehands.store.effects import input_digest
from safehands.store.register import Owner

__all__ = ["Current", "check", "current", "precedes", "sign"]


@dataclass(frozen=True)
class Current:
    """A signed assessment that counts: worst level after controls, answers found stale since."""

    pipia_id: UUID
    occasion: str
    scope: str
    signed: date
    valid_until: date
    keep_until: date
    worst: int
    acceptable: bool
    stale: int


def sign(inst: Installation, case: Case, signer: str, day: date) -> str:
    """Sign the assessment by name, record it as evidence, and return the document's digest.

    Raises ``PolicyError`` naming the questions that are still drafts or stale, when it is signed
    already, or without a name. A signature says who judged; it never makes handling lawful.
    """
    if case.signed is not None:
        raise PolicyError("pipia.signed_already", number=str(case.pipia_id))
    if not signer.strip():
        raise PolicyError("pipia.no_name")
    refill(inst, case.pipia_id, day)
    seen = look(inst, case, day)
    waiting = [a.name for a in seen.answers.values() if a.draft or a.stale]
    if waiting:
        raise PolicyError("pipia.not_ready", count=len(waiting), questions=", ".join(waiting))
    keep, valid = _dates(seen, day)
    document = compose(inst, seen, day, signed=day, keep_until=keep)
    # Names stay sealed: the kept document has none, they are put in when it is shown.
    digest = input_digest(document)
    facts: dict[str, Any] = {
        "document": document,
        "digest": digest,
        "keep_until": keep.isoformat(),
        "valid_until": valid.isoformat(),
        "worst": document["worst_after"],
        "acceptable": document["acceptable"],
    }
    owner = owner_by_id(inst, case)
    sealed = names.seal(inst.provider, case.owner, day, signer.strip())
    told = {k: facts[k] for k in ("digest", "keep_until", "worst", "acceptable")}
    with inst.store.begin(controller=owner.id) as connection:
        event(connection, inst, owner, case.pipia_id, "signed", day, facts, sealed, told)
        figures = seen.books.rules.figures
        _figure(connection, figures, owner, "assessment.worst_level", facts["worst"], day, case)
    row = Row(
        *(case.owner, "evidence", "impact_assessment", day, valid, 0.0, "officer"),
        *(signer.strip(), digest),
    )
    record(inst, [row], day)
    return digest


def current(
    connection: Connection, controller_id: int, occasion: OccasionName, day: date, scope: str = ""
) -> Current | None:
    """Return the newest signed assessment for ``occasion`` that counts on ``day``, or ``None``.

    ``scope`` asks for the one of a certain hand-over or release. ``connection`` is bound to the
    controller or is an auditor's. An assessment signed after ``day`` or past its validity doesn't
    count; whether its worst level is acceptable, and how many answers went stale, the caller reads
    from what is returned.
    """
    values = {"owner": controller_id, "occasion": occasion, "day": day, "scope": scope}
    row = connection.execute(text(_CURRENT), values).mappings().first()
    return None if row is None else Current(**row)


def precedes(
    connection: Connection,
    figures: dict[str, FigureKind],
    owner: Owner,
    found: Current,
    scope: str,
    transfer: date,
    day: date,
) -> int:
    """Record by how many days the assessment precedes the transfer ``scope`` (rule PIA-01)."""
    days = (transfer - found.signed).days
    record_figure(
        connection,
        figures,
        owner,
        "assessment.before_transfer",
        days,
        day=day,
        run=f"pipia {found.pipia_id}",
        source="pipia_event",
        scope=scope,
    )
    return days


def check(inst: Installation, case: Case, day: date) -> int:
    """Fill an open assessment again, count stale answers, and record the count when it changed."""
    refill(inst, case.pipia_id, day)
    seen = look(inst, case, day)
    stale = sum(a.stale for a in seen.answers.values())
    owner = owner_by_id(inst, case)
    with inst.store.begin(controller=owner.id) as connection:
        before = connection.execute(text(_LAST_CHECK), {"id": case.pipia_id}).scalar()
        if before != stale:
            facts = {"controller": case.owner, "stale": stale}
            event(connection, inst, owner, case.pipia_id, "checked", day, facts)
        # The figure lapses after a month; a signed assessment that still counts renews it.
        if case.facts is not None and day <= date.fromisoformat(case.facts["valid_until"]):
            figures, worst = seen.books.rules.figures, case.facts["worst"]
            _figure(connection, figures, owner, "assessment.worst_level", worst, day, case)
    return stale


def _dates(seen: Opened, day: date) -> tuple[date, date]:
    """Return until when it is kept, and until when it counts."""
    organisation = seen.books.organisation
    years = max(3, organisation.keep_years.number)
    try:
        keep = day.replace(year=day.year + years)
    except ValueError:
        keep = date(day.year + years, 3, 1)
    valid = timedelta(days=organisation.kinds["impact_assessment"].valid_days)
    return keep, day + valid


def _figure(
    connection: Connection,
    figures: Any,
    owner: Owner,
    name: str,
    number: float,
    day: date,
    case: Case,
) -> None:
    run = f"pipia {case.pipia_id}"
    record_figure(connection, figures, owner, name, number, day=day, run=run, source="pipia_event")


_CURRENT = (
    "SELECT p.pipia_id, p.occasion, p.scope, s.day AS signed,"
    " (s.facts->>'valid_until')::date AS valid_until, (s.facts->>'keep_until')::date AS keep_until,"
    " (s.facts->>'worst')::int AS worst, (s.facts->>'acceptable')::boolean AS acceptable,"
    " coalesce((SELECT (c.facts->>'stale')::int FROM pipia_event c WHERE c.pipia_id = p.pipia_id"
    " AND c.kind = 'checked' AND c.id > s.id AND c.day <= :day ORDER BY c.id DESC LIMIT 1), 0)"
    " AS stale FROM pipia p JOIN pipia_event s ON s.pipia_id = p.pipia_id AND s.kind = 'signed'"
    " WHERE p.controller_id = :owner AND p.occasion = :occasion AND s.day <= :day"
    " AND (s.facts->>'valid_until')::date >= :day AND :scope IN ('', p.scope)"
    " ORDER BY s.day DESC, s.id DESC LIMIT 1"
)
_LAST_CHECK = (
    "SELECT (facts->>'stale')::int FROM pipia_event WHERE pipia_id = :id AND kind = 'checked'"
    " ORDER BY id DESC LIMIT 1"
)
