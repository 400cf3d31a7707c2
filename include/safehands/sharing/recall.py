"""What a recipient must destroy: after an erasure, a withdrawal, or the end of the agreement.

Whoever is deleted from the store is due at once (a trigger of the database sees to it). A
withdrawn consent makes the person due here. Each recipient gets its own codes and nothing else;
where a file has no codes, the whole file is to be destroyed. A code is forgotten once the
recipient said that the rows are gone (PIPL 15, 21 ¶2, 47).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import consent, journal
from safehands.errors import AccessRefused, GateClosed
from safehands.installation import Installation
from safehands.keys import age
from safehands.notices import load_consent_book
from safehands.organisation import owner_of
from safehands.sharing.agreements import ShareBook
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, check_open, check_staff

__all__ = ["Recall", "acknowledge", "recall", "recall_everything", "recalls"]


@dataclass(frozen=True)
class Recall:
    """What is open at one recipient: people due, and asked for but not acknowledged."""

    agreement: str
    due: int
    sent: int


def recalls(inst: Installation, book: ShareBook, owner: str, day: date) -> list[Recall]:
    """Note whose consent is gone and which agreement ended; return what is open, by agreement."""
    known, now = owner_of(inst, owner), inst.clock()
    with inst.store.begin(OFFICER, known.id) as connection:
        _note_withdrawn(connection, inst, day, now)
        ended = [code for code, one in book.agreements.items() if one.until < day]
        connection.execute(text(_ENDED), {"codes": ended, "at": now})
        return [Recall(*row) for row in connection.execute(text(_OPEN))]


def recall(
    inst: Installation, book: ShareBook, owner: str, agreement: str, day: date, by: str
) -> Path:
    """Write the encrypted list of what the recipient must destroy and mark it as sent.

    Raises ``GateClosed`` when nothing is due, or the agreement is not in policy any more (its key
    is needed to write to the recipient).
    """
    check_staff(by)
    recalls(inst, book, owner, day)
    known, now = owner_of(inst, owner), inst.clock()
    if agreement not in book.agreements:
        raise GateClosed("sharing.no_agreement", agreement=agreement[:41], owner=owner)
    with inst.store.begin(OFFICER, known.id) as connection:
        check_open(connection, by)
        values = {"code": agreement, "at": now}
        rows = connection.execute(text(_SEND), values).all()
        if not rows:
            raise GateClosed("sharing.nothing_due", agreement=agreement)
        _keep(connection, known, "recall", agreement, len(rows), by, now)
        return _file(inst, book, agreement, rows, now)


def recall_everything(inst: Installation, owner: Owner, codes: Sequence[str]) -> list[str]:
    """Make all that was given under ``codes`` due, as after a leak; return which have anything.

    What was given before stays due until it is acknowledged, whatever becomes of the incident.
    """
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        connection.execute(text(_ENDED), {"codes": list(codes), "at": now})
        return [row[0] for row in connection.execute(text(_OPEN)) if row[1] and row[0] in codes]


def acknowledge(inst: Installation, owner: str, agreement: str, by: str, evidence: str) -> int:
    """Record that the recipient destroyed what was recalled; return of how many people.

    ``evidence``: a reference to its answer. The codes are forgotten. Raises ``GateClosed`` when
    nothing was asked for, ``AccessRefused`` without a reference.
    """
    check_staff(by)
    if not evidence.strip():
        raise AccessRefused("sharing.no_evidence")
    known, now = owner_of(inst, owner), inst.clock()
    with inst.store.begin(OFFICER, known.id) as connection:
        values = {"code": agreement, "at": now}
        people = connection.execute(text(_DONE), values).rowcount
        if not people:
            raise GateClosed("sharing.nothing_sent", agreement=agreement)
        _keep(connection, known, "recall_done", agreement, people, by, now, evidence=evidence)
    return people


def _note_withdrawn(connection: Connection, inst: Installation, day: date, now: datetime) -> None:
    book = load_consent_book(inst.settings.policy, inst.policy)
    for (purpose,) in connection.execute(text(_PURPOSES)).all():
        if purpose not in inst.policy.purposes:
            continue
        lawful = list(consent.basis(connection, inst.policy, book, purpose, day))
        values = {"purpose": purpose, "lawful": lawful, "at": now}
        connection.execute(text(_WITHDRAWN), values)


def _file(
    inst: Installation, book: ShareBook, agreement: str, rows: Sequence[Any], now: datetime
) -> Path:
    whole = sorted({number for number, token in rows if token is None})
    body = {
        "format": "safehands-recall/1",
        "agreement": agreement,
        "at": now.isoformat(timespec="seconds"),
        "destroy_whole_files": whole,
        "destroy": [
            {"disclosure": number, "ref": str(token)} for number, token in rows if token is not None
        ],
    }
    folder = inst.settings.home / "shares"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"recall-{agreement}-{now:%Y%m%d%H%M%S}.json.age"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(age.encrypt(json.dumps(body).encode(), [book.agreements[agreement].age]))
    return path


def _keep(
    connection: Connection,
    owner: Owner,
    event: str,
    agreement: str,
    people: int,
    by: str,
    now: datetime,
    **facts: str,
) -> None:
    body = {"controller": owner.code, "agreement": agreement, "people": people, "by": by, **facts}
    journal.append(connection, event, f"{event}-{agreement}", now, body)


_PURPOSES = "SELECT DISTINCT purpose FROM disclosure WHERE basis = 1"
_WITHDRAWN = (
    "UPDATE disclosure_subject s SET state = 'due', changed_at = :at FROM disclosure d"
    " WHERE d.id = s.disclosure_id AND d.basis = 1 AND d.purpose = :purpose AND s.state = 'given'"
    " AND s.subject_id IS NOT NULL AND s.subject_id <> ALL (CAST(:lawful AS uuid[]))"
)
_ENDED = (
    "UPDATE disclosure_subject s SET state = 'due', changed_at = :at FROM disclosure d"
    " WHERE d.id = s.disclosure_id AND d.agreement = ANY (CAST(:codes AS text[]))"
    " AND s.state = 'given'"
)
_OPEN = (
    "SELECT d.agreement, count(*) FILTER (WHERE s.state = 'due'),"
    " count(*) FILTER (WHERE s.state = 'sent') FROM disclosure_subject s"
    " JOIN disclosure d ON d.id = s.disclosure_id WHERE s.state IN ('due', 'sent')"
    " GROUP BY 1 ORDER BY 1"
)
_SEND = (
    "UPDATE disclosure_subject s SET state = 'sent', changed_at = :at FROM disclosure d"
    " WHERE d.id = s.disclosure_id AND d.agreement = :code AND s.state = 'due'"
    " RETURNING s.disclosure_id, s.token"
)
_DONE = (
    "UPDATE disclosure_subject s SET state = 'acknowledged', token = NULL, changed_at = :at"
    " FROM disclosure d WHERE d.id = s.disclosure_id AND d.agreement = :code AND s.state = 'sent'"
)
