"""Gates: what stops sharing and a hand-over, and what warns at night.

Only rules marked ``blocks_handover`` block a hand-over, and nobody can approve those away; a rule
without evidence blocks like one that is not met. Thresholds are policy (``gates.yaml``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.errors import GateClosed, PolicyError
from safehands.installation import Installation
from safehands.organisation import names
from safehands.organisation.catalogue import Kind
from safehands.organisation.files import Frozen, Words, checked, read_yaml
from safehands.pipia import OccasionName, current, precedes
from safehands.rulebook.check import NIGHT, Line, judge_all, keep, line_of
from safehands.rulebook.facts import Books, gather, open_books
from safehands.rulebook.judge import (
    Facts,
    Measured,
    Occasion,
    Outcome,
    RuleResult,
    applies,
)
from safehands.rulebook.model import Condition
from safehands.rulebook.names import measure_exists
from safehands.store.register import Owner, owners

__all__ = ["Gate", "GateItem", "GateVerdict", "check", "load_gates", "night", "require"]

GateName = Literal["handover", "sharing", "night"]

_BEFORE = "figure.assessment.before_transfer"
# An assessment made for one of these counts for the occasion (PIPL 55): a processor is entrusted.
_ASSESSED_FOR: dict[str, tuple[OccasionName, ...]] = {
    "handover": ("handover",),
    "sharing": ("sharing", "entrusting"),
}


class Threshold(Frozen):
    """A bound on one measure; ``stops``: it blocks, otherwise it warns. ``when``: only then."""

    id: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    label: Words
    measure: str
    at_most: float | None = None
    at_least: float | None = None
    kind: Kind
    stops: bool
    when: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _one_bound(self) -> Threshold:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a threshold has at_most or at_least, and not both")
        return self

    def outcome(self, facts: Facts, occasion: Occasion | None) -> Outcome:
        """Compare the measure's number; without one there is no evidence."""
        if applies(self.when, facts, occasion) is False:
            return "not_applicable"
        fact = facts.get(self.measure)
        if fact is None:
            return "no_evidence"
        if self.at_most is not None:
            return "met" if fact.number <= self.at_most else "not_met"
        return "met" if fact.number >= (self.at_least or 0.0) else "not_met"

    @property
    def wanted(self) -> str:
        """The bound, e.g. ``≤ 0.1``."""
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}"


class Gate(Frozen):
    """One gate: which rules, which outcomes stop or warn, which thresholds."""

    rules: Literal["all", "blocks_handover"] | tuple[str, ...]
    stop_on: tuple[Outcome, ...]
    warn_on: tuple[Outcome, ...]
    thresholds: tuple[Threshold, ...]

    def names(self, result: RuleResult) -> bool:
        """Say whether the gate stops on this rule."""
        if self.rules == "all":
            return True
        if self.rules == "blocks_handover":
            return result.blocks_handover
        return result.rule in self.rules


class _Gates(Frozen):
    gates: dict[GateName, Gate]

    @model_validator(mode="after")
    def _whole(self) -> _Gates:
        if set(self.gates) != {"handover", "sharing", "night"}:
            raise ValueError("the gates are handover, sharing and night")
        if self.gates["handover"].rules != "blocks_handover":
            raise ValueError("only rules marked blocks_handover block a hand-over")
        return self


@dataclass(frozen=True)
class GateItem:
    """One reason: a rule (its id) or a threshold (``gate/id``), its outcome, number and bound.

    ``kind`` says who set the bound: L law, S standard, P policy.
    """

    owner: str
    source: Literal["rule", "threshold"]
    id: str
    outcome: Outcome
    measure: str
    number: float | None
    wanted: str
    kind: str


@dataclass(frozen=True)
class GateVerdict:
    """What a gate says on a day: it is open when nothing blocks."""

    gate: GateName
    day: date
    blockers: tuple[GateItem, ...]
    warnings: tuple[GateItem, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing blocks."""
        return not self.blockers


def load_gates(folder: Path, books: Books) -> dict[GateName, Gate]:
    """Read ``gates.yaml``. Raises ``PolicyError`` for a rule or measure that doesn't exist."""
    path = folder / "gates.yaml"
    gates = checked(_Gates, read_yaml(path), path.name, "-").gates
    for name, gate in gates.items():
        listed = gate.rules if isinstance(gate.rules, tuple) else ()
        for rule in sorted(set(listed) - books.rules.rules.keys()):
            raise PolicyError("rulebook.no_such_rule", rule=rule)
        for threshold in gate.thresholds:
            if not measure_exists(threshold.measure, books.organisation, books.rules.figures):
                raise PolicyError(
                    "organisation.invalid",
                    file=path.name,
                    block=name,
                    where=threshold.id,
                    why="there is no such measure",
                )
    return gates


def check(
    inst: Installation,
    gate: GateName,
    day: date,
    *,
    occasion: Occasion | None = None,
    owner: str = "",
) -> GateVerdict:
    """Check ``gate`` on ``day`` for ``owner`` (default: every owner) and keep the verdicts.

    ``occasion`` gives the transfer mode or release and the id of the hand-over or the code of the
    agreement; without it every rule of that kind applies. The impact assessment that was signed
    for exactly this hand-over or agreement is looked up, and by how many days it precedes ``day``
    is recorded (rule PIA-01): the transfer itself comes later than its gate.

    Raises ``PolicyError`` when a policy file is wrong.
    """
    if gate == "night":
        return night(inst, day)
    books = open_books(inst)
    gates = load_gates(inst.settings.policy, books)
    occasion = occasion or Occasion("handover" if gate == "handover" else "sharing")
    facts = _of(owner, gather(inst, books, day, occasion))
    if occasion.scope:
        known = owners(inst.store)
        for code, mine in facts.items():
            facts[code] = _assessed(inst, books, known[code], mine, day, occasion)
    return _verdict(inst, books, gate, gates[gate], day, facts, occasion, str(occasion))


def night(inst: Installation, day: date) -> GateVerdict:
    """Check all rules as the night knows them, keep the verdicts for the report, and warn.

    Names of responsible persons that are past the time evidence is kept are forgotten.
    """
    books = open_books(inst)
    gates = load_gates(inst.settings.policy, books)
    names.forget(inst, _years_before(day, books.organisation.keep_years.number))
    facts = gather(inst, books, day, in_night=True)
    return _verdict(inst, books, "night", gates["night"], day, facts, None, NIGHT)


def require(verdict: GateVerdict) -> None:
    """Raise ``GateClosed`` naming what blocks, unless the gate is open."""
    if not verdict.is_open:
        shown = sorted({item.id for item in verdict.blockers})
        raise GateClosed("gates.closed", gate=verdict.gate, what=", ".join(shown))


def _assessed(
    inst: Installation, books: Books, owner: Owner, facts: Facts, day: date, occasion: Occasion
) -> Facts:
    """Return the facts with the assessment in force for this hand-over or agreement, or without."""
    figures, scope = books.rules.figures, occasion.scope
    with inst.store.begin(controller=owner.id) as connection:
        for name in _ASSESSED_FOR.get(occasion.kind, ()):
            found = current(connection, owner.id, name, day, scope)
            if found is not None:
                days = precedes(connection, figures, owner, found, scope, day, day)
                run = f"pipia {found.pipia_id}"
                return {**facts, _BEFORE: Measured(days, run, "pipia_event")}
    # What an assessment once showed is no evidence when none is in force any more.
    kept = facts.get(_BEFORE)
    lapsed = kept is not None and kept.run.startswith("pipia ")
    return {name: fact for name, fact in facts.items() if not (lapsed and name == _BEFORE)}


def _verdict(
    inst: Installation,
    books: Books,
    name: GateName,
    gate: Gate,
    day: date,
    facts: dict[str, Facts],
    occasion: Occasion | None,
    kept_as: str,
) -> GateVerdict:
    results = judge_all(books, facts, day, occasion)
    lines: dict[str, list[Line]] = {owner: [] for owner in facts}
    for result in results:
        lines[result.owner].append(line_of(result))
    measured = [
        (_threshold_item(name, threshold, owner, mine, occasion), threshold.stops)
        for owner, mine in sorted(facts.items())
        for threshold in gate.thresholds
    ]
    for item, _ in measured:
        lines[item.owner].append(_threshold_line(item, day))
    keep(inst, books, day, kept_as, lines)
    return GateVerdict(name, day, *_sorted_out(gate, results, measured))


def _sorted_out(
    gate: Gate, results: Iterable[RuleResult], measured: Iterable[tuple[GateItem, bool]]
) -> tuple[tuple[GateItem, ...], tuple[GateItem, ...]]:
    blockers, warnings = [], []
    for result in results:
        item = _rule_item(result)
        if gate.names(result) and result.outcome in gate.stop_on:
            blockers.append(item)
        elif result.outcome in gate.warn_on:
            warnings.append(item)
    for item, stops in measured:
        if stops and item.outcome in gate.stop_on:
            blockers.append(item)
        elif item.outcome == "not_met":
            warnings.append(item)
    return tuple(blockers), tuple(warnings)


def _rule_item(result: RuleResult) -> GateItem:
    """Return the rule with the evidence that decided: the first of its outcome."""
    same = [e for e in result.evidence if e.outcome == result.outcome]
    deciding = next(iter([*same, *result.evidence]), None)
    return GateItem(
        result.owner,
        "rule",
        result.rule,
        result.outcome,
        deciding.measure if deciding else "",
        deciding.number if deciding else None,
        deciding.wanted if deciding else "",
        deciding.kind if deciding else result.in_force.number.kind,
    )


def _threshold_item(
    name: str, threshold: Threshold, owner: str, facts: Facts, occasion: Occasion | None
) -> GateItem:
    fact = facts.get(threshold.measure)
    return GateItem(
        owner,
        "threshold",
        f"{name}/{threshold.id}",
        threshold.outcome(facts, occasion),
        threshold.measure,
        fact.number if fact else None,
        threshold.wanted,
        threshold.kind,
    )


def _threshold_line(item: GateItem, day: date) -> Line:
    evidence = {"measure": item.measure, "number": item.number, "wanted": item.wanted}
    return {
        "rule": item.id,
        "edition": day.isoformat(),
        "outcome": item.outcome,
        "blocks": False,
        "evidence": [{**evidence, "kind": item.kind, "outcome": item.outcome}],
    }


def _of(owner: str, facts: dict[str, Facts]) -> dict[str, Facts]:
    if not owner:
        return facts
    if owner not in facts:
        known = ", ".join(sorted(facts))
        raise PolicyError("organisation.no_such_owner", owner=owner, known=known)
    return {owner: facts[owner]}


def _years_before(day: date, years: int) -> date:
    """The same date ``years`` earlier; the last of February stands for the 29th."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
