"""Answers from evidence: pure functions of questions, facts now, and what was recorded before.

An answer keeps the numbers it was given on. When one of them moves, or appears, or goes, the answer
is stale. A judgement that no named person made is a draft, proposed by policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safehands.pipia.questions import Form, Question, Questions
from safehands.rulebook.judge import Facts, Outcome
from safehands.rulebook.matrix import ImpactMatrix

__all__ = ["Answer", "Item", "Moved", "Recorded", "Risk", "fill", "kept_facts", "risks"]


@dataclass(frozen=True)
class Item:
    """One number behind an answer: measure, run and query, what is wanted, how it compares."""

    measure: str
    number: float | None
    wanted: str
    outcome: Outcome
    run: str
    source: str


@dataclass(frozen=True)
class Moved:
    """A number that is not what it was when the answer was given."""

    measure: str
    was: float | None
    now: float | None


@dataclass(frozen=True)
class Recorded:
    """The newest recorded answer to a question: choice, numbers then, day; ``named``: by whom."""

    choice: int | None
    facts: Mapping[str, float | None]
    day: str
    named: bool
    assessor: str = ""
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """A question and its answer: ``choice`` is 0/1 or a level, ``draft`` while nobody made it.

    ``proposed`` is what policy makes of the evidence as it is now, whatever a person answered.
    """

    name: str
    question: Question
    choice: int
    draft: bool
    evidence: tuple[Item, ...]
    moved: tuple[Moved, ...]
    recorded: Recorded | None
    proposed: int = 0

    @property
    def milder(self) -> bool:
        """Whether a named person judged milder than the evidence: yes against it, or too low."""
        if self.draft or self.question.kind not in {"yes_no", "likelihood_after"}:
            return False
        if self.question.kind == "yes_no":
            return self.choice > self.proposed
        return self.choice < self.proposed

    @property
    def stale(self) -> bool:
        """Whether a number moved since the answer was given."""
        return bool(self.moved)


@dataclass(frozen=True)
class Risk:
    """One group of sources in the matrix, before or after controls."""

    source: str
    impact: int
    likelihood: int
    level: int


def kept_facts(question: Question, facts: Facts) -> dict[str, float | None]:
    """Return the numbers that an answer given now is kept with."""
    return {
        a.measure: facts[a.measure].number if a.measure in facts else None
        for a in question.evidence
    }


def fill(
    questions: Questions, form: Form, facts: Facts, recorded: Mapping[str, Recorded]
) -> dict[str, Answer]:
    """Answer every question of ``form`` from ``facts`` and what people recorded."""
    asked = dict(questions.of(form))
    items = {name: _items(question, facts) for name, question in asked.items()}
    return {
        name: _answer(questions, name, asked, items, facts, recorded.get(name)) for name in asked
    }


def risks(
    matrix: ImpactMatrix, answers: Mapping[str, Answer], draft_before: int
) -> tuple[tuple[Risk, ...], tuple[Risk, ...]]:
    """Return each group's place in the matrix before and after controls.

    Impact is the highest of the four dimensions; a form that doesn't ask for the likelihood
    before controls takes policy's.
    """
    dimensions = {
        a.question.dimension: a.choice for a in answers.values() if a.question.kind == "impact"
    }
    impact = matrix.impact_of(dimensions)
    levels: dict[tuple[str, str], int] = {
        (a.question.kind, a.question.group): a.choice for a in answers.values()
    }
    before, after = [], []
    for source in matrix.sources:
        first = levels.get(("likelihood_before", source), draft_before)
        last = levels.get(("likelihood_after", source), first)
        before.append(Risk(source, impact, first, matrix.overall(impact, first)))
        after.append(Risk(source, impact, last, matrix.overall(impact, last)))
    return tuple(before), tuple(after)


def _items(question: Question, facts: Facts) -> tuple[Item, ...]:
    found = []
    for asked in question.evidence:
        fact = facts.get(asked.measure)
        number = fact.number if fact else None
        run, source = (fact.run, fact.source) if fact else ("", "")
        outcome = asked.outcome(number)
        found.append(Item(asked.measure, number, asked.wanted, outcome, run, source))
    return tuple(found)


def _answer(
    questions: Questions,
    name: str,
    asked: Mapping[str, Question],
    items: Mapping[str, tuple[Item, ...]],
    facts: Facts,
    recorded: Recorded | None,
) -> Answer:
    question = asked[name]
    moved = _moved(question, facts, recorded)
    given = recorded.choice if recorded and recorded.named else None
    mine = items[name]
    if not question.is_judgement:
        met = _all_met(mine)
        return Answer(name, question, met, False, mine, moved, recorded, met)
    proposed = _proposed(questions, question, asked, items, name)
    choice = proposed if given is None else given
    return Answer(name, question, choice, given is None, mine, moved, recorded, proposed)


def _moved(question: Question, facts: Facts, recorded: Recorded | None) -> tuple[Moved, ...]:
    if recorded is None:
        return ()
    now = kept_facts(question, facts)
    return tuple(
        Moved(measure, recorded.facts.get(measure), number)
        for measure, number in now.items()
        if _differs(recorded.facts.get(measure), number, question.tolerance)
    )


def _differs(was: float | None, now: float | None, tolerance: float) -> bool:
    if was is None or now is None:
        return was is not now
    return abs(now - was) > tolerance * abs(was)


def _all_met(items: Iterable[Item]) -> int:
    return int(all(item.outcome in {"met", "not_applicable"} for item in items))


def _proposed(
    questions: Questions,
    question: Question,
    asked: Mapping[str, Question],
    items: Mapping[str, tuple[Item, ...]],
    name: str,
) -> int:
    """Return policy's draft of a judgement."""
    draft = questions.draft
    if question.kind == "yes_no":
        return _all_met(items[name])
    if question.kind == "impact":
        return draft.impact
    if question.kind == "likelihood_before":
        return draft.likelihood_before
    group = [
        item
        for other, found in items.items()
        if asked[other].kind == "figure" and asked[other].group == question.group
        for item in found
        if item.outcome != "not_applicable"
    ]
    share = sum(item.outcome == "met" for item in group) / len(group) if group else 0.0
    bounds = sorted(draft.likelihood_after, reverse=True)
    return draft.likelihood_after[next(bound for bound in bounds if share >= bound)]
