"""What pages know besides evidence: policy, rule book, matrices, reasons of rules; read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safehands.backuppolicy import load_backup_policy
from safehands.organisation.catalogue import Organisation, load_organisation
from safehands.pipia.questions import Questions, load_questions
from safehands.policy import Policy, load_policy
from safehands.rights.book import RightsBook, load_rights_book
from safehands.rulebook.facts import Books as Duties
from safehands.rulebook.load import load_rulebook
from safehands.rulebook.matrix import ImpactMatrix, load_matrices
from safehands.rulebook.model import RuleBook
from safehands.settings import Settings

__all__ = ["Books", "open_books"]


@dataclass(frozen=True)
class Books:
    """``whys``: per quality rule what it is for, as ``{"zh": …, "en": …}``."""

    policy: Policy
    drill_days: int
    rulebook: RuleBook
    organisation: Organisation
    matrix: ImpactMatrix
    questions: Questions
    rights: RightsBook
    whys: Mapping[str, Mapping[str, str]]


def open_books(settings: Settings) -> Books:
    """Read everything. Raises ``PolicyError`` for a file that is not as it should be."""
    folder = settings.policy
    duties = Duties(load_rulebook(folder), load_organisation(folder), load_matrices(folder))
    return Books(
        policy=load_policy(folder, settings.mappings),
        drill_days=load_backup_policy(folder).drill.every_days,
        rulebook=duties.rules,
        organisation=duties.organisation,
        matrix=duties.matrices.impact_assessment,
        questions=load_questions(folder, duties),
        rights=load_rights_book(folder),
        whys=_whys(settings.expectations),
    )


def _whys(folder: Path) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(folder.glob("*.json")):
        suite: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for expectation in suite["expectations"]:
            found[expectation["meta"]["rule"]] = expectation["meta"]["why"]
    return found
