"""What waits in quarantine: where it stands and why, without a value; one row for the officer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NoReturn

from sqlalchemy import text

from safehands import journal
from safehands.datasets import MINOR
from safehands.daykeys import box_to_open, box_to_seal
from safehands.errors import AccessRefused, BadInput
from safehands.policy import Policy
from safehands.store import Store, lock
from safehands.store.register import owners
from safehands.vault.access import OFFICER, Access, check_open, check_staff, find_owner

__all__ = ["Cells", "WaitingRow", "discard", "listed", "show"]


@dataclass(frozen=True)
class WaitingRow:
    """One row in quarantine: a reference, never its content.

    ``id`` is its number; ``row`` the row a person sees in ``sheet`` of ``file``; ``retryable`` is
    false where the cells of the row could not be told apart, so that there is nothing to load.
    """

    id: int
    controller: str
    station: str
    file: str
    sheet: str
    row: int
    dataset: str
    rule: str
    column: str
    day: date
    retryable: bool


@dataclass(frozen=True)
class Cells:
    """The cells of one waiting row, for the eyes of whoever asked. ``repr`` shows none."""

    row: WaitingRow
    cells: dict[str, str] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a waiting row does not leave the process")


UNREADABLE = ("row_width", "row_unreadable", MINOR)
"""Rules of rows that only a new export brings back: their cells could not be told apart, or what
would have to be known about a child was never kept."""


def listed(
    store: Store, *, station: str | None = None, rule: str | None = None
) -> list[WaitingRow]:
    """Return what waits, of all controllers, by station, file and row; no value is opened."""
    found: list[WaitingRow] = []
    for owner in owners(store).values():
        with store.begin(controller=owner.id) as connection:
            values = {"controller": owner.code, "station": station, "rule": rule}
            for row in connection.execute(text(_LISTED), values):
                found.append(_row(row))
    return found


def show(store: Store, policy: Policy, access: Access, row_id: int, now: datetime) -> Cells:
    """Open one waiting row as the officer; the ledger says who did and for which purpose.

    Raises ``AccessRefused`` for a staff id or purpose that is none and for a row that is not there,
    ``KeyProblem`` when the day's key has been destroyed. Nothing is shown that is not recorded.
    """
    check_staff(access.by)
    if access.purpose not in policy.purposes:
        known = ", ".join(policy.purposes)
        raise AccessRefused("vault.unknown_purpose", purpose=access.purpose, known=known)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        check_open(connection, access.by)
        values = {"controller": owner.code, "id": row_id}
        found = connection.execute(text(_ONE), values).first()
        if found is None:
            raise AccessRefused("quarantine.no_such_row", id=row_id)
        *place, sealed = found
        row = _row(place)
        day = row.day.isoformat()
        box = box_to_open(store.provider, row.rule, row.station, day) or box_to_seal(
            store.provider, row.rule, row.station, day
        )
        (plain,) = box.unseal([sealed])
        facts = {
            "controller": owner.code,
            "action": "show",
            "row": row_id,
            "rule": row.rule,
            "purpose": access.purpose,
            "by": access.by,
            "role": OFFICER,
        }
        journal.append(connection, "quarantine", f"show-{row_id}", now, facts)
    return Cells(row, dict(json.loads(plain)))


def discard(store: Store, rows: Sequence[WaitingRow], reason: str, by: str, now: datetime) -> int:
    """Remove waiting rows for good and record how many, under which rules, why and by whom.

    ``reason`` is free text for the ledger and must hold no long number. Return how many went: of
    rows that another process loaded or discarded meanwhile there are none left to count.

    Raises ``AccessRefused`` for a staff id that is none, ``BadInput`` for a reason that is empty or
    holds a long number.
    """
    check_staff(by)
    if not reason.strip() or _holds_number(reason):
        raise BadInput("quarantine.reason")
    gone = 0
    for owner in owners(store).values():
        mine = [row for row in rows if row.controller == owner.code]
        if not mine:
            continue
        with store.begin(controller=owner.id) as connection:
            lock(connection, f"safehands.controller.{owner.id}")
            removed = connection.execute(
                text("DELETE FROM quarantine WHERE id = ANY(:ids) RETURNING rule"),
                {"ids": [row.id for row in mine]},
            ).scalars()
            counts: dict[str, int] = {}
            for rule in removed:
                counts[rule] = counts.get(rule, 0) + 1
            if counts:
                facts = {"action": "discard", "counts": counts, "reason": reason, "by": by}
                facts["controller"] = owner.code
                journal.append(connection, "quarantine", "discard", now, facts)
                gone += sum(counts.values())
    return gone


def _row(place: Sequence[Any]) -> WaitingRow:
    values: tuple[Any, ...] = (*place, place[7] not in UNREADABLE)
    return WaitingRow(*values)


def _holds_number(reason: str) -> bool:
    run = 0
    for letter in reason:
        run = run + 1 if letter.isdigit() else 0
        if run >= _LONG:
            return True
    return False


_LONG = 7
_COLUMNS = (
    "SELECT q.id, CAST(:controller AS text), s.code, b.label, q.sheet, q.row_number, q.dataset,"
    " q.rule, q.column_name, q.day"
)
_FROM = " FROM quarantine q JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
_LISTED = (
    f"{_COLUMNS}{_FROM}"
    " WHERE (CAST(:station AS text) IS NULL OR s.code = :station)"
    " AND (CAST(:rule AS text) IS NULL OR q.rule = :rule)"
    " ORDER BY s.code, b.label, q.sheet, q.row_number, q.id"
)
_ONE = f"{_COLUMNS}, q.sealed{_FROM} WHERE q.id = :id"
