"""The questions of an impact assessment as policy (``pipia.yaml``).

Sources: PIPL 55 (occasions), 56 (three contents), 16 and 24 (fairness); GB/T 39335-2020 5.4 to 5.6
(groups of risk sources, dimensions of impact, matrix), read in quotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.errors import PolicyError
from safehands.organisation.catalogue import Confidence
from safehands.organisation.files import Frozen, Words, checked, read_yaml
from safehands.rulebook.facts import Books
from safehands.rulebook.judge import Outcome
from safehands.rulebook.model import Cite
from safehands.rulebook.names import measure_exists

__all__ = ["Asked", "Form", "OccasionName", "Question", "Questions", "load_questions"]

Kind = Literal["figure", "yes_no", "impact", "likelihood_before", "likelihood_after"]
Form = Literal["full", "simplified"]
OccasionName = Literal[
    "handover",
    "sharing",
    "entrusting",
    "disclosure",
    "sensitive",
    "automated",
    "abroad",
    "major",
]
Level = Annotated[int, Field(ge=1, le=4)]


class Asked(Frozen):
    """A measure that a question looks at; without a bound the number is only shown."""

    measure: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def wanted(self) -> str:
        """The bound, e.g. ``≤ 0``; empty without one."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    def outcome(self, number: float | None) -> Outcome:
        """Compare ``number``; none is no evidence, and without a bound nothing applies."""
        if number is None:
            return "no_evidence"
        if self.at_most is None and self.at_least is None:
            return "not_applicable"
        low = self.at_least is None or number >= self.at_least
        high = self.at_most is None or number <= self.at_most
        return "met" if low and high else "not_met"


class Question(Frozen):
    """One question; ``tolerance`` is the relative change of a number that makes no answer stale."""

    part: str
    kind: Kind
    text: Words
    cites: tuple[str, ...]
    evidence: Annotated[tuple[Asked, ...], Field(min_length=1)]
    group: str = ""
    dimension: str = ""
    simplified: bool = False
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def is_judgement(self) -> bool:
        """Whether a named person must answer."""
        return self.kind != "figure"

    @property
    def choices(self) -> range:
        """The answers that a person may give: 0 and 1 for no and yes, else levels 1 to 4."""
        return range(2) if self.kind == "yes_no" else range(1, 5)


class _Labelled(Frozen):
    label: Words
    cites: tuple[str, ...]


class _Draft(Frozen):
    impact: Level
    likelihood_before: Level
    likelihood_after: dict[Annotated[float, Field(ge=0, le=1)], Level]


class External(Frozen):
    """How the edition for others avoids singling anybody out."""

    least: Annotated[int, Field(ge=2)]
    step: Annotated[int, Field(ge=1)]
    exact: tuple[str, ...]
    withheld: tuple[str, ...]


class _Item(Frozen):
    text: Words
    rules: Annotated[tuple[str, ...], Field(min_length=1)]


class SelfAudit(Frozen):
    """The self-audit of small handlers; its official form was not read."""

    confidence: Confidence
    note: Words
    items: Annotated[tuple[_Item, ...], Field(min_length=19, max_length=19)]


class Questions(Frozen):
    """All of ``pipia.yaml``."""

    occasions: dict[OccasionName, _Labelled]
    draft: _Draft
    external: External
    parts: dict[str, _Labelled]
    questions: dict[str, Question]
    self_audit: SelfAudit

    @model_validator(mode="after")
    def _whole(self) -> Questions:
        for name, question in self.questions.items():
            if question.part not in self.parts:
                raise ValueError(f"{name} belongs to no part")
        if 0.0 not in self.draft.likelihood_after:
            raise ValueError("likelihood_after needs an entry for 0.0")
        return self

    def of(self, form: Form) -> Iterator[tuple[str, Question]]:
        """Yield the questions of a form, in policy's order."""
        for name, question in self.questions.items():
            if form == "full" or question.simplified:
                yield name, question

    def one(self, name: str, form: Form) -> Question:
        """Return a question of the form. Raises ``PolicyError`` when there is none."""
        found = dict(self.of(form)).get(name)
        if found is None:
            raise PolicyError("pipia.no_such_question", question=name)
        return found


def load_questions(folder: Path, books: Books) -> Questions:
    """Read ``pipia.yaml``. Raises ``PolicyError`` for a name that nobody knows."""
    path = folder / "pipia.yaml"
    found = checked(Questions, read_yaml(path), path.name, "-")
    for block, what, why in _unknown(found, books):
        raise PolicyError("organisation.invalid", file=path.name, block=block, where=what, why=why)
    return found


def _unknown(found: Questions, books: Books) -> Iterator[tuple[str, str, str]]:
    matrix = books.matrices.impact_assessment
    blocks: list[tuple[str, tuple[str, ...]]] = [
        *((name, occasion.cites) for name, occasion in found.occasions.items()),
        *((name, part.cites) for name, part in found.parts.items()),
        *((name, question.cites) for name, question in found.questions.items()),
    ]
    for name, cites in blocks:
        for words in cites:
            if Cite.of(words).law not in books.rules.laws:
                yield name, words, "there is no such law"
    for name, question in found.questions.items():
        for asked in question.evidence:
            if not measure_exists(asked.measure, books.organisation, books.rules.figures):
                yield name, asked.measure, "there is no such measure"
        if question.group and question.group not in matrix.sources:
            yield name, question.group, "there is no such group of sources"
        if question.kind == "impact" and question.dimension not in matrix.dimensions:
            yield name, question.dimension, "there is no such dimension"
        if question.kind.startswith("likelihood") and not question.group:
            yield name, "group", "a likelihood belongs to a group of sources"
    for item in found.self_audit.items:
        for rule in item.rules:
            if rule not in books.rules.rules:
                yield "self_audit", rule, "there is no such rule"
