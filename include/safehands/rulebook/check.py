"""Check the rules in force on a day, and keep the verdicts with the link to their evidence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.installation import Installation
from safehands.rulebook.facts import Books, gather, open_books
from safehands.rulebook.judge import Evidence, Facts, Occasion, RuleResult, judge
from safehands.store import lock
from safehands.store.effects import input_digest
from safehands.store.register import Owner, owners

__all__ = ["NIGHT", "Line", "check", "judge_all", "keep"]

EVENT = "rules"
NIGHT = "night"
"""The occasion under which the nightly check is kept."""

Line = dict[str, Any]
"""A verdict to be kept: ``rule``, ``edition``, ``outcome``, ``blocks``, ``evidence``."""


def check(
    inst: Installation, day: date, occasion: Occasion | None = None, *, books: Books | None = None
) -> tuple[RuleResult, ...]:
    """Check every rule in force on ``day`` for every owner, keep the verdicts and return them.

    The verdicts of rules, ordered by owner and id, go to ``rule_result`` once: the same again adds
    nothing. Facts are those known now up to ``day``; people are counted now.

    Raises ``PolicyError`` when a policy file is wrong. A verdict says what the evidence shows; it
    never says that something was lawful.
    """
    books = books or open_books(inst)
    facts = gather(inst, books, day, occasion)
    results = judge_all(books, facts, day, occasion)
    keep(inst, books, day, str(occasion or ""), _lines(results))
    return results


def judge_all(
    books: Books, facts: dict[str, Facts], day: date, occasion: Occasion | None
) -> tuple[RuleResult, ...]:
    """Return the verdict on each rule in force, per owner. Pure."""
    rules = books.rules.at(day)
    return tuple(
        RuleResult(owner, day, rule.id, *judge(rule, mine, occasion), rule)
        for owner, mine in sorted(facts.items())
        for rule in rules
    )


def keep(
    inst: Installation,
    books: Books,
    day: date,
    occasion: str,
    lines: dict[str, list[Line]],
) -> bool:
    """Keep each owner's verdicts of one check unless its newest check says the same.

    Return whether anything was written. Rows, and one ledger entry per owner with counts.
    """
    known = owners(inst.store)
    written = [
        _keep_one(inst, books, known[code], day, occasion, mine) for code, mine in lines.items()
    ]
    return any(written)


def _lines(results: Iterable[RuleResult]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for result in results:
        found.setdefault(result.owner, []).append(line_of(result))
    return found


def line_of(result: RuleResult) -> Line:
    """Return a verdict as it is kept."""
    return {
        "rule": result.rule,
        "edition": result.in_force.edition.from_.isoformat(),
        "outcome": result.outcome,
        "blocks": result.blocks_handover,
        "evidence": [_json(e) for e in result.evidence],
    }


def _json(evidence: Evidence) -> dict[str, Any]:
    return asdict(evidence)


def _keep_one(
    inst: Installation,
    books: Books,
    owner: Owner,
    day: date,
    occasion: str,
    lines: Sequence[Line],
) -> bool:
    digest = input_digest(day, occasion, books.rules.digest, lines)
    with inst.store.begin(controller=owner.id) as connection:
        lock(connection, f"safehands.rules.{owner.id}")
        values = {"owner": owner.id, "day": day, "occasion": occasion}
        if connection.execute(text(_NEWEST), values).scalar() == digest:
            return False
        rows = [
            {
                **values,
                **line,
                "evidence": json.dumps(line["evidence"], sort_keys=True),
                "checked": digest,
                "book": books.rules.digest,
            }
            for line in lines
        ]
        connection.execute(text(_INSERT), rows)
        _append(connection, inst, owner, day, occasion, digest, lines, books.rules.digest)
        return True


def _append(
    connection: Connection,
    inst: Installation,
    owner: Owner,
    day: date,
    occasion: str,
    digest: str,
    lines: Sequence[Line],
    book: str,
) -> None:
    facts = {
        "controller": owner.code,
        "day": day.isoformat(),
        "occasion": occasion,
        "counts": dict(sorted(Counter(line["outcome"] for line in lines).items())),
        "results": digest,
        "rulebook": book,
    }
    journal.append(connection, EVENT, f"{EVENT}-{day.isoformat()}", inst.clock(), facts)


_NEWEST = (
    "SELECT checked FROM rule_result WHERE controller_id = :owner AND business_date = :day"
    " AND occasion = :occasion ORDER BY id DESC LIMIT 1"
)
_INSERT = (
    "INSERT INTO rule_result (controller_id, business_date, checked, occasion, rule, edition,"
    " outcome, blocks_handover, evidence, rulebook) VALUES (:owner, :day, :checked, :occasion,"
    " :rule, :edition, :outcome, :blocks, CAST(:evidence AS jsonb), :book)"
)
