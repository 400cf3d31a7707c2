"""The rule book: load it, choose the edition in force, check it against live evidence."""

from __future__ import annotations

from safehands.rulebook.check import check, judge_all
from safehands.rulebook.facts import Books, gather, open_books
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.judge import (
    OUTCOMES,
    Evidence,
    Facts,
    Measured,
    Occasion,
    Outcome,
    RuleResult,
    judge,
)
from safehands.rulebook.load import load_rulebook
from safehands.rulebook.matrix import Matrices, load_matrices
from safehands.rulebook.model import Rule, RuleBook, RuleInForce
from safehands.rulebook.words import (
    citation,
    cite,
    condition_words,
    duty_words,
    kind_words,
    number_words,
    whom,
)

__all__ = [
    "OUTCOMES",
    "Books",
    "Evidence",
    "Facts",
    "Matrices",
    "Measured",
    "Occasion",
    "Outcome",
    "Rule",
    "RuleBook",
    "RuleInForce",
    "RuleResult",
    "check",
    "citation",
    "cite",
    "condition_words",
    "duty_words",
    "gather",
    "judge",
    "judge_all",
    "kind_words",
    "load_matrices",
    "load_rulebook",
    "number_words",
    "open_books",
    "record_figure",
    "whom",
]
