"""What a night left in the evidence tables, as plain data for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from safehands.installation import Installation
from safehands.journal import latest

__all__ = ["Aside", "NightEvidence", "StepRow", "read_night"]


@dataclass(frozen=True)
class StepRow:
    """One step over all shards: rows in, out and set aside, and seconds."""

    step: str
    counts: dict[str, int]
    reasons: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Aside:
    """Rows of one file that wait in quarantine for one reason; ``rows`` are the first few."""

    station: str
    file: str
    sheet: str
    dataset: str
    rule: str
    column: str
    count: int
    rows: list[int]


@dataclass(frozen=True)
class NightEvidence:
    """All that is shown of one night."""

    steps: list[StepRow]
    aside: list[Aside]
    quality: list[tuple[str, str, int, int]]
    files: list[tuple[str, str, str, dict[str, Any] | None]]
    unknown_roles: list[tuple[str, str]]
    backup: tuple[str, dict[str, Any]] | None
    checkpoint: str


def read_night(inst: Installation, day: date) -> NightEvidence:
    """Read the evidence of the night of ``day``."""
    with inst.store.begin() as connection:
        steps = _steps(connection, day)
        quality = [tuple(row) for row in connection.execute(text(_QUALITY), {"day": day})]
        files = [tuple(row) for row in connection.execute(text(_FILES), {"day": day})]
        roles = [tuple(row) for row in connection.execute(text(_ROLES))]
        backup = connection.execute(text(_BACKUP), {"day": day}).first()
        note = latest(connection) or ""
    with inst.store.begin("safehands_backup") as connection:
        aside = [Aside(*row) for row in connection.execute(text(_ASIDE), {"day": day})]
    return NightEvidence(
        steps, aside, quality, files, roles, (backup[0], backup[1]) if backup else None, note
    )


def _steps(connection: Connection, day: date) -> list[StepRow]:
    found: dict[str, StepRow] = {}
    for step, counts, reasons, seconds in connection.execute(text(_STEPS), {"day": day}):
        row = found.setdefault(step, StepRow(step, {}, {}, 0.0))
        for target, more in ((row.counts, counts), (row.reasons, reasons)):
            for name, number in more.items():
                target[name] = target.get(name, 0) + number
        found[step] = StepRow(step, row.counts, row.reasons, row.seconds + seconds)
    return list(found.values())


_STEPS = (
    "SELECT step, counts, reasons, seconds FROM step_result WHERE business_date = :day"
    " AND run NOT LIKE 'retry-%' ORDER BY id"
)
_QUALITY = (
    "SELECT station, dimension, sum(evaluated)::int, sum(failed)::int FROM quality_result"
    " WHERE business_date = :day AND suite <> 'pseudonymised'"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
_FILES = (
    "SELECT s.code, b.label, b.state, b.problem FROM batch b JOIN station s ON s.id = b.station_id"
    " WHERE b.business_date = :day AND b.run NOT LIKE 'retry-%' ORDER BY s.code, b.label"
)
_ROLES = (
    "SELECT c.code, r.dataset FROM record_set r JOIN controller c ON c.id = r.controller_id"
    " WHERE r.role = 'unknown' ORDER BY 1, 2"
)
_BACKUP = "SELECT manifest, facts FROM backup WHERE business_date = :day ORDER BY id DESC LIMIT 1"
_ASIDE = (
    "SELECT s.code, b.label, q.sheet, q.dataset, q.rule, q.column_name, count(*)::int,"
    " (array_agg(q.row_number ORDER BY q.row_number))[1:6]"
    " FROM quarantine q JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    " WHERE b.business_date = :day GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 7 DESC"
)
