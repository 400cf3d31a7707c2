"""An assessment as one document: plain JSON types, both languages, no names in it.

Names of assessors are put in where the internal edition is shown (``with_names``); the external
edition (``external``) has none, coarsens counts and withholds what follows from the smallest group.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy import text

from safehands.installation import Installation
from safehands.messages import LANGUAGES, say
from safehands.pipia.answers import Answer, Item, risks
from safehands.pipia.contradictions import contradictions
from safehands.pipia.questions import Questions
from safehands.pipia.records import Opened, occasion_of
from safehands.rulebook.check import judge_all
from safehands.rulebook.judge import Occasion, RuleResult
from safehands.rulebook.model import Cite
from safehands.rulebook.names import measure_label
from safehands.rulebook.words import cite
from safehands.store.register import owners

__all__ = ["compose", "external", "stale_now", "with_names"]

NIGHTS = 60
"""Nights that the trend shows."""


def compose(
    inst: Installation,
    seen: Opened,
    day: date,
    *,
    signed: date | None = None,
    keep_until: date | None = None,
) -> dict[str, Any]:
    """Return the internal document of an assessment as it stands on ``day``, without names.

    ``version`` 1. Everything that people read is there in both languages.
    """
    case, matrix = seen.case, seen.books.matrices.impact_assessment
    before, after = risks(matrix, seen.answers, seen.questions.draft.likelihood_before)
    exposure = _exposure(inst, case.controller_id, day)
    worst = max(r.level for r in after)
    simplified = case.form == "simplified"
    return {
        "version": 1,
        "edition": "internal",
        "pipia_id": str(case.pipia_id),
        "owner": {"code": case.owner, "name": owners(inst.store)[case.owner].name},
        "occasion": case.occasion,
        "occasion_label": seen.questions.occasions[case.occasion].label.model_dump(),
        "occasion_cites": _cites(seen, seen.questions.occasions[case.occasion].cites),
        "scope": case.scope,
        "form": case.form,
        "opened": case.opened.isoformat(),
        "day": day.isoformat(),
        "state": "signed" if signed else "draft",
        "signed": signed.isoformat() if signed else None,
        "keep_until": keep_until.isoformat() if keep_until else None,
        "parts": [
            {
                "part": name,
                "label": part.label.model_dump(),
                "cites": _cites(seen, part.cites),
                "answers": [
                    _shown(seen, a) for a in seen.answers.values() if a.question.part == name
                ],
            }
            for name, part in seen.questions.parts.items()
        ],
        "sources": {name: words.model_dump() for name, words in matrix.sources.items()},
        "levels": {str(n): words.model_dump() for n, words in matrix.risk.items()},
        "likelihoods": {str(n): words.model_dump() for n, words in matrix.likelihood.items()},
        "cells": {str(impact): list(row) for impact, row in matrix.cells.items()},
        "notes": [matrix.combine.note.model_dump(), matrix.unacceptable.note.model_dump()],
        "before": [asdict(r) for r in before],
        "after": [asdict(r) for r in after],
        "worst_before": max(r.level for r in before),
        "worst_after": worst,
        "acceptable": matrix.acceptable(worst),
        "contradictions": contradictions(
            *(seen.books, case.owner, seen.facts, seen.answers.values(), day, occasion_of(case))
        ),
        "histogram": exposure[-1]["histogram"] if exposure else [],
        "trend": [{k: e[k] for k in ("day", "k", "people", "below")} for e in exposure],
        "self_audit": _self_audit(seen, day) if simplified else None,
    }


def stale_now(document: Mapping[str, Any], answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return a signed document with what moved since marked on it."""
    shown = copy.deepcopy(dict(document))
    for entry in _answers(shown):
        found = answers.get(entry["name"])
        entry["stale"] = found.stale if found else False
        entry["moved"] = [asdict(m) for m in found.moved] if found else []
    return shown


def with_names(
    document: Mapping[str, Any], answers: Mapping[str, Answer], signer: str = ""
) -> dict[str, Any]:
    """Return the document with the assessors' names, as far as their keys still exist."""
    shown = copy.deepcopy(dict(document))
    shown["signer"] = signer
    for entry in _answers(shown):
        recorded = answers[entry["name"]].recorded if entry["name"] in answers else None
        if recorded is not None and recorded.named:
            entry["assessor"], entry["note"] = recorded.assessor, recorded.note
    return shown


def external(document: Mapping[str, Any], questions: Questions) -> dict[str, Any]:
    """Return the edition for others: nobody is singled out by it, staff or customer.

    No names and no notes; counts below policy's least are not given and others are rounded down;
    what follows from the smallest group is withheld; small groups of the histogram are put
    together; the trend is left out, as it shows when somebody came or went.
    """
    rule = questions.external
    shown = copy.deepcopy(dict(document))
    shown |= {"edition": "external", "trend": [], "signer": ""}
    for entry in _answers(shown):
        entry["assessor"], entry["note"] = "", ""
        for item in entry["evidence"]:
            item["shown"] = _coarse(rule, item["measure"], item["number"])
            item["number"] = None
            item["run"] = ""
        entry["moved"] = []
    shown["histogram"] = _merged(rule, shown["histogram"])
    return shown


def _merged(rule: Any, bands: Iterable[list[int]]) -> list[list[Any]]:
    """Put all groups below the least release size together and coarsen the counts."""
    small = [b for b in bands if 0 < b[1] < 5]
    rest = [b for b in bands if not 0 < b[1] < 5]
    first = [[1, 4, sum(b[2] for b in small)]] if small else []
    return [[low, high, _people(rule, n)] for low, high, n in [*first, *rest]]


def _people(rule: Any, number: float) -> int | str:
    if 0 < number < rule.least:
        return f"< {rule.least}"
    return int(number // rule.step * rule.step)


def _coarse(rule: Any, measure: str, number: float | None) -> str:
    family = measure.partition(".")[0]
    if number is None or measure in rule.withheld:
        return "–"
    if measure in rule.exact or family in {"policy", "matrix", "settings", "rulebook", "register"}:
        return f"{number:g}"
    if number != int(number):
        return f"{number:.2f}"
    coarse = _people(rule, number)
    return coarse if isinstance(coarse, str) else f"{coarse:,}"


def _answers(document: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    return (entry for part in document["parts"] for entry in part["answers"])


def _shown(seen: Opened, found: Answer) -> dict[str, Any]:
    question = found.question
    return {
        "name": found.name,
        "kind": question.kind,
        "text": question.text.model_dump(),
        "cites": _cites(seen, question.cites),
        "choice": found.choice,
        "draft": found.draft,
        "stale": found.stale,
        "moved": [asdict(m) for m in found.moved],
        "answered": found.recorded.day if found.recorded else None,
        "assessor": "",
        "note": "",
        "evidence": [_item(seen, item) for item in found.evidence],
    }


def _item(seen: Opened, item: Item) -> dict[str, Any]:
    organisation, figures = seen.books.organisation, seen.books.rules.figures
    label = {g: measure_label(item.measure, organisation, figures, g) for g in LANGUAGES}
    shown = "–" if item.number is None else f"{item.number:,.6g}"
    return {**asdict(item), "label": label, "shown": shown}


def _cites(seen: Opened, cites: Iterable[str]) -> dict[str, str]:
    """Return citations in both languages; what was not read says so."""
    found = {}
    for lang in LANGUAGES:
        parts = []
        for words in cites:
            place = Cite.of(words)
            law = seen.books.rules.laws[place.law]
            shown = cite(seen.books.rules, place, lang)
            if law.confidence != "text":
                shown += f" [{say(f'rulebook.confidence.{law.confidence}', lang)}]"
            parts.append(shown)
        found[lang] = ("；" if lang == "zh" else "; ").join(parts)
    return found


def _self_audit(seen: Opened, day: date) -> dict[str, Any]:
    """Return the nineteen items, each ticked after its rules; marked as not verified."""
    audit = seen.questions.self_audit
    occasion = Occasion("handover") if seen.case.occasion == "handover" else None
    results = judge_all(seen.books, {seen.case.owner: seen.facts}, day, occasion)
    by_rule: dict[str, RuleResult] = {r.rule: r for r in results}
    items = [
        {
            "text": item.text.model_dump(),
            "rules": list(item.rules),
            "tick": _tick(item.rules, by_rule),
        }
        for item in audit.items
    ]
    return {"verified": False, "note": audit.note.model_dump(), "items": items}


def _tick(rules: Iterable[str], results: Mapping[str, RuleResult]) -> str:
    """Return the tick for the rules together: the worst that one of them says."""
    outcomes = {results[r].outcome if r in results else "not_applicable" for r in rules}
    order = ("not_met", "no_evidence", "met", "not_applicable")
    return next(o for o in order if o in outcomes)


def _exposure(inst: Installation, controller: int, day: date) -> list[dict[str, Any]]:
    with inst.store.begin("safehands_auditor") as connection:
        values = {"owner": controller, "day": day, "nights": NIGHTS}
        rows = connection.execute(text(_NIGHTS), values).all()
    return [
        {
            "day": row.business_date.isoformat(),
            "k": int(row.figures["k"]),
            "people": int(row.figures["people"]),
            "below": sum(n for _, high, n in row.figures.get("histogram", []) if 0 < high < 5),
            "histogram": row.figures.get("histogram", []),
        }
        for row in reversed(rows)
    ]


_NIGHTS = (
    "SELECT * FROM (SELECT DISTINCT ON (business_date) business_date, figures FROM risk_assessment"
    " WHERE controller_id = :owner AND business_date <= :day"
    " AND (figures->>'people')::int > 0 ORDER BY business_date DESC, id DESC) n"
    " ORDER BY business_date DESC LIMIT :nights"
)
