"""Impact assessments of personal information protection (个人信息保护影响评估, PIPL 55 and 56)."""

from __future__ import annotations

from safehands.pipia.questions import OccasionName, Questions, load_questions
from safehands.pipia.records import Case, Opened, answer, cases, find, look, refill, start
from safehands.pipia.signing import Current, check, current, precedes, sign

__all__ = [
    "Case",
    "Current",
    "OccasionName",
    "Opened",
    "Questions",
    "answer",
    "cases",
    "check",
    "current",
    "find",
    "load_questions",
    "look",
    "precedes",
    "refill",
    "sign",
    "start",
]
