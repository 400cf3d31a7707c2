"""What a restore did, as a small record of names, digests and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Restored"]


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    ``generation`` was restored; ``newest`` said who is gone by now. ``created_at`` is the moment
    that was restored (ISO 8601). ``tables`` maps a table to its rows as loaded and read back,
    ``left_out`` to rows of people who are gone, ``cut`` to rows that lost their link to one.
    ``living`` are people
    in the newest key segment, ``restricted`` those who were restricted again. ``parts`` were
    compared by digest; ``ledger_size`` entries' tree was recomputed. ``already``:
    this very restore had been done before, and nothing was done now.
    """

    generation: str
    generation_digest: str
    newest: str
    newest_digest: str
    business_date: str
    created_at: str
    revision: str
    tables: Mapping[str, int]
    left_out: Mapping[str, int]
    cut: Mapping[str, int]
    parts: int
    bytes: int
    living: int
    restricted: int
    tombstones: int
    ledger_size: int
    already: bool = False

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(self.tables.values())

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """Return what the ledger records."""
        kept = self.as_dict()
        for name in ("already", "tables"):
            del kept[name]
        return {**kept, "rows": self.rows}
