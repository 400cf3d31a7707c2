"""The step ``validate`` of one shard: artifacts in, artifacts of believable rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from safehands.artifacts import read_artifact, write_artifact
from safehands.datasets import Artifact, Handoff, Problem, Shard
from safehands.night import Night
from safehands.validate.frames import frame_of, people_of
from safehands.validate.gate import Judged, closed_files, first_reasons
from safehands.validate.masks import Bools, Ints
from safehands.validate.parameters import parameters_of
from safehands.validate.quality import Findings, examine
from safehands.validate.quarantine import quarantined
from safehands.validate.suites import Suite, load_suite

__all__ = ["validate"]

DATASETS = ("parcels", "customers", "preferences")


def validate(handoff: Handoff, night: Night) -> Handoff:
    """Judge the canonical tables of one shard by the suites in ``expectations/``.

    Rows that break a quarantining rule move to the quarantine artifact, each once, under the first
    rule in the order of the suite. Files with too many such rows are set aside as a whole: they
    appear in ``problems`` and nothing of them is handed on, their rows quarantined by ingest
    included, so that the corrected file or the next night starts clean.

    ``counts``: ``in``, ``out``, ``quarantined``, ``set_aside`` rows of the canonical tables, with
    in = out + quarantined + set_aside; and ``withdrawn``, earlier quarantine rows of files set
    aside. ``reasons``: rule → rows quarantined here. ``details["quality"]`` counts per station,
    dataset and rule, over everything that came in; people that the parcels speak of are counted as
    dataset ``customers`` too. ``details["verdicts"]`` holds Great Expectations' verdict per rule.

    Raises ``PolicyError`` for a suite that can't be used, ``StepFailed`` when Great Expectations
    and the masks disagree. It doesn't promise that what passes is true, only that it is possible.
    """
    bench = _Bench(night, handoff.shard)
    tables = {name: read_artifact(handoff.artifacts[name], night.key) for name in _present(handoff)}
    judged = {name: bench.judge(name, table) for name, table in tables.items()}
    problems = _closed(handoff, list(judged.values()))
    outcome = _Outcome(handoff, night, _closed_mask(problems, len(handoff.shard.files)))
    for name, table in tables.items():
        outcome.sort_out(name, table, judged[name], bench.suites[name])
    outcome.finish_quarantine()
    return handoff.then(
        "validate",
        artifacts=outcome.artifacts,
        counts=dict(outcome.counts),
        reasons=dict(outcome.reasons),
        problems={**handoff.problems, **_by_path(problems, handoff.shard)},
        details=_details(handoff.details, bench),
    )


def _closed(handoff: Handoff, judged: list[Judged]) -> dict[int, Problem]:
    # Rows that come back from quarantine are judged one by one: their file has passed the gate.
    if "waiting" in handoff.details:
        return {}
    return closed_files(judged, handoff.shard.files)


def _present(handoff: Handoff) -> list[str]:
    return [name for name in DATASETS if name in handoff.artifacts]


class _Bench:
    """The night's suites over one shard's tables, with the counts they gather."""

    def __init__(self, night: Night, shard: Shard) -> None:
        self.folder = night.settings.expectations
        self.parameters = parameters_of(night)
        self.names = sorted({file.station for file in shard.files})
        self.station_of = np.array(
            [self.names.index(f.station) for f in shard.files], dtype=np.int64
        )
        self.suites: dict[str, Suite] = {}
        self.quality: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []

    def judge(self, name: str, table: pa.Table) -> Judged:
        files = table["_file"].to_numpy()
        stations = self.station_of[files]
        findings = self._examine(name, table, stations)
        if name == "parcels":
            self._examine_people(table, stations)
        return Judged(name, findings, files, first_reasons(findings, table.num_rows))

    def _examine_people(self, table: pa.Table, stations: Ints) -> None:
        people, places = people_of(table, stations)
        if people.num_rows:
            self._examine("customers", people, places, source="parcels")

    def _examine(self, name: str, table: pa.Table, stations: Ints, source: str = "") -> Findings:
        latest: datetime = self.parameters["latest"]
        bound = pa.scalar(latest, pa.timestamp("us", "UTC"))
        frame = frame_of(name, table, stations, bound)
        findings = examine(self._suite(name), frame, stations, self.names)
        self.quality += findings.quality
        self.verdicts += [{**each, "source": source or name} for each in findings.verdicts]
        return findings

    def _suite(self, name: str) -> Suite:
        if name not in self.suites:
            self.suites[name] = load_suite(self.folder, name).resolve(self.parameters)
        return self.suites[name]


@dataclass
class _Outcome:
    """What leaves the step: artifacts and counts, filled dataset by dataset."""

    handoff: Handoff
    night: Night
    closed: Bools

    def __post_init__(self) -> None:
        self.artifacts: dict[str, Artifact] = dict(self.handoff.artifacts)
        names = ("in", "out", "quarantined", "set_aside", "withdrawn")
        self.counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        self.reasons: Counter[str] = Counter()
        self.bad: list[pa.Table] = []

    def sort_out(self, name: str, table: pa.Table, judged: Judged, suite: Suite) -> None:
        outside = self.closed[judged.files]
        reasons = np.where(outside, -1, judged.reasons)
        keep = ~outside & (reasons < 0)
        self._count(table.num_rows, int(keep.sum()), int(outside.sum()))
        for place, rows in zip(*np.unique(reasons[reasons >= 0], return_counts=True), strict=True):
            self.reasons[suite.expectations[place].id] += int(rows)
        if keep.all():
            return
        self.artifacts[name] = self._write(table.filter(pa.array(keep)), name)
        if (reasons >= 0).any():
            self.bad.append(quarantined(table, reasons, suite, self.night.policy))

    def finish_quarantine(self) -> None:
        earlier = self.artifacts.get("quarantine")
        stays = read_artifact(earlier, self.night.key) if earlier is not None else None
        if stays is not None:
            inside = ~self.closed[stays["_file"].to_numpy()]
            self.counts["withdrawn"] = int((~inside).sum())
            stays = stays.filter(pa.array(inside))
        if self.bad or self.counts["withdrawn"]:
            parts = [*([] if stays is None else [stays]), *self.bad]
            merged = pa.concat_tables(parts, promote_options="permissive")
            self.artifacts["quarantine"] = self._write(merged, "quarantine")

    def _write(self, table: pa.Table, name: str) -> Artifact:
        title = f"{self.handoff.shard.key}-validate-{name}"
        return write_artifact(table, self.night.work, title, self.night.key)

    def _count(self, rows: int, kept: int, outside: int) -> None:
        self.counts["in"] += rows
        self.counts["out"] += kept
        self.counts["set_aside"] += outside
        self.counts["quarantined"] += rows - kept - outside


def _closed_mask(problems: Mapping[int, Problem], files: int) -> Bools:
    closed = np.zeros(files, dtype=bool)
    closed[list(problems)] = True
    return closed


def _by_path(problems: Mapping[int, Problem], shard: Shard) -> dict[str, Problem]:
    return {shard.files[at].path: problem for at, problem in problems.items()}


def _details(earlier: Mapping[str, Any], bench: _Bench) -> dict[str, Any]:
    quality = _merged([*earlier.get("quality", []), *bench.quality])
    return {**earlier, "quality": quality, "verdicts": bench.verdicts}


def _merged(quality: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up entries of one station, dataset and rule: listed customers and the parcels' people."""
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in quality:
        key = (entry["station"], entry["dataset"], entry["rule"])
        known = merged.setdefault(
            key,
            {**entry, "evaluated": 0, "failed": 0}
            | ({"patterns": {}} if "patterns" in entry else {}),
        )
        known["evaluated"] += entry["evaluated"]
        known["failed"] += entry["failed"]
        if "patterns" in entry:
            known["patterns"] = _summed(known.get("patterns", {}), entry["patterns"])
    return list(merged.values())


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
