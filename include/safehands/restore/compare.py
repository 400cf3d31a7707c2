"""Whether the database holds what the repository gave: part by part, row for row, by digest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import Connection

from safehands.backup.parts import count, slice_of
from safehands.backup.reading import read_rows
from safehands.backup.tables import Table
from safehands.errors import BackupBroken
from safehands.restore.source import Source
from safehands.store import driver

__all__ = ["Expected"]


@dataclass
class Expected:
    """What was loaded: per table its parts, each with its rows and their keyed digest."""

    parts: dict[str, dict[str, tuple[int, str]]] = field(default_factory=lambda: defaultdict(dict))

    def rows(self, table: str) -> int:
        """Rows of one table."""
        return sum(rows for rows, _ in self.parts[table].values())

    def check(self, connection: Connection, source: Source, table: Table) -> int:
        """Read ``table`` back and compare; return its parts.

        Raises ``BackupBroken`` when a part or the table as a whole differs.
        """
        raw = driver(connection)
        for part, wanted in self.parts[table.name].items():
            found = read_rows(raw, table, slice_of(table, part).where)
            if (found.num_rows, source.digest(found)) != wanted:
                raise BackupBroken("restore.differs", part=part)
        whole = count(raw, table)
        if whole != self.rows(table.name):
            wanted_rows = self.rows(table.name)
            raise BackupBroken("restore.counts", table=table.name, rows=whole, wanted=wanted_rows)
        return len(self.parts[table.name])
