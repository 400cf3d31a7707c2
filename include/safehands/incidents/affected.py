"""Who is affected, and how sure that is: from ledger, batches, disclosures, reveals and backups.

Three degrees: ``named`` by a log or a register (a reveal, a disclosure); ``within`` a batch, a
station's time range or the whole store; ``possible`` in a copy that may never have been opened
(a backup is encrypted). People who were erased since, or never were known, count as ``nobody``
rows: they cannot be told but by announcement.

Minors are those whose consent a guardian gave; ages are not stored, so there may be more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import Case
from safehands.policy import Policy

__all__ = ["Affected", "affected", "people"]

_CATEGORIES = {
    "parcels": ("basic", "transaction"),
    "batches": ("basic", "transaction", "preference"),
    "staff": ("basic",),
    "agreements": ("basic", "transaction", "preference"),
    "everybody": ("basic", "transaction", "preference"),
    "copied": ("basic", "transaction", "preference"),
}


@dataclass(frozen=True)
class Affected:
    """Counts. ``sensitive``: people with sensitive fields kept by policy, or with so many parcels
    that their sum is called sensitive (GB/T 45574 aggregation, policy)."""

    people: int
    named: int
    within: int
    possible: int
    rows: int
    nobody: int
    sensitive: int
    minors: int
    categories: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return the counts as they stand in events and drafts."""
        return {**asdict(self), "categories": list(self.categories)}


def affected(connection: Connection, policy: Policy, book: IncidentBook, found: Case) -> Affected:
    """Count whom the incident reaches, restricted people too, as the bound officer."""
    values = {**_values(found), "many": book.aggregate_rows}
    # A year's people are grouped in memory: 128 MB hold a million of them.
    connection.execute(text("SET LOCAL work_mem = '128MB'"))
    row = connection.execute(text(_COUNTS), values).one()
    categories = _categories(found)
    kept = _keeps_sensitive(policy, categories)
    total, named, within, possible, rows, many, minors, nobody = (int(n or 0) for n in row)
    sensitive = total if kept else many
    return Affected(total, named, within, possible, rows, nobody, sensitive, minors, categories)


def people(connection: Connection, found: Case) -> list[UUID]:
    """Return the subjects, surest first; nobody who was erased is among them."""
    return list(connection.execute(text(_PEOPLE), _values(found)).scalars())


def _categories(found: Case) -> tuple[str, ...]:
    hit = [c for name, some in _CATEGORIES.items() if getattr(found.scope, name) for c in some]
    return tuple(sorted(set(hit)))


def _keeps_sensitive(policy: Policy, categories: tuple[str, ...]) -> bool:
    fields = (field for dataset in policy.datasets.values() for field in dataset.fields.values())
    return any(f.sensitive and f.treatment != "drop" and f.category in categories for f in fields)


def _values(found: Case) -> dict[str, Any]:
    scope = found.scope
    return {
        "began": found.began_at,
        "ended": found.ended_at,
        "stations": list(scope.stations),
        "batches": list(scope.batches),
        "agreements": list(scope.agreements),
        "staff": list(scope.staff),
        "parcels": scope.parcels,
        "everybody": scope.everybody,
        "copied": datetime.fromisoformat(scope.copied) if scope.copied else None,
    }


_HIT = (
    "WITH hit AS MATERIALIZED (SELECT * FROM affected_people(:began, :ended,"
    " CAST(:stations AS int[]), CAST(:batches AS int[]), CAST(:agreements AS text[]),"
    " CAST(:staff AS text[]), :parcels, :everybody, CAST(:copied AS timestamptz))),"
    " who AS (SELECT subject_id, min(sure) AS sure, sum(rows) AS rows FROM hit"
    " WHERE subject_id IS NOT NULL GROUP BY 1)"
)
_COUNTS = (
    f"{_HIT}, young AS (SELECT DISTINCT subject_id FROM consent_event WHERE guardian <> '')"
    " SELECT count(*), count(*) FILTER (WHERE sure = 1), count(*) FILTER (WHERE sure = 2),"
    " count(*) FILTER (WHERE sure = 3), sum(who.rows), count(*) FILTER (WHERE who.rows >= :many),"
    " count(young.subject_id), (SELECT sum(rows) FROM hit WHERE subject_id IS NULL)"
    " FROM who LEFT JOIN young USING (subject_id)"
)
_PEOPLE = f"{_HIT} SELECT subject_id FROM who ORDER BY sure, subject_id"
