"""One dataset against its suite: both readings compared, then counts per station."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from safehands.errors import StepFailed
from safehands.validate.masks import (
    ROW_COUNT,
    Bools,
    Ints,
    bad_rows,
    considered_rows,
)
from safehands.validate.shapes import SHAPED, shapes
from safehands.validate.suites import Rule, Suite
from safehands.validate.verdicts import Verdict, judge

__all__ = ["Findings", "examine"]


@dataclass(frozen=True)
class Findings:
    """What the rules say of one table: per rule the bad rows, counts per station, verdicts."""

    suite: Suite
    bad: dict[str, Bools]
    quality: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]


def examine(suite: Suite, frame: pa.Table, stations: Ints, names: Sequence[str]) -> Findings:
    """Judge ``frame`` by the resolved ``suite``.

    ``stations`` numbers each row's station in ``names``. Stations without a row are not counted,
    unless no station has one: then the row-count rule fails for all of them.
    Raises ``StepFailed`` (``validate.disagree``) when Great Expectations and our masks differ in
    the rows they looked at or in the bad ones.
    """
    verdicts = judge(suite, frame)
    places = _Places(stations, names)
    bad: dict[str, Bools] = {}
    quality: list[dict[str, Any]] = []
    for rule in suite.expectations:
        bad[rule.id] = bad_rows(rule.type, frame, rule.kwargs)
        looked = considered_rows(rule.type, frame, rule.kwargs)
        _agree(rule, verdicts[rule.id], frame.num_rows, bad[rule.id], looked)
        counts = places.count(suite, rule, bad[rule.id], looked)
        if rule.type in SHAPED and bad[rule.id].any():
            places.add_shapes(counts, frame[rule.kwargs["column"]], bad[rule.id])
        quality += counts
    return Findings(
        suite, bad, quality, [_record(suite, r, verdicts[r.id]) for r in suite.expectations]
    )


def _agree(rule: Rule, verdict: Verdict, rows: int, bad: Bools, looked: Bools | None) -> None:
    if rule.type == ROW_COUNT:
        same = verdict.failed == int(rows < rule.kwargs["min_value"])
    else:
        evaluated = rows if looked is None else int(looked.sum())
        same = (verdict.evaluated, verdict.failed) == (evaluated, int(bad.sum()))
    if not same:
        raise StepFailed("validate.disagree", rule=rule.id)


def _record(suite: Suite, rule: Rule, verdict: Verdict) -> dict[str, Any]:
    return {
        **_names(suite, rule),
        "evaluated": verdict.evaluated,
        "failed": verdict.failed,
        "passed": verdict.passed,
    }


def _names(suite: Suite, rule: Rule) -> dict[str, Any]:
    return {
        "dataset": suite.meta.dataset,
        "suite": suite.name,
        "rule": rule.id,
        "dimension": rule.meta.dimension,
        "severity": rule.severity,
    }


class _Places:
    """Counts per station of one table."""

    def __init__(self, stations: Ints, names: Sequence[str]) -> None:
        self.stations, self.names = stations, names
        self.rows = self._per_station(None)
        self.shown = np.flatnonzero(self.rows) if len(stations) else np.arange(len(names))

    def count(
        self, suite: Suite, rule: Rule, bad: Bools, looked: Bools | None
    ) -> list[dict[str, Any]]:
        if rule.type == ROW_COUNT:
            evaluated = np.ones(len(self.names), dtype=int)
            failed = (self.rows < rule.kwargs["min_value"]).astype(int)
        else:
            evaluated = self.rows if looked is None else self._per_station(looked)
            failed = self._per_station(bad) if bad.any() else np.zeros(len(self.names), dtype=int)
        same = _names(suite, rule)
        return [
            {
                "station": self.names[at],
                **same,
                "evaluated": int(evaluated[at]),
                "failed": int(failed[at]),
            }
            for at in self.shown.tolist()
        ]

    def add_shapes(self, counts: list[dict[str, Any]], cells: pa.ChunkedArray, bad: Bools) -> None:
        """Add to each station's counts what its bad cells look like."""
        rows = np.flatnonzero(bad)
        rows = rows[np.argsort(self.stations[rows], kind="stable")]
        which = self.stations[rows]
        broken = cells.take(pa.array(rows))
        for at, entry in zip(self.shown.tolist(), counts, strict=True):
            if entry["failed"]:
                first, end = np.searchsorted(which, [at, at + 1])
                entry["patterns"] = shapes(broken.slice(first, end - first))

    def _per_station(self, mask: Bools | None) -> Ints:
        chosen = self.stations if mask is None else self.stations[mask]
        return np.bincount(chosen, minlength=len(self.names))
