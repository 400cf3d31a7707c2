"""The organisational register: evidence with owner, date, digest and expiry; declarations.

A row is added and never changed; a wrong one is withdrawn and stays visible. What is stored of a
responsible person is the duty; the name is sealed (see ``names``). Nothing here is about customers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.organisation import names
from safehands.organisation.catalogue import Organisation
from safehands.store.register import Owner, owners

__all__ = [
    "Entry",
    "Reminder",
    "Row",
    "entries",
    "owner_of",
    "record",
    "reminders",
    "responsible_for",
    "withdraw",
]

EVENT = "organisation"


@dataclass(frozen=True)
class Row:
    """One line of the sheet, checked: ``number`` is 0 for evidence; digest hex or empty."""

    owner: str
    entry: Literal["evidence", "declaration"]
    kind: str
    held_on: date
    valid_until: date
    number: float
    duty: str
    responsible: str
    file_digest: str


@dataclass(frozen=True)
class Entry:
    """One row of the register as everybody may see it: no name."""

    id: int
    owner: str
    entry: str
    kind: str
    held_on: date
    valid_until: date
    number: float
    duty: str
    file_digest: str
    withdrawn: bool

    def valid_on(self, day: date) -> bool:
        """Say whether the row counts on ``day``."""
        return not self.withdrawn and self.held_on <= day <= self.valid_until


@dataclass(frozen=True)
class Reminder:
    """Evidence or a declaration that ``expires`` soon, ``expired``, or is ``missing``."""

    owner: str
    kind: str
    state: Literal["expires", "expired", "missing"]
    until: date | None


def owner_of(inst: Installation, code: str) -> Owner:
    """Return the owner; with one owner only, an empty code means it. Raises ``PolicyError``."""
    known = owners(inst.store)
    if not code and len(known) == 1:
        return next(iter(known.values()))
    if code not in known:
        raise PolicyError("organisation.no_such_owner", owner=code, known=", ".join(sorted(known)))
    return known[code]


def record(inst: Installation, rows: Iterable[Row], day: date) -> int:
    """Add ``rows`` and return how many are new; rows that are there already change nothing.

    A declaration replaces the one of the same day. One ledger entry per owner with new rows:
    counts by kind. Raises ``PolicyError`` for an unknown owner.
    """
    by_owner: dict[str, list[Row]] = {}
    for row in rows:
        by_owner.setdefault(owner_of(inst, row.owner).code, []).append(row)
    return sum(_record(inst, owner_of(inst, code), mine, day) for code, mine in by_owner.items())


def entries(inst: Installation, day: date, *, withdrawn: bool = False) -> list[Entry]:
    """Return what was held up to ``day``, by owner, kind and date, newest last."""
    with inst.store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(_ENTRIES), {"day": day, "all": withdrawn})
        return [Entry(**row) for row in rows.mappings()]


def withdraw(inst: Installation, owner: str, number: int) -> None:
    """Mark entry ``number`` as withdrawn: it stays and counts no longer.

    Raises ``PolicyError`` when the owner has no such entry.
    """
    found = owner_of(inst, owner)
    with inst.store.begin(controller=found.id) as connection:
        values = {"id": number, "owner": found.id}
        if connection.execute(text(_WITHDRAW), values).rowcount == 0:
            raise PolicyError("organisation.no_such_entry", id=number, owner=found.code)
        _journal(connection, inst.clock(), found.code, {"withdrawn": 1})


def responsible_for(inst: Installation, owner: str, number: int) -> str:
    """Return the name behind entry ``number`` and record that it was opened.

    Empty when none was given or its key was destroyed. Raises ``PolicyError`` for no such entry.
    """
    found = owner_of(inst, owner)
    with inst.store.begin(controller=found.id) as connection:
        row = connection.execute(text(_SEALED), {"owner": found.id, "id": number}).first()
        if row is None:
            raise PolicyError("organisation.no_such_entry", id=number, owner=found.code)
        _journal(connection, inst.clock(), found.code, {"name_opened": 1})
    return names.reveal(inst.provider, found.code, row.recorded, row.sealed)["responsible"]


def reminders(inst: Installation, organisation: Organisation, day: date) -> list[Reminder]:
    """Return what expires within ``remind_days``, expired, or was never there, per owner.

    Only the newest row of each kind is looked at. ``missing`` covers evidence, not declarations.
    """
    newest: dict[tuple[str, str], date] = {}
    for entry in entries(inst, day):
        key = (entry.owner, entry.kind)
        newest[key] = max(entry.valid_until, newest.get(key, date.min))
    soon = day + timedelta(days=organisation.remind_days)
    due = [
        Reminder(owner, kind, "expired" if until < day else "expires", until)
        for (owner, kind), until in newest.items()
        if until <= soon
    ]
    missing = [
        Reminder(owner, kind, "missing", None)
        for owner in owners(inst.store)
        for kind in organisation.kinds
        if (owner, kind) not in newest
    ]
    return [*sorted(due, key=lambda r: (r.until or day, r.owner, r.kind)), *missing]


def _record(inst: Installation, owner: Owner, rows: list[Row], day: date) -> int:
    counts: dict[str, int] = {}
    with inst.store.begin(controller=owner.id) as connection:
        for row in rows:
            values = _values(inst, owner, row, day)
            if row.entry == "declaration":
                connection.execute(text(_REPLACE), values)
            if connection.execute(text(_INSERT), values).rowcount:
                counts[row.kind] = counts.get(row.kind, 0) + 1
        if counts:
            _journal(connection, inst.clock(), owner.code, counts)
    return sum(counts.values())


def _values(inst: Installation, owner: Owner, row: Row, day: date) -> dict[str, Any]:
    return {
        "owner": owner.id,
        "entry": row.entry,
        "kind": row.kind,
        "held": row.held_on,
        "until": row.valid_until,
        "number": row.number,
        "duty": row.duty,
        "digest": row.file_digest,
        "day": day,
        "sealed": names.seal(inst.provider, owner.code, day, row.responsible),
    }


def _journal(connection: Connection, now: datetime, owner: str, counts: dict[str, int]) -> None:
    facts = {"controller": owner, "counts": counts}
    journal.append(connection, EVENT, f"{EVENT}-{now.date().isoformat()}", now, facts)


_SEALED = "SELECT recorded, sealed FROM control_evidence WHERE controller_id = :owner AND id = :id"
_ENTRIES = (
    "SELECT e.id, c.code AS owner, e.entry, e.kind, e.held_on, e.valid_until, e.number, e.duty,"
    " e.file_digest, e.withdrawn FROM control_evidence e"
    " JOIN controller c ON c.id = e.controller_id"
    " WHERE e.held_on <= :day AND (:all OR NOT e.withdrawn)"
    " ORDER BY c.code, e.kind, e.held_on, e.id"
)
_INSERT = (
    "INSERT INTO control_evidence (controller_id, entry, kind, held_on, valid_until, number, duty,"
    " file_digest, recorded, sealed) VALUES (:owner, :entry, :kind, :held, :until, :number, :duty,"
    " :digest, :day, :sealed) ON CONFLICT DO NOTHING"
)
_REPLACE = (
    "UPDATE control_evidence SET withdrawn = true WHERE controller_id = :owner"
    " AND entry = 'declaration' AND kind = :kind AND held_on = :held AND NOT withdrawn"
    " AND (number, valid_until, duty, file_digest) <> (:number, :until, :duty, :digest)"
)
_WITHDRAW = (
    "UPDATE control_evidence SET withdrawn = true"
    " WHERE controller_id = :owner AND id = :id AND NOT withdrawn"
)
