"""Rows that waited in quarantine, read again under today's policy.

Their cells were kept under the names of their fields, so there is no header to find and nothing to
guess: each is converted and judged as it would be in the file it came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from safehands.datasets import Handoff, Shard, SourceFile
from safehands.ingest.find import RECIPIENT, Found
from safehands.ingest.ingest import FileReader, gathered
from safehands.ingest.tables import Batch, Line, Odd, Opened, RawTable
from safehands.night import Night

__all__ = ["Waiting", "replay"]


@dataclass(frozen=True)
class Waiting:
    """One quarantined row: its number in the store, where it stood, and its cells by field."""

    id: int
    file: int
    sheet: str
    row: int
    dataset: str
    cells: Mapping[str, str] = field(repr=False)


def replay(shard: Shard, night: Night, rows: Sequence[Waiting]) -> Handoff:
    """Convert ``rows`` again; ``Waiting.file`` is an index into ``shard.files``.

    Return what ``ingest`` returns, with ``details["waiting"]``: per row its id, file, sheet, row
    number and dataset, by which the step that writes finds out which rows wait no longer.
    """
    read = {}
    for index, file in enumerate(shard.files):
        mine = [row for row in rows if row.file == index]
        read[file.path] = _Replayed(file, index, night, mine).read()
    handoff = gathered(shard, night, read, {})
    places = [[row.id, row.file, row.sheet, row.row, row.dataset] for row in rows]
    return dataclasses.replace(handoff, details={**handoff.details, "waiting": places})


class _Replayed(FileReader):
    """Reads the waiting rows of one file."""

    def __init__(self, file: SourceFile, index: int, night: Night, rows: list[Waiting]) -> None:
        groups: dict[tuple[str, str], list[Waiting]] = {}
        for row in rows:
            groups.setdefault((row.sheet, row.dataset), []).append(row)
        self._waiting = [
            _Payloads(sheet, dataset, group) for (sheet, dataset), group in groups.items()
        ]
        super().__init__(file, index, night, Opened(self._waiting, encoding="utf-8"))

    def _tables(self) -> list[tuple[RawTable, Found]]:
        return [(table, self._found(table)) for table in self._waiting]

    def _found(self, table: _Payloads) -> Found:
        known = self._policy.datasets[table.dataset].fields
        kept = {
            n: (i,)
            for i, n in enumerate(table.names)
            if n in known and known[n].treatment != "drop"
        }
        whole = table.names.index(RECIPIENT) if RECIPIENT in table.names else None
        return Found(table.dataset, 0, len(table.names), kept, {}, {}, (), (), whole)


class _Payloads:
    """The waiting rows of one sheet as a raw table whose columns are fields."""

    def __init__(self, sheet: str, dataset: str, rows: list[Waiting]) -> None:
        self.sheet, self.dataset, self.rows = sheet, dataset, rows
        self.names = list(dict.fromkeys(name for row in rows for name in row.cells))
        self.head = [Line(0, tuple(self.names))]
        self.odd: list[Odd] = []
        self.info: dict[str, Any] = {}

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all rows at once: a quarantine is read in blocks by its caller."""
        del header, width
        columns = {
            i: pa.array([row.cells.get(self.names[i]) for row in self.rows], pa.string())
            for i in wanted
            if i < len(self.names)
        }
        yield Batch(columns, pa.array([row.row for row in self.rows], pa.int32()))
