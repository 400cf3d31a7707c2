"""What ``organisation.yaml`` says: kinds of evidence, declarations, duties, size tiers.

Sources: PIPL 51 and 69 (measures, and the burden of proving them), GB/T 39335-2020 5.4 (groups of
risk sources, read in quotation). The days are policy unless marked otherwise.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = [
    "Confidence",
    "Declaration",
    "EvidenceKind",
    "KeepYears",
    "Kind",
    "Organisation",
    "Tier",
    "load_organisation",
]

Kind = Literal["L", "S", "P"]
"""Who sets a duty or a number: the law, a recommended standard, this installation's policy."""

Confidence = Literal["text", "secondary", "memory"]
"""How well a fact is known: the article was read, a secondary source, from memory."""

Days = Annotated[int, Field(ge=1)]


class EvidenceKind(Frozen):
    """One kind of evidence in the organisational register; it counts for ``valid_days``."""

    label: Words
    group: Literal["technical", "process", "people", "posture"]
    valid_days: Days
    days_kind: Kind = "P"
    file: bool


class Declaration(Frozen):
    """Something only the owner knows, declared as a number that holds for ``valid_days``."""

    label: Words
    unit: Literal["yes_no", "people", "days", "places", "hours", "rows", "years", "count"]
    valid_days: Days


class KeepYears(Frozen):
    """How long evidence itself is kept."""

    number: Annotated[int, Field(ge=0)]
    kind: Kind
    basis: str
    confidence: Confidence


class Tier(Frozen):
    """One line of size: it holds for people counts that pass all of its bounds."""

    name: str
    label: Words
    below: int | None = None
    at_least: int | None = None
    more_than: int | None = None
    cites: tuple[str, ...]
    kind: Kind
    confidence: Confidence
    from_: Annotated[date, Field(alias="from")]
    duty: Words

    @model_validator(mode="after")
    def _has_a_bound(self) -> Tier:
        if self.below is self.at_least is self.more_than is None:
            raise ValueError("a tier needs below, at_least or more_than")
        return self

    def holds(self, people: int, day: date) -> bool:
        """Say whether the line applies to ``people`` on ``day``."""
        return (
            day >= self.from_
            and (self.below is None or people < self.below)
            and (self.at_least is None or people >= self.at_least)
            and (self.more_than is None or people > self.more_than)
        )


class Organisation(Frozen):
    """All of ``organisation.yaml``."""

    keep_years: KeepYears
    remind_days: Days
    finding_days: Days
    duties: dict[str, Words]
    kinds: dict[str, EvidenceKind]
    declarations: dict[str, Declaration]
    tiers: tuple[Tier, ...]

    @model_validator(mode="after")
    def _names_are_apart(self) -> Organisation:
        both = self.kinds.keys() & self.declarations.keys()
        if both:
            raise ValueError(f"both evidence and declaration: {min(both)}")
        return self

    def label(self, name: str, lang: str) -> str:
        """Return what a kind or a declaration is called."""
        found = self.kinds.get(name) or self.declarations[name]
        return found.label.say(lang)


def load_organisation(folder: Path) -> Organisation:
    """Read ``organisation.yaml`` in the policy folder. Raises ``PolicyError`` with the place."""
    path = folder / "organisation.yaml"
    return checked(Organisation, read_yaml(path), path.name, "-")
