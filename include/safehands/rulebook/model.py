"""The rule book as data: rules with their editions, laws, figures; chosen by the event's date.

An edition of a rule holds from one day to another and cites the articles as they were numbered
then (the Cybersecurity Law was renumbered on 2026-01-01, the courier regulation on 2025-06-01).
Kind of the duty and kind of the number are apart: the law may ask for a thing and leave the number
to us. Confidence says how well the text is known; nothing below ``text`` is printed as settled law.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.organisation.catalogue import Confidence, Kind
from safehands.organisation.files import Frozen, Words

__all__ = [
    "BINDS",
    "REVIEW_DAYS",
    "AnyOf",
    "Check",
    "Cite",
    "Edition",
    "FigureKind",
    "Law",
    "Number",
    "Rule",
    "RuleBook",
    "RuleInForce",
    "Version",
    "Watched",
]

REVIEW_DAYS = 30
"""Every rule is looked at again after so many days: our policy (rule LAW-01)."""

BINDS: dict[str, tuple[str, ...]] = {
    "handler": (),
    "courier": ("count:declared.licensed_courier",),
    "courier_contract": ("count:declared.courier_contract",),
    "online_shop": ("count:declared.online_shop",),
    "platform": ("count:declared.platform",),
    "entrusted": ("count:store.roles_entrusted",),
    "joint": ("count:store.roles_joint",),
}
"""Whom a rule can bind, and the condition under which an owner is such a one."""

_CONDITION = re.compile(
    r"(occasion:[a-z]+(/[a-z_]+)?|count:[a-z_]+(\.[a-z_]+)+|least:[a-z_]+(\.[a-z_]+)+:\d+)"
    r"(\|(occasion:[a-z]+(/[a-z_]+)?|count:[a-z_]+(\.[a-z_]+)+|least:[a-z_]+(\.[a-z_]+)+:\d+))*"
)
Condition = Annotated[str, Field(pattern=f"^{_CONDITION.pattern}$")]

Step = Literal[
    "ingest",
    "quality",
    "classify",
    "minimise",
    "consent",
    "deid",
    "encrypt",
    "access",
    "backup",
    "retain",
    "erase",
    "transfer",
    "reconcile",
    "notify",
    "dsr",
    "breach",
    "pia",
    "audit",
    "train",
    "lawwatch",
    "report",
]
"""Stages of LAW.md: where in the work a rule belongs."""


class Version(Frozen):
    """One text of a law: in force from this day; ``confidence`` is about the day."""

    in_force: date
    note: Words | None = None
    confidence: Confidence = "text"


class Law(Frozen):
    """A law, rule or standard with its texts, oldest first, and when it was last looked up."""

    zh: str
    en: str
    short: str
    kind: Literal["law", "standard"]
    confidence: Confidence
    reviewed: date
    versions: Annotated[tuple[Version, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _oldest_first(self) -> Law:
        days = [version.in_force for version in self.versions]
        if days != sorted(set(days)):
            raise ValueError("versions must be in order of in_force")
        return self


class Watched(Frozen):
    """A draft or revision that may become law: shown, never cited."""

    zh: str
    en: str
    seen: date


class FigureKind(Frozen):
    """A count that another part records about itself; ``each``: once per hand-over or incident."""

    label: Words
    by: Literal["consent", "notice", "handover", "sharing", "rights", "incident", "assessment"]
    each: bool = False


@dataclass(frozen=True)
class Cite:
    """A law and a place in it, e.g. ``pipl`` and ``14 ¶2``; the place may be empty."""

    law: str
    place: str

    @classmethod
    def of(cls, words: str) -> Cite:
        """Read ``pipl 14 ¶2``."""
        law, _, place = words.partition(" ")
        return cls(law, place)


class Number(Frozen):
    """What is measured, in words, and who set the number."""

    kind: Kind
    zh: str
    en: str


class Check(Frozen):
    """One executable check: a measure compared with a number. ``when``: only if these hold."""

    measure: str
    at_most: float | None = None
    at_least: float | None = None
    kind: Kind
    when: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _one_bound(self) -> Check:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a check has at_most or at_least, and not both")
        return self

    def holds(self, number: float) -> bool:
        """Say whether ``number`` is within the bound (the bound itself is)."""
        if self.at_most is not None:
            return number <= self.at_most
        return number >= (self.at_least or 0.0)

    @property
    def wanted(self) -> str:
        """The bound, e.g. ``≤ 30``."""
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}"


class AnyOf(Frozen):
    """Checks of which one is enough."""

    any: Annotated[tuple[Check, ...], Field(min_length=2)]


class Edition(Frozen):
    """A rule as it stands from one day to another (both included)."""

    from_: Annotated[date, Field(alias="from")]
    until: date | None = None
    cites: tuple[str, ...]
    confidence: Confidence
    number: Number | None = None
    check: tuple[Check | AnyOf, ...] = ()

    @property
    def cited(self) -> tuple[Cite, ...]:
        """The places cited."""
        return tuple(Cite.of(words) for words in self.cites)

    def covers(self, day: date) -> bool:
        """Say whether the edition is in force on ``day``."""
        return self.from_ <= day and (self.until is None or day <= self.until)


class Rule(Frozen):
    """One rule of the book; ``editions`` oldest first, without gaps to overlap."""

    requirement: Words
    binds: Annotated[tuple[str, ...], Field(min_length=1)]
    step: Step
    duty: Kind
    number: Number
    blocks_handover: bool = False
    editions: Annotated[tuple[Edition, ...], Field(min_length=1)]
    interpretation: Words | None = None
    applies: tuple[Condition, ...] = ()
    check: Annotated[tuple[Check | AnyOf, ...], Field(min_length=1)]
    remedy: Words
    reviewed: date

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        unknown = sorted(set(self.binds) - BINDS.keys())
        if unknown:
            raise ValueError(f"binds: {unknown[0]} is none of {', '.join(BINDS)}")
        for before, after in zip(self.editions, self.editions[1:], strict=False):
            if before.until is None or before.until >= after.from_:
                raise ValueError(f"editions overlap: the one before {after.from_} must end earlier")
        for edition in self.editions:
            if edition.until is not None and edition.until < edition.from_:
                raise ValueError(f"edition of {edition.from_} ends before it begins")
            if not edition.cites and self.duty != "P":
                raise ValueError("only a duty of policy (P) may cite no law")
        return self


@dataclass(frozen=True)
class RuleInForce:
    """A rule with the edition that holds on the day of the event."""

    id: str
    rule: Rule
    edition: Edition

    @property
    def number(self) -> Number:
        """The number of the edition, or the rule's."""
        return self.edition.number or self.rule.number

    @property
    def checks(self) -> tuple[Check | AnyOf, ...]:
        """The checks of the edition, or the rule's."""
        return self.edition.check or self.rule.check

    @property
    def past_review(self) -> date:
        """The day after which somebody should have looked again."""
        return self.rule.reviewed + timedelta(days=REVIEW_DAYS)

    def every_check(self) -> Iterator[Check]:
        """Yield all checks, those of alternatives too."""
        for item in self.checks:
            yield from item.any if isinstance(item, AnyOf) else (item,)


@dataclass(frozen=True)
class RuleBook:
    """The whole book. ``digest`` is that of its files, hex."""

    rules: dict[str, Rule]
    laws: dict[str, Law]
    figures: dict[str, FigureKind]
    watch: tuple[Watched, ...]
    digest: str

    def at(self, day: date) -> tuple[RuleInForce, ...]:
        """Return the rules in force on ``day``, by id; a rule has at most one edition then."""
        return tuple(
            RuleInForce(name, rule, edition)
            for name, rule in sorted(self.rules.items())
            for edition in rule.editions
            if edition.covers(day)
        )

    def past_review(self, day: date) -> tuple[RuleInForce, ...]:
        """Return the rules in force that nobody has looked at for too long (law-watch)."""
        return tuple(rule for rule in self.at(day) if rule.past_review < day)
