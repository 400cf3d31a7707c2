"""Risk: people who stand out, the matrix of judgements, the rule book with its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from safehands.dashboards.asking import OWNER_NAME, Asking
from safehands.dashboards.books import Books
from safehands.pipia.questions import Questions
from safehands.rulebook import RuleInForce
from safehands.rulebook.names import measure_label

__all__ = ["OUTCOMES", "risk", "risk_rule"]

OUTCOMES = ("not_met", "no_evidence", "met", "not_applicable")
"""As they are shown: what needs a person first."""

_OWNERS_SHOWN = 50


def risk(asking: Asking, books: Books) -> dict[str, Any]:
    """Return the figures of the newest assessment of every owner, and tonight's rule book."""
    owners = [_owner(row) for row in asking.rows(_NEWEST)]
    rules = _rules(asking.rows(_RULES), books, asking.day)
    return {
        "owners": sorted(owners, key=lambda o: (o["k"], -o["alone"], o["owner"]))[:_OWNERS_SHOWN],
        "owners_more": max(0, len(owners) - _OWNERS_SHOWN),
        "people": sum(owner["people"] for owner in owners),
        "alone": sum(owner["alone"] for owner in owners),
        "least": min((o["k"] for o in owners if o["people"]), default=0),
        "histogram": _histogram(owners),
        "crowd": asking.rows(_TREND_OWNER if asking.owner else _TREND),
        "matrix": _matrix(asking.rows(_JUDGEMENTS), books),
        "outcomes": Counter(rule["outcome"] for rule in rules),
        "rules": rules,
        "findings": asking.rows(_FINDINGS),
        "source_numbers": {name: n for n, name in enumerate(books.matrix.sources, 1)},
        "books": books,
    }


def risk_rule(asking: Asking, books: Books, rule: str) -> dict[str, Any]:
    """Return one rule: what it asks, on which law, and the evidence of its last verdict."""
    known = {one.id: one for one in books.rulebook.at(asking.day or date.max)}
    return {
        "rule": rule,
        "known": known.get(rule),
        "books": books,
        "verdicts": [
            {**row, "evidence": [_evidence(books, part) for part in row["evidence"]]}
            for row in asking.rows(_VERDICTS, rule=rule)
        ],
        "nights": _nights(asking.rows(_NIGHTS, rule=rule)),
        "findings": asking.rows(f"{_FINDING} WHERE rule = :rule {_ORDER}", rule=rule),
    }


def _owner(row: Mapping[str, Any]) -> dict[str, Any]:
    histogram = row["histogram"] or []
    alone = sum(people for low, high, people in histogram if high == 1 and low == 1)
    releases = row["releases"] or []
    return {**row, "histogram": histogram, "releases": releases, "alone": alone}


def _histogram(owners: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return people by the size of the group in which they can hide, over all owners."""
    bands: dict[tuple[int, int], int] = {}
    for owner in owners:
        for low, high, people in owner["histogram"]:
            bands[low, high] = bands.get((low, high), 0) + people
    return [{"low": low, "high": high, "people": n} for (low, high), n in sorted(bands.items())]


def _rules(
    rows: Iterable[Mapping[str, Any]], books: Books, day: date | None
) -> list[dict[str, Any]]:
    """Return every rule in force with the worst verdict of any owner; open ones first."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["rule"], Counter())[row["outcome"]] += row["owners"]
    found = []
    for rule in books.rulebook.at(day or date.max):
        mine = counts.get(rule.id)
        if mine is not None:
            worst = next(outcome for outcome in OUTCOMES if mine[outcome])
            found.append({"rule": rule, "outcome": worst, "owners": mine[worst]})
    return sorted(found, key=lambda r: (OUTCOMES.index(r["outcome"]), _blocking(r["rule"])))


def _blocking(rule: RuleInForce) -> tuple[bool, str]:
    return not rule.rule.blocks_handover, rule.id


def _matrix(rows: Iterable[Mapping[str, Any]], books: Books) -> dict[str, Any]:
    """Return the 4 × 4 table with the groups of sources that named people have judged.

    A group stands at the highest impact that was judged and its likelihood after controls, or
    before them where nobody has judged what they do.
    """
    judged = _judged(rows, books.questions)
    impact = max((choice for (kind, _), choice in judged.items() if kind == "impact"), default=0)
    places: dict[tuple[int, int], list[str]] = {}
    for source in books.matrix.sources:
        likelihood = judged.get(("likelihood_after", source)) or judged.get(
            ("likelihood_before", source)
        )
        if impact and likelihood:
            places.setdefault((impact, likelihood), []).append(source)
    return {"cells": books.matrix.cells, "places": places, "judged": bool(places)}


def _judged(rows: Iterable[Mapping[str, Any]], questions: Questions) -> dict[tuple[str, str], int]:
    """Return the highest choice per kind and group over the newest answers."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        question = questions.questions.get(row["question"])
        if question is not None and row["choice"]:
            key = (question.kind, question.group or question.dimension or "")
            found[key] = max(found.get(key, 0), row["choice"])
    return found


def _evidence(books: Books, part: Mapping[str, Any]) -> dict[str, Any]:
    labels = {
        lang: measure_label(part["measure"], books.organisation, books.rulebook.figures, lang)
        for lang in ("zh", "en")
    }
    bare = {"number": None, "wanted": "", "source": ""}
    return {**bare, **part, "labels": labels, "page": _page_of(part["measure"])}


def _page_of(measure: str) -> str:
    """Return the page that shows where a measure comes from; empty for none."""
    return next((page for word, page in _PAGES.items() if word in measure), "")


def _nights(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    nights: dict[str, dict[str, int]] = {}
    for row in rows:
        nights.setdefault(row["day"], {})[row["outcome"]] = row["owners"]
    return [{"day": day, "outcomes": outcomes} for day, outcomes in nights.items()]


_PAGES = {
    "quality": "quality",
    "quarantined": "quality",
    "backup": "backups",
    "restore": "backups",
    "overdue": "privacy",
    "purge": "privacy",
    "consent": "privacy",
    "rights": "privacy",
    "transfer": "handovers",
    "handover": "handovers",
    "risk_": "risk",
}
_NEWEST = (
    f"SELECT {OWNER_NAME} AS owner, (r.figures->>'k')::int AS k,"
    " (r.figures->>'people')::int AS people, r.figures->'histogram' AS histogram,"
    " r.figures->'releases' AS releases, r.business_date::text AS day FROM controller c"
    " CROSS JOIN LATERAL (SELECT figures, business_date FROM risk_assessment a"
    " WHERE a.controller_id = c.id AND a.business_date <= :day"
    " ORDER BY a.business_date DESC, a.id DESC LIMIT 1) r ORDER BY 1"
)
_TREND = (
    "SELECT business_date::text AS day, min((counts->>'k')::int) AS value FROM step_result"
    " WHERE step = 'report' AND business_date > :since AND business_date <= :day"
    " GROUP BY 1 ORDER BY 1"
)
_TREND_OWNER = (
    "SELECT business_date::text AS day, min((figures->>'k')::int) AS value FROM risk_assessment"
    " WHERE business_date > :since AND business_date <= :day GROUP BY 1 ORDER BY 1"
)
_JUDGEMENTS = (
    "SELECT DISTINCT ON (a.question) a.question, a.choice FROM pipia_answer a"
    " WHERE a.choice IS NOT NULL AND a.day <= :day ORDER BY a.question, a.id DESC"
)
_LAST = (
    "business_date = (SELECT max(business_date) FROM rule_result WHERE occasion = 'night'"
    " AND business_date <= :day) AND occasion = 'night'"
)
# Of several checks of one day the newest counts, owner by owner.
_CHECKED = (
    "SELECT DISTINCT ON (controller_id, rule) controller_id, rule, outcome, evidence,"
    f" blocks_handover, business_date FROM rule_result WHERE {_LAST}"
)
_RULES = (
    "SELECT rule, outcome, count(*)::int AS owners FROM"
    f" ({_CHECKED} ORDER BY controller_id, rule, id DESC) newest GROUP BY 1, 2"
)
_VERDICTS = (
    f"SELECT {OWNER_NAME} AS owner, v.outcome, v.evidence, v.business_date::text AS day FROM"
    f" ({_CHECKED} AND rule = :rule ORDER BY controller_id, rule, id DESC) v"
    " JOIN controller c ON c.id = v.controller_id"
    " ORDER BY array_position(ARRAY['not_met', 'no_evidence', 'met', 'not_applicable'], outcome), 1"
    " LIMIT 50"
)
_NIGHTS = (
    "SELECT business_date::text AS day, outcome, count(DISTINCT controller_id)::int AS owners"
    " FROM rule_result WHERE rule = :rule AND occasion = 'night' AND business_date <= :day"
    " AND business_date > CAST(:day AS date) - 14 GROUP BY 1, 2 ORDER BY 1 DESC, 2"
)
_FINDING = (
    "SELECT rule, opened::text AS opened, due::text AS due, duty, state,"
    " (state = 'open' AND due < CAST(:day AS date)) AS late FROM finding"
)
_ORDER = "ORDER BY state = 'open' DESC, due, rule LIMIT 100"
_FINDINGS = f"{_FINDING} WHERE state = 'open' {_ORDER}"
