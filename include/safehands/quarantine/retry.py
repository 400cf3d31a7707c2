"""Try waiting rows again under today's policy: ingest's conversion, validate, minimise, load.

What passes is loaded and leaves quarantine in one transaction; what fails again stays, with the
reason it fails for now and the day it came. The transaction is given up when one of the rows has
left meanwhile, so that two tries side by side load nothing twice: waiting = loaded + staying.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Row, text

from safehands import guard, pipeline
from safehands import ingest as ingest_step
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.ingest import Waiting
from safehands.installation import Installation
from safehands.keys import DayBox
from safehands.quarantine.waiting import UNREADABLE
from safehands.store.effects import input_digest
from safehands.store.register import Owner, owners

__all__ = ["Retried", "retry"]

BLOCK = 20_000
"""Rows tried in one transaction, which bounds memory."""

Tell = Callable[[int, int], None]
"""Told ``(rows done, rows in all)`` as it goes on."""


@dataclass(frozen=True)
class Retried:
    """``waiting`` = ``loaded`` + ``stay``; ``loaded`` includes repeats of known parcels.

    ``unreadable`` rows were not tried: their cells could not be told apart. ``lost``: rows whose
    day key has been destroyed, so that nobody can open them.
    """

    waiting: int = 0
    loaded: int = 0
    stay: int = 0
    unreadable: int = 0
    lost: int = 0

    def __add__(self, other: Retried) -> Retried:
        """Return the sums."""
        return Retried(*(getattr(self, n) + getattr(other, n) for n in Retried.__match_args__))


def retry(
    inst: Installation,
    day: date,
    *,
    station: str | None = None,
    rule: str | None = None,
    tell: Tell = lambda *_: None,
) -> Retried:
    """Load what waits and passes now; ``station`` and ``rule`` narrow it down. Safe to repeat."""
    total = Retried()
    for owner in owners(inst.store).values():
        ids, unreadable = _ids(inst, owner, station, rule)
        total = replace(total, unreadable=total.unreadable + unreadable)
        for start in range(0, len(ids), BLOCK):
            total += _block(inst, day, owner, ids[start : start + BLOCK])
            tell(min(start + BLOCK, len(ids)), len(ids))
    return total


def _ids(
    inst: Installation, owner: Owner, station: str | None, rule: str | None
) -> tuple[list[int], int]:
    values = {"station": station, "rule": rule, "unreadable": list(UNREADABLE)}
    with inst.store.begin(controller=owner.id) as connection:
        rows = connection.execute(text(_IDS), values).all()
    return [row[0] for row in rows if not row[1]], sum(row[1] for row in rows)


def _block(inst: Installation, day: date, owner: Owner, ids: list[int]) -> Retried:
    rows, files, lost = _open(inst, owner, ids)
    if not rows:
        return Retried(lost, 0, lost, 0, lost)
    digest = input_digest([file.digest for file in files])
    head = pipeline.Head(f"retry-{day.isoformat()}-{digest[:12]}", day)
    shard = Shard(f"retry-{digest[:12]}", owner.code, files)
    try:
        handoff = _read(inst, head, shard, rows)
        for step in (pipeline.validate, pipeline.minimise, pipeline.pseudonymise):
            handoff = step(inst, head, handoff)
    finally:
        pipeline.close_night(inst, head)
    with inst.store.begin(controller=owner.id) as connection:
        values = {"ids": [row.id for row in rows]}
        stay = int(connection.execute(text(_LEFT), values).scalar_one())
    return Retried(len(rows) + lost, len(rows) - stay, stay + lost, 0, lost)


def _read(inst: Installation, head: pipeline.Head, shard: Shard, rows: list[Waiting]) -> Handoff:
    night = pipeline.night_of(inst, head)
    return guard.guarded("ingest", lambda: ingest_step.replay(shard, night, rows))


def _open(
    inst: Installation, owner: Owner, ids: list[int]
) -> tuple[list[Waiting], tuple[SourceFile, ...], int]:
    with inst.store.begin(controller=owner.id) as connection:
        found = connection.execute(text(_ROWS), {"ids": ids}).all()
        # Every try opens batches: with their number in it, a later try of the same rows is new.
        tries = connection.execute(text("SELECT coalesce(max(id), 0) FROM batch")).scalar_one()
    rows: list[Waiting] = []
    files: dict[int, SourceFile] = {}
    lost = 0
    for (batch, station, day), group in _grouped(found):
        box = DayBox(inst.store.provider, "quarantine", station, day.isoformat())
        if not inst.store.provider.has(box.key_id):
            lost += len(group)
            continue
        numbers = ",".join(str(row.id) for row in group)
        digest = "retry:" + input_digest(numbers, tries)
        files.setdefault(batch, SourceFile(station, f"quarantine/{batch}", 0, digest))
        place = list(files).index(batch)
        plain = box.unseal([row.sealed for row in group])
        rows += [
            Waiting(row.id, place, row.sheet, row.row_number, row.dataset, json.loads(cells))
            for row, cells in zip(group, plain, strict=True)
        ]
    return rows, tuple(files.values()), lost


def _grouped(found: Sequence[Row[Any]]) -> Iterator[tuple[tuple[int, str, date], list[Row[Any]]]]:
    groups: dict[tuple[int, str, date], list[Row[Any]]] = {}
    for row in found:
        groups.setdefault((row.batch_id, row.code, row.day), []).append(row)
    yield from groups.items()


_IDS = (
    "SELECT q.id, q.rule = ANY(:unreadable) FROM quarantine q JOIN batch b ON b.id = q.batch_id"
    " JOIN station s ON s.id = b.station_id"
    " WHERE (CAST(:station AS text) IS NULL OR s.code = :station)"
    " AND (CAST(:rule AS text) IS NULL OR q.rule = :rule) ORDER BY q.id"
)
_ROWS = (
    "SELECT q.id, q.batch_id, s.code, q.day, q.sheet, q.row_number, q.dataset, q.sealed"
    " FROM quarantine q JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    " WHERE q.id = ANY(:ids) ORDER BY q.id"
)
_LEFT = "SELECT count(*) FROM quarantine WHERE id = ANY(:ids)"
