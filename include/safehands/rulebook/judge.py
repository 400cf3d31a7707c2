"""From facts to a verdict: met, not met, not applicable, no evidence. Pure; no clock, no store.

A rule that nobody can say applies has no evidence; a rule that clearly doesn't apply is not
applicable; one broken check is enough for not met; a check without a fact is no evidence, never
met. An alternative (``any``) is met when one of its checks is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from safehands.rulebook.model import BINDS, AnyOf, Check, RuleInForce

__all__ = [
    "OUTCOMES",
    "Evidence",
    "Facts",
    "Measured",
    "Occasion",
    "Outcome",
    "RuleResult",
    "applies",
    "judge",
]

Outcome = Literal["met", "not_met", "not_applicable", "no_evidence"]
OUTCOMES: tuple[Outcome, ...] = ("not_met", "no_evidence", "met", "not_applicable")
"""All outcomes, those that need a person first."""


@dataclass(frozen=True)
class Measured:
    """One number and where it came from: the run that recorded it and the query or place."""

    number: float
    run: str = ""
    source: str = ""


Facts = Mapping[str, Measured]
"""One owner's facts by measure; a measure that is missing has no evidence."""


@dataclass(frozen=True)
class Occasion:
    """What a check is made for, e.g. ``handover`` with its transfer mode.

    An empty ``detail`` is an unknown one and brings every rule of the kind with it. ``scope`` is
    the id of the hand-over, release or incident: figures of another one are not looked at.
    """

    kind: Literal["handover", "sharing", "incident"]
    detail: str = ""
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.detail}" if self.detail else self.kind


@dataclass(frozen=True)
class Evidence:
    """One check and its fact: the link from a verdict to what proves it.

    ``wanted`` is ``?`` where the measure is asked for only to tell whether the rule applies.
    """

    measure: str
    number: float | None
    wanted: str
    kind: str
    outcome: Outcome
    run: str
    source: str


@dataclass(frozen=True)
class RuleResult:
    """The verdict on one rule for one owner on one day."""

    owner: str
    day: date
    rule: str
    outcome: Outcome
    evidence: tuple[Evidence, ...]
    in_force: RuleInForce

    @property
    def blocks_handover(self) -> bool:
        """Whether the rule is one that nobody can approve away."""
        return self.in_force.rule.blocks_handover


def judge(
    rule: RuleInForce, facts: Facts, occasion: Occasion | None
) -> tuple[Outcome, tuple[Evidence, ...]]:
    """Return the outcome of ``rule`` and the evidence of each of its checks."""
    bound = _any_holds([BINDS[who] for who in rule.rule.binds], facts, occasion)
    concerned = _all_hold((bound, applies(rule.rule.applies, facts, occasion)))
    if concerned is False:
        return "not_applicable", ()
    found: list[tuple[Outcome, tuple[Evidence, ...]]] = [
        _any_of(item, facts, occasion) if isinstance(item, AnyOf) else _check(item, facts, occasion)
        for item in rule.checks
    ]
    evidence = tuple(e for _, part in found for e in part)
    outcome = _together(found_outcome for found_outcome, _ in found)
    if concerned is None and outcome != "not_applicable":
        # Nobody declared whether the rule binds this owner; a good figure doesn't settle that.
        return "no_evidence", (*_undecided(rule, facts, occasion), *evidence)
    return outcome, evidence


def applies(conditions: Iterable[str], facts: Facts, occasion: Occasion | None) -> bool | None:
    """Say whether all conditions hold; ``None`` when a fact is missing to tell."""
    return _all_hold(_condition(condition, facts, occasion) for condition in conditions)


def _undecided(rule: RuleInForce, facts: Facts, occasion: Occasion | None) -> Iterator[Evidence]:
    """Yield the measures that are missing to tell whether the rule applies, each once."""
    conditions = [*rule.rule.applies, *(c for who in rule.rule.binds for c in BINDS[who])]
    open_ones = (c for c in conditions if _condition(c, facts, occasion) is None)
    parts = (part for condition in open_ones for part in condition.split("|"))
    missing = (part.split(":")[1] for part in parts if not part.startswith("occasion:"))
    for measure in dict.fromkeys(name for name in missing if name not in facts):
        yield Evidence(measure, None, "?", "", "no_evidence", "", "")


def _check(
    check: Check, facts: Facts, occasion: Occasion | None
) -> tuple[Outcome, tuple[Evidence, ...]]:
    concerned = applies(check.when, facts, occasion)
    if concerned is False:
        return "not_applicable", ()
    fact = facts.get(check.measure)
    outcome: Outcome = "no_evidence"
    if fact is not None and concerned:
        outcome = "met" if check.holds(fact.number) else "not_met"
    number, run, source = (fact.number, fact.run, fact.source) if fact else (None, "", "")
    kept = Evidence(check.measure, number, check.wanted, check.kind, outcome, run, source)
    return outcome, (kept,)


def _any_of(
    item: AnyOf, facts: Facts, occasion: Occasion | None
) -> tuple[Outcome, tuple[Evidence, ...]]:
    found = [_check(check, facts, occasion) for check in item.any]
    outcomes = {outcome for outcome, _ in found}
    order: tuple[Outcome, ...] = ("met", "not_met", "no_evidence", "not_applicable")
    best = next(outcome for outcome in order if outcome in outcomes)
    return best, tuple(e for _, part in found for e in part)


def _together(outcomes: Iterable[Outcome]) -> Outcome:
    present = set(outcomes)
    return next(o for o in (*OUTCOMES, "not_applicable") if o in present)


def _condition(words: str, facts: Facts, occasion: Occasion | None) -> bool | None:
    """Return whether one of the alternatives holds; ``None`` when that can't be told."""
    return _any([_alternative(part, facts, occasion) for part in words.split("|")])


def _alternative(words: str, facts: Facts, occasion: Occasion | None) -> bool | None:
    family, measure, *bound = words.split(":")
    if family == "occasion":
        kind, _, detail = measure.partition("/")
        same = occasion is not None and occasion.kind == kind
        return same and (not detail or occasion is None or occasion.detail in {"", detail})
    fact = facts.get(measure)
    if fact is None:
        return None
    return fact.number >= (float(bound[0]) if bound else 1.0)


def _any_holds(
    groups: list[tuple[str, ...]], facts: Facts, occasion: Occasion | None
) -> bool | None:
    return _any([applies(group, facts, occasion) for group in groups])


def _any(found: list[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def _all_hold(found: Iterable[bool | None]) -> bool | None:
    held = list(found)
    return False if False in held else None if None in held else True
