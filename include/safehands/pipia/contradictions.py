"""Where a judgement and the evidence disagree: the document says so in words, whoever signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from safehands.messages import say
from safehands.pipia.answers import Answer
from safehands.rulebook.check import judge_all
from safehands.rulebook.facts import Books
from safehands.rulebook.judge import Facts, Occasion
from safehands.rulebook.names import measure_label

__all__ = ["contradictions", "drafts", "sentences"]

_OWN = {"PIA-01", "PIA-03"}
"""Rules that wait for this very assessment."""


def contradictions(
    books: Books,
    owner: str,
    facts: Facts,
    answers: Iterable[Answer],
    day: date,
    occasion: Occasion | None,
) -> list[dict[str, Any]]:
    """Return named judgements milder than the evidence, and blocking rules that are not met.

    Plain JSON: ``kind`` is that of the question or ``rule``; no number of people in it.
    """
    found = [
        {
            "kind": one.question.kind,
            "name": one.name,
            "text": one.question.text.model_dump(),
            "said": one.choice,
            "proposed": one.proposed,
            "measures": [
                _label(books, item.measure) for item in one.evidence if _bad(item.outcome)
            ],
        }
        for one in answers
        if one.milder
    ]
    results = judge_all(books, {owner: facts}, day, occasion)
    found += [
        {"kind": "rule", "name": r.rule, "text": r.in_force.rule.requirement.model_dump()}
        for r in results
        if r.blocks_handover and r.outcome == "not_met" and r.rule not in _OWN
    ]
    return found


def drafts(document: Mapping[str, Any]) -> int:
    """Return how many judgements of a document nobody has made by name."""
    return sum(entry["draft"] for part in document["parts"] for entry in part["answers"])


def sentences(document: Mapping[str, Any], lang: str) -> list[str]:
    """Return the disagreements in words; none for a document of before they were kept."""
    comma = "、" if lang == "zh" else ", "
    return [
        say(
            f"pipia.page.contradiction.{one['kind']}",
            lang,
            name=one["name"],
            text=one["text"][lang],
            said=one.get("said", ""),
            proposed=one.get("proposed", ""),
            measures=comma.join(m[lang] for m in one.get("measures", ())),
        )
        for one in document.get("contradictions", ())
    ]


def _bad(outcome: str) -> bool:
    return outcome in {"not_met", "no_evidence"}


def _label(books: Books, measure: str) -> dict[str, str]:
    organisation, figures = books.organisation, books.rules.figures
    return {g: measure_label(measure, organisation, figures, g) for g in ("zh", "en")}
