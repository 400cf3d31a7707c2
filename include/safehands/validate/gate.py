"""The gate, per file: one with too many rows that break a critical rule stays outside as a whole.

Bad rows of a file that passes are quarantined one by one; a file that doesn't pass is probably not
what it seems (columns shifted, wrong dates, another system's export), so nothing of it is kept and
its owner is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from safehands.datasets import Problem, SourceFile
from safehands.errors import QualityGateClosed
from safehands.validate.masks import Bools, Ints
from safehands.validate.quality import Findings
from safehands.validate.suites import Gate

__all__ = ["Judged", "closed_files", "first_reasons"]


@dataclass(frozen=True)
class Judged:
    """One dataset with what its rules found. ``files`` numbers each row's file; ``reasons`` holds
    per row the place in the suite of the rule it is quarantined under, -1 for none."""

    dataset: str
    findings: Findings
    files: Ints
    reasons: Ints


@dataclass(frozen=True)
class _Worst:
    """The rule that speaks most against a file."""

    dataset: str
    rule: str
    bad: int
    rows: int

    @property
    def share(self) -> float:
        return self.bad / self.rows


def first_reasons(findings: Findings, rows: int) -> Ints:
    """Return per row the place of the first quarantining rule it breaks, or -1."""
    reasons = np.full(rows, -1, dtype=np.int16)
    for place, rule in enumerate(findings.suite.expectations):
        if rule.meta.quarantine:
            reasons[(reasons < 0) & findings.bad[rule.id]] = place
    return reasons


def closed_files(judged: Sequence[Judged], files: Sequence[SourceFile]) -> dict[int, Problem]:
    """Return file number → problem of each file that stays outside.

    The share is of the file's rows in the dataset concerned. A file of which no row at all would
    be left stays outside too, however small it is.
    """
    closed = _over_the_limit(judged, len(files))
    for at in _nothing_left(judged, len(files)) - closed.keys():
        closed[at] = max((w for j in judged for w in _counts(j, at)), key=lambda w: w.bad)
    return {at: _problem(files[at], closed[at]) for at in sorted(closed)}


def _over_the_limit(judged: Sequence[Judged], files: int) -> dict[int, _Worst]:
    closed: dict[int, _Worst] = {}
    for each in judged:
        rows = np.bincount(each.files, minlength=files)
        for rule, bad in _critical(each).items():
            counts = np.bincount(each.files[bad], minlength=files)
            for at in np.flatnonzero(counts):
                worst = _Worst(each.dataset, rule, int(counts[at]), int(rows[at]))
                if _gate(each).closed(worst.bad, worst.rows):
                    closed[int(at)] = max(closed.get(int(at), worst), worst, key=_share)
    return closed


def _nothing_left(judged: Sequence[Judged], files: int) -> set[int]:
    rows, kept = np.zeros(files, dtype=int), np.zeros(files, dtype=int)
    for each in judged:
        rows += np.bincount(each.files, minlength=files)
        kept += np.bincount(each.files[each.reasons < 0], minlength=files)
    return {int(at) for at in np.flatnonzero((rows > 0) & (kept == 0))}


def _counts(each: Judged, at: int) -> list[_Worst]:
    mine = each.files == at
    rows = int(mine.sum())
    places = np.bincount(each.reasons[mine & (each.reasons >= 0)].astype(int))
    rules = each.findings.suite.expectations
    return [
        _Worst(each.dataset, rules[place].id, int(places[place]), rows)
        for place in np.flatnonzero(places)
    ]


def _critical(each: Judged) -> Mapping[str, Bools]:
    rules = each.findings.suite.expectations
    found = {r.id: each.findings.bad[r.id] for r in rules if r.severity == "critical"}
    return {rule: bad for rule, bad in found.items() if bad.any()}


def _gate(each: Judged) -> Gate:
    return each.findings.suite.meta.gate


def _share(worst: _Worst) -> float:
    return worst.share


def _problem(file: SourceFile, worst: _Worst) -> Problem:
    params: dict[str, str | int | float] = {
        "file": file.label,
        "station": file.station,
        "dataset": worst.dataset,
        "rule": worst.rule,
        "bad": worst.bad,
        "rows": worst.rows,
        "share": round(worst.share, 3),
    }
    return Problem("validate.gate_closed", params, QualityGateClosed.exit_code)
