"""Assessments in the store: start, answer, sign; append-only, kept by no role's right to delete.

An assessment is started for an occasion (PIPL 55), its figures are filled from live evidence, named
people answer the judgements, and a named person signs. Names are sealed under the owner's key of
the day; the ledger has counts and digests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.organisation import names, owner_of, sizes
from safehands.pipia.answers import Answer, Recorded, fill, kept_facts
from safehands.pipia.questions import Form, OccasionName, Questions, load_questions
from safehands.rulebook.facts import Books, gather, open_books
from safehands.rulebook.judge import Facts, Occasion
from safehands.store import lock
from safehands.store.register import Owner, owners

__all__ = [
    "Case",
    "Opened",
    "answer",
    "cases",
    "event",
    "find",
    "look",
    "occasion_of",
    "refill",
    "start",
]

EVENT = "assess"


@dataclass(frozen=True)
class Case:
    """One assessment; ``signed`` is the day, ``facts`` what was signed (``None`` before)."""

    pipia_id: UUID
    owner: str
    controller_id: int
    occasion: OccasionName
    scope: str
    form: Form
    opened: date
    signed: date | None
    facts: Mapping[str, Any] | None


@dataclass(frozen=True)
class Opened:
    """An assessment with its books, today's facts and its answers."""

    case: Case
    books: Books
    questions: Questions
    facts: Facts
    answers: Mapping[str, Answer]


def start(
    inst: Installation, owner: str, occasion: OccasionName, day: date, scope: str = ""
) -> Case:
    """Begin an assessment and fill its figures; one that is open for the same is filled again.

    Handlers of the tier ``small`` get the simplified form. Raises ``PolicyError``.
    """
    known = owner_of(inst, owner)
    books = open_books(inst)
    load_questions(inst.settings.policy, books)
    size = next(s for s in sizes(inst, books.organisation, day) if s.owner == known.code)
    form: Form = "simplified" if any(t.name == "small" for t in size.tiers) else "full"
    with inst.store.begin(controller=known.id) as connection:
        lock(connection, f"safehands.pipia.{known.id}")
        values: dict[str, Any] = {"owner": known.id, "occasion": occasion, "scope": scope}
        found = connection.execute(text(_OPEN), values).scalar()
        if found is None:
            found = uuid4()
            values |= {"id": found, "form": form, "day": day}
            connection.execute(text(_START), values)
            facts = {"controller": known.code, "occasion": occasion, "form": form}
            event(connection, inst, known, found, "started", day, facts)
    refill(inst, found, day)
    return find(inst, str(found), day)


def cases(inst: Installation, day: date | None = None) -> list[Case]:
    """Return all assessments (opened up to ``day``), oldest first."""
    with inst.store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(_CASES), {"day": day or date.max}).mappings()
        return [Case(**row) for row in rows]


def find(inst: Installation, number: str, day: date | None = None) -> Case:
    """Return the assessment whose id begins with ``number``. Raises ``PolicyError``."""
    found = [c for c in cases(inst, day) if number and str(c.pipia_id).startswith(number)]
    if len(found) != 1:
        raise PolicyError("pipia.no_such_assessment", number=number)
    return found[0]


def look(inst: Installation, case: Case, day: date, facts: Facts | None = None) -> Opened:
    """Return the assessment as evidence is on ``day``: answers, drafts, what is stale."""
    books = open_books(inst)
    questions = load_questions(inst.settings.policy, books)
    if facts is None:
        facts = gather(inst, books, day, occasion_of(case))[case.owner]
    recorded = _recorded(inst, case)
    return Opened(case, books, questions, facts, fill(questions, case.form, facts, recorded))


def refill(inst: Installation, pipia_id: UUID, day: date) -> int:
    """Record the figures anew whose numbers moved; judgements stay as people gave them.

    Return how many. A signed assessment is not changed.
    """
    case = find(inst, str(pipia_id), day)
    if case.signed is not None:
        return 0
    seen = look(inst, case, day)
    fresh = [
        a
        for a in seen.answers.values()
        if not a.question.is_judgement and (a.recorded is None or a.moved)
    ]
    with inst.store.begin(controller=case.controller_id) as connection:
        for one in fresh:
            _put(connection, case, one.name, None, kept_facts(one.question, seen.facts), day)
    return len(fresh)


def answer(
    inst: Installation,
    case: Case,
    question: str,
    choice: int,
    assessor: str,
    note: str,
    day: date,
    seen: Opened | None = None,
) -> None:
    """Record a named person's judgement with the numbers it was made on.

    ``seen``: what that person looks at, when several questions are answered at one sitting.

    Raises ``PolicyError`` for a question that isn't asked or isn't a judgement, a choice off its
    scale, no name, or an assessment that is signed.
    """
    seen = seen or look(inst, case, day)
    asked = seen.questions.one(question, case.form)
    if case.signed is not None:
        raise PolicyError("pipia.signed_already", number=str(case.pipia_id))
    if not asked.is_judgement:
        raise PolicyError("pipia.no_judgement", question=question)
    if choice not in asked.choices:
        allowed = ", ".join(str(c) for c in asked.choices)
        raise PolicyError("pipia.no_such_choice", question=question, allowed=allowed)
    if not assessor.strip():
        raise PolicyError("pipia.no_name")
    sealed = names.seal(inst.provider, case.owner, day, assessor.strip(), note)
    with inst.store.begin(controller=case.controller_id) as connection:
        facts = kept_facts(asked, seen.facts)
        _put(connection, case, question, choice, facts, day, sealed)
        told = {"controller": case.owner, "assessment": str(case.pipia_id), "question": question}
        journal.append(connection, EVENT, f"{EVENT}-{day.isoformat()}", inst.clock(), told)


def event(
    connection: Connection,
    inst: Installation,
    owner: Owner,
    pipia_id: UUID,
    kind: str,
    day: date,
    facts: Mapping[str, Any],
    sealed: bytes = b"",
    told: Mapping[str, Any] | None = None,
) -> None:
    """Record what happened to an assessment, and tell the ledger (``told``, default ``facts``)."""
    values = {
        "id": pipia_id,
        "owner": owner.id,
        "kind": kind,
        "day": day,
        "facts": json.dumps(facts, sort_keys=True),
        "sealed": sealed,
    }
    connection.execute(text(_EVENT), values)
    shown = {"assessment": str(pipia_id), "kind": kind, **(facts if told is None else told)}
    journal.append(connection, EVENT, f"{EVENT}-{day.isoformat()}", inst.clock(), shown)


def owner_by_id(inst: Installation, case: Case) -> Owner:
    """Return the assessment's owner."""
    return owners(inst.store)[case.owner]


def occasion_of(case: Case) -> Occasion | None:
    """Return the occasion that rules are checked for; other kinds have none."""
    if case.occasion == "handover":
        return Occasion("handover", "", case.scope)
    return Occasion("sharing", "", case.scope) if case.occasion == "sharing" else None


def _put(
    connection: Connection,
    case: Case,
    question: str,
    choice: int | None,
    facts: Mapping[str, float | None],
    day: date,
    sealed: bytes = b"",
) -> None:
    values = {
        "id": case.pipia_id,
        "owner": case.controller_id,
        "question": question,
        "choice": choice,
        "facts": json.dumps(facts, sort_keys=True),
        "day": day,
        "named": bool(sealed),
        "sealed": sealed,
    }
    connection.execute(text(_ANSWER), values)


def _recorded(inst: Installation, case: Case) -> dict[str, Recorded]:
    with inst.store.begin(controller=case.controller_id) as connection:
        rows = connection.execute(text(_NEWEST), {"id": case.pipia_id}).all()
    found = {}
    for row in rows:
        who = names.reveal(inst.provider, case.owner, row.day, bytes(row.sealed))
        found[row.question] = Recorded(
            row.choice, row.facts, row.day.isoformat(), row.named, who["responsible"], who["note"]
        )
    return found


_OPEN = (
    "SELECT p.pipia_id FROM pipia p WHERE p.controller_id = :owner AND p.occasion = :occasion"
    " AND p.scope = :scope AND NOT EXISTS (SELECT 1 FROM pipia_event e"
    " WHERE e.pipia_id = p.pipia_id AND e.kind = 'signed') ORDER BY p.opened DESC LIMIT 1"
)
_START = (
    "INSERT INTO pipia (pipia_id, controller_id, occasion, scope, form, opened)"
    " VALUES (:id, :owner, :occasion, :scope, :form, :day)"
)
_EVENT = (
    "INSERT INTO pipia_event (pipia_id, controller_id, kind, day, facts, sealed)"
    " VALUES (:id, :owner, :kind, :day, CAST(:facts AS jsonb), :sealed)"
)
_ANSWER = (
    "INSERT INTO pipia_answer (pipia_id, controller_id, question, choice, facts, day, named,"
    " sealed) VALUES (:id, :owner, :question, :choice, CAST(:facts AS jsonb), :day, :named,"
    " :sealed)"
)
_NEWEST = (
    "SELECT DISTINCT ON (question) question, choice, facts, day, named, sealed FROM pipia_answer"
    " WHERE pipia_id = :id ORDER BY question, id DESC"
)
_CASES = (
    "SELECT p.pipia_id, c.code AS owner, p.controller_id, p.occasion, p.scope, p.form, p.opened,"
    " s.day AS signed, s.facts FROM pipia p JOIN controller c ON c.id = p.controller_id"
    " LEFT JOIN pipia_event s ON s.pipia_id = p.pipia_id AND s.kind = 'signed'"
    " WHERE p.opened <= :day ORDER BY p.opened, p.pipia_id"
)
