"""What one check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from safehands.messages import say

__all__ = ["Finding", "State", "worst"]

State = Literal["ok", "warn", "bad"]

_ORDER: tuple[State, ...] = ("ok", "warn", "bad")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: ``check`` and ``key`` name its sentences in the catalogue.

    ``doctor.<check>`` is the check's name, ``doctor.<check>.<key>`` what was found and, unless it
    is ``ok``, what to do. ``params`` are paths, versions, counts and days.
    """

    check: str
    state: State
    key: str
    params: dict[str, str | int] = field(default_factory=dict)

    def say(self, lang: str) -> str:
        """Return what was found and what to do, in ``lang``."""
        return say(f"doctor.{self.check}.{self.key}", lang, **self.params)

    def as_json(self, lang: str) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {
            "check": self.check,
            "state": self.state,
            "key": self.key,
            "params": self.params,
            "text": self.say(lang),
        }


def worst(findings: Iterable[Finding]) -> State:
    """Return the gravest state among ``findings``; ``ok`` for none."""
    return max((one.state for one in findings), key=_ORDER.index, default="ok")
