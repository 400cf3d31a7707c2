"""The three threats of GB/T 42460-2023 annex D, as a judgement with a name and a day.

``include/policy/threats.yaml`` as a frozen model. The standard gives no probabilities: they are
what a named person judged, and count as 1, the worst, until somebody has.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeGuard

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from safehands.errors import PolicyError

__all__ = ["FILE", "Judged", "Threats", "load_threats"]

FILE = "threats.yaml"

Probability = Annotated[float, Field(ge=0, le=1)]
NAMES = ("deliberate", "inadvertent", "breach")


class Probabilities(TypedDict):
    """T1, T2 and T3."""

    deliberate: float
    inadvertent: float
    breach: float


class Judged(BaseModel):
    """Probabilities of the three threats, and who judged them when; all 1 is nobody's judgement."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deliberate: Probability = 1.0
    inadvertent: Probability = 1.0
    breach: Probability = 1.0
    assessor: str = ""
    judged: date | None = None

    @field_serializer(*NAMES, when_used="json")
    def _as_text(self, value: float) -> str:
        """Write decimals as text: what is digested has no binary fractions."""
        return f"{value:g}"

    @model_validator(mode="after")
    def _named(self) -> Judged:
        if (self.assessor.strip() == "") != (self.judged is None):
            raise ValueError("a judgement has both its assessor and its day")
        if not self.assessor and min(self.deliberate, self.inadvertent, self.breach) < 1:
            raise ValueError("a probability below 1 needs the name of who judged it, and the day")
        return self

    def probabilities(self) -> Probabilities:
        """Return the three by name, as ``assess_level`` takes them."""
        return {
            "deliberate": self.deliberate,
            "inadvertent": self.inadvertent,
            "breach": self.breach,
        }


class Threats(Judged):
    """All of ``threats.yaml``; ``review_days``: how long a judgement counts."""

    review_days: Annotated[int, Field(ge=1, le=3650)]

    def at(self, day: date, instead: Judged | None = None) -> Judged:
        """Return the judgement that counts on ``day``, or the worst where none does.

        ``instead`` is what was judged for one agreement; it goes before the general judgement.
        """
        general = Judged(**self.model_dump(exclude={"review_days"}))
        return next((one for one in (instead, general) if self._counts(one, day)), Judged())

    def _counts(self, found: Judged | None, day: date) -> TypeGuard[Judged]:
        if found is None or found.judged is None:
            return False
        return found.judged <= day <= found.judged + timedelta(days=self.review_days)


def load_threats(folder: Path) -> Threats:
    """Read the file in ``folder``. Raises ``PolicyError`` naming the entry that is wrong."""
    try:
        loaded: Any = yaml.load(
            (folder / FILE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=FILE) from None
    if not isinstance(loaded, dict):
        raise PolicyError("policy.unreadable", file=FILE)
    known = {name: value for name, value in loaded.items() if name != "version"}
    try:
        return Threats.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "-"
        raise PolicyError(
            "organisation.invalid", file=FILE, block="threats", where=where, why=first["msg"]
        ) from None
