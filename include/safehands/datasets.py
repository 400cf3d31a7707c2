"""The shapes that travel: canonical tables between steps, and the small record between tasks.

A canonical table is an Arrow table whose columns are the field names of policy plus three
reference columns (``_file`` int32 index into the record's files, ``_sheet`` string, ``_row``
int32, the 1-based row a person sees). Between tasks travels only a ``Handoff``: ids, digests and
counts, never rows and never values.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = [
    "MINOR",
    "REFERENCE",
    "Artifact",
    "Handoff",
    "Outcome",
    "Part",
    "Problem",
    "Shard",
    "SourceFile",
    "Window",
    "loaded_whole",
    "names_a_person",
    "safe_name",
]

REFERENCE = ("_file", "_sheet", "_row")

MINOR = "minor_without_guardian"
"""The rule under which rows of children under fourteen wait (PIPL 31)."""

_DIGITS = re.compile(r"\d{7,}")
_DATE = re.compile(r"20\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])(\d{4}|\d{6})?")
_PERSONAL = re.compile(r"(?<!\d)(1[3-9]\d{9}|\d{17}[\dXx])(?!\d)")


def safe_name(name: str) -> str:
    """Return a file name fit for a message: runs of seven digits or more are starred.

    Stations name exports after phones and ID numbers now and then. Dates, with or without a time
    of day, stay.
    """
    return _DIGITS.sub(lambda found: _starred(found.group()), name)


def _starred(digits: str) -> str:
    return digits if _DATE.fullmatch(digits) else "*" * len(digits)


def names_a_person(name: str) -> bool:
    """Say whether a file name holds a mobile number or a resident ID number."""
    return _PERSONAL.search(name) is not None


@dataclass(frozen=True)
class Part:
    """A range of the rows of one big text file: whole records from byte ``start`` to ``end``.

    ``number`` counts from 1 to ``of``; ``row`` is the number of its first record, ``digest`` the
    SHA-256 of its bytes.
    """

    number: int
    of: int
    start: int
    end: int
    row: int
    digest: str


@dataclass(frozen=True)
class Window:
    """What is new in a database ``source``: above ``low`` (empty: all) up to and with ``high``.

    Both are values of the declared watermark, a time (ISO 8601) or a whole number, as text.
    """

    source: str
    low: str
    high: str


@dataclass(frozen=True)
class SourceFile:
    """One export in the landing folder. ``path`` is relative to it, with ``/``.

    ``part``: only these rows of it; ``size`` and ``digest`` are those of the whole file.
    ``window``: no file, but rows of a database; ``digest`` then names source and window.
    """

    station: str
    path: str
    size: int
    digest: str
    part: Part | None = None
    window: Window | None = None

    @property
    def label(self) -> str:
        """The name as it may be shown."""
        return safe_name(self.path)

    @property
    def identity(self) -> str:
        """What a batch is keyed by: the content's digest, or the path's where nothing was read."""
        whole = self.digest or "path:" + hashlib.sha256(self.path.encode()).hexdigest()
        return f"{whole}#{self.part.number}/{self.part.of}" if self.part else whole

    @property
    def weight(self) -> int:
        """How many bytes of it are to be read."""
        return self.part.end - self.part.start if self.part else self.size

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SourceFile:
        """Rebuild from ``dataclasses.asdict``."""
        part, window = data.get("part"), data.get("window")
        made = {"part": Part(**part) if part else None}
        return cls(**{**data, **made, "window": Window(**window) if window else None})


def loaded_whole(batches: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return station and digest of the files all of whose parts are among ``batches``.

    ``batches`` holds stations and identities (see ``SourceFile.identity``); files that were not
    cut are in the answer as they are.
    """
    whole, parts = set(), Counter[tuple[str, str, str]]()
    for station, identity in batches:
        digest, cut, place = identity.rpartition("#")
        if cut:
            parts[station, digest, place.rpartition("/")[2]] += 1
        else:
            whole.add((station, identity))
    return whole | {(s, d) for (s, d, of), count in parts.items() if count == int(of)}


@dataclass(frozen=True)
class Shard:
    """A size-balanced set of source files of one controller: the unit of fan-out."""

    key: str
    controller: str
    files: tuple[SourceFile, ...]

    @property
    def label(self) -> str:
        """What a person reads in Airflow's grid: the shard and its stations."""
        stations = sorted({f.station for f in self.files})
        shown = ", ".join(stations[:3]) + ("" if len(stations) < 4 else f" +{len(stations) - 3}")
        return f"{self.key}: {shown}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shard:
        """Rebuild from ``dataclasses.asdict``."""
        files = tuple(SourceFile.from_dict(f) for f in data["files"])
        return cls(data["key"], data["controller"], files)


@dataclass(frozen=True)
class Problem:
    """Why a file was set aside: a message key with safe parameters, and the exit code."""

    key: str
    params: Mapping[str, str | int | float]
    exit_code: int


@dataclass(frozen=True)
class Artifact:
    """An encrypted Parquet file between two steps; ``digest``: SHA-256 hex of the ciphertext."""

    path: str
    digest: str
    rows: int


@dataclass(frozen=True)
class Handoff:
    """What one step tells the next about one shard. ``seconds`` is the step's own duration.

    ``counts`` holds ``in``, ``out`` and further whole numbers; ``reasons`` counts rows set aside
    by rule; ``problems`` maps a file's path to why it was set aside; ``history`` holds the
    handoffs of earlier steps, newest last, so that the commit can record the whole chain.
    """

    run: str
    step: str
    shard: Shard
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    history: tuple[Mapping[str, Any], ...] = ()

    def then(self, step: str, **changes: Any) -> Handoff:
        """Return the record of the next step, with this one put into ``history``."""
        fresh = {"counts": {}, "reasons": {}, "seconds": 0.0, **changes}
        return replace(self, step=step, history=(*self.history, self.summary()), **fresh)

    def timed(self, seconds: float) -> Handoff:
        """Return the record with the step's duration filled in."""
        return replace(self, seconds=seconds)

    def summary(self) -> dict[str, Any]:
        """Return step, counts, reasons and seconds: what is shown and what the ledger records."""
        return {
            "step": self.step,
            "counts": dict(self.counts),
            "reasons": dict(self.reasons),
            "seconds": round(self.seconds, 3),
        }

    def steps(self) -> list[dict[str, Any]]:
        """Return the summaries of the chain so far, this step last."""
        return [*map(dict, self.history), self.summary()]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data (what Airflow puts into XCom)."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Handoff:
        """Rebuild from ``as_dict``."""
        return cls(
            **{
                **data,
                "shard": Shard.from_dict(data["shard"]),
                "artifacts": {k: Artifact(**v) for k, v in data["artifacts"].items()},
                "problems": {k: Problem(**v) for k, v in data["problems"].items()},
                "history": tuple(data["history"]),
            }
        )


@dataclass(frozen=True)
class Outcome:
    """What a step that works on the whole store did: counts, details and whether it was new.

    ``already`` is true when the same effect had happened before and nothing was done now.
    """

    run: str
    step: str
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    already: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """Rebuild from ``as_dict``."""
        return cls(**data)
