"""Rows in quarantine that show one person's number: opened in memory, compared as tokens.

A row waits sealed under its station's key of that day and is found by nothing but its content, so
all of an owner's rows are opened, one after the other, and what they say is forgotten again but for
the rows that match. A row that shows another full name under the same number may be somebody
else's (a shared or re-issued number): it is found, and it is not handed out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from safehands.daykeys import box_to_open
from safehands.keys import KeyProvider, KeyRing

__all__ = ["Found", "WaitingRow", "find_waiting"]

_NUMBER = re.compile(r"(?<!\d)(?:\+?86[\s-]?)?(1[3-9]\d)[\s-]?(\d{4})[\s-]?(\d{4})(?!\d)")
_NAME = "receiver_name"
_BLOCK = 5_000


@dataclass(frozen=True)
class WaitingRow:
    """One row. ``cells`` for whoever may see them; ``repr`` shows none.

    ``shows``: which of the tombstone tokens that were looked for it shows.
    """

    id: int
    station: str
    day: date
    rule: str
    cells: dict[str, str] = field(repr=False)
    shows: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def name(self) -> str:
        """The receiver's name it shows, empty for none."""
        return self.cells.get(_NAME, "")


@dataclass(frozen=True)
class Found:
    """``rows`` show the number; ``opened`` rows were looked at.

    ``silent`` rows show no whole number, so that they may be about anybody; ``oldest``: of them.
    Rows whose day key was destroyed can be read by nobody and are not counted.
    """

    rows: tuple[WaitingRow, ...]
    opened: int
    silent: int
    oldest: date | None


def find_waiting(
    connection: Connection,
    provider: KeyProvider,
    ring: KeyRing,
    tokens: Collection[bytes],
) -> Found:
    """Return the rows that show a number with one of these tombstone tokens (16 bytes).

    The transaction is bound to the owner, as the officer. Raises ``KeyProblem`` for a row that
    was changed.
    """
    wanted, rows = frozenset(tokens), list[WaitingRow]()
    opened, silent, oldest = 0, 0, None
    for part in _opened(connection, provider):
        numbers = [_numbers(row.cells) for row in part]
        distinct = sorted({number for found in numbers for number in found})
        known = dict(zip(distinct, ring.tombstones("mobile", distinct).tolist(), strict=True))
        for row, found in zip(part, numbers, strict=True):
            opened += 1
            if not found:
                silent += 1
                oldest = min(oldest or row.day, row.day)
            elif shows := wanted & {known[number] for number in found}:
                rows.append(replace(row, shows=shows))
    return Found(tuple(rows), opened, silent, oldest)


def _opened(connection: Connection, provider: KeyProvider) -> Iterator[list[WaitingRow]]:
    result = connection.execute(text(_ROWS).execution_options(yield_per=_BLOCK))
    for block in result.partitions(_BLOCK):
        for (station, day, rule), group in groupby(block, key=lambda row: tuple(row[1:4])):
            box = box_to_open(provider, rule, station, day.isoformat())
            sealed = list(group)
            if box is not None:
                plain = box.unseal([row.sealed for row in sealed])
                yield [
                    WaitingRow(row.id, station, day, rule, _cells(cells))
                    for row, cells in zip(sealed, plain, strict=True)
                ]


def _cells(plain: bytes) -> dict[str, str]:
    loaded: dict[str, Any] = json.loads(plain)
    return {name: str(value) for name, value in loaded.items() if value is not None}


def _numbers(cells: dict[str, str]) -> set[str]:
    plain = (unicodedata.normalize("NFKC", cell) for cell in cells.values())
    return {"".join(found) for cell in plain for found in _NUMBER.findall(cell)}


_ROWS = (
    "SELECT q.id, s.code, q.day, q.rule, q.sealed FROM quarantine q"
    " JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    " ORDER BY s.code, q.day, q.rule, q.id"
)
