"""What is known about a sample because it was made that way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["BenchFacts", "FileFacts", "OwnerFacts", "SampleFacts"]


@dataclass(frozen=True)
class FileFacts:
    """One file. ``rows``: dataset → rows in it, bad and repeated ones included, totals rows not.

    ``expected``: rule → rows that break it (each bad row breaks one rule); rules of ``validate``
    carry their dataset's name, as in its suites. ``duplicates``: further identical copies of
    parcel rows. ``expired``: parcel rows older than policy keeps.
    """

    path: str
    station: str
    rows: Mapping[str, int]
    expected: Mapping[str, int]
    duplicates: int = 0
    expired: int = 0


@dataclass(frozen=True)
class OwnerFacts:
    """What one owner has after the chain: distinct parcels, those in custody, distinct people.

    ``people`` have a whole mobile number; ``preferences`` of them have some on record.
    """

    parcels: int
    in_custody: int
    people: int
    preferences: int


@dataclass(frozen=True)
class SampleFacts:
    """A whole sample. ``owners``: controller code → facts; ``shared``: people whom both have."""

    business_date: str
    seed: int
    files: tuple[FileFacts, ...]
    owners: Mapping[str, OwnerFacts]
    shared: int

    @property
    def expected(self) -> dict[str, int]:
        """Rule → rows, over all files."""
        rules = sorted({rule for file in self.files for rule in file.expected})
        return {rule: sum(file.expected.get(rule, 0) for file in self.files) for rule in rules}

    @property
    def rows(self) -> int:
        """All rows of all datasets."""
        return sum(sum(file.rows.values()) for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        return {**asdict(self), "files": [asdict(file) for file in self.files]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SampleFacts:
        """Rebuild from ``as_dict``."""
        files = tuple(FileFacts(**file) for file in data["files"])
        owners = {code: OwnerFacts(**owner) for code, owner in data["owners"].items()}
        return cls(**{**data, "files": files, "owners": owners})


@dataclass(frozen=True)
class BenchFacts:
    """The landing folder of a benchmark.

    ``files`` are relative paths in order; ``parcels`` counts all rows and ``bad`` those of them
    that break a rule of ``expected``; waybill numbers are distinct in all rows.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...]
    parcels: int
    people: int
    in_custody: int
    expected: Mapping[str, int]

    @property
    def bad(self) -> int:
        """Rows that break a rule."""
        return sum(self.expected.values())

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        return {**asdict(self), "files": list(self.files), "columns": list(self.columns)}
