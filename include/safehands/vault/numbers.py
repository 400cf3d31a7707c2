"""Numbers that were corrected away: what a correction leaves behind so that it lasts (PIPL 46).

A person is found by their number, so a wrong one that is put right comes back with the next export
of the same software, as a new person. The table ``correction`` therefore keeps, for each number
that was corrected away, whose it was and when. The number stands there as its tombstone token (16
bytes), sealed under the epoch key and bound to the person and the row's number: in clear it would
lead, in an old backup, from a number to an erased person. A new epoch seals the tokens again
(:func:`rewrap`); with the person the rows go, and the tokens become tombstones (:func:`graves_of`).

Who applies it: the load (:mod:`safehands.pseudonymise.corrected`), restriction
(:func:`safehands.vault.restrict.kept_out`), purge and erasure. Who writes it:
:func:`safehands.vault.correct.correct`. Whoever carries out a request for correction calls
that and nothing here: ``correct(store, policy, access, now, subject=…, field="phone", value=…)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.store.register import Owner

__all__ = ["TakenBack", "graves_of", "rewrap", "take_back", "taken_back"]


@dataclass(frozen=True)
class TakenBack:
    """A number that no longer is this person's.

    ``token``: its tombstone token, 16 bytes. ``at``: when, microseconds since 1970.
    """

    token: bytes
    subject: UUID
    at: int


def taken_back(
    connection: Connection, ring: KeyRing, subjects: Sequence[UUID] | None = None
) -> list[TakenBack]:
    """Return all numbers that were corrected away, or those of ``subjects``.

    The transaction is bound to the owner. Raises ``KeyProblem`` when a token does not open.
    """
    who = None if subjects is None else list(subjects)
    rows = connection.execute(text(_ROWS), {"who": who}).all()
    tokens = ring.unwrap_salts([_bound_to(r[0], r[1]) for r in rows], [r[2] for r in rows])
    return [TakenBack(token, row[0], row[3]) for token, row in zip(tokens, rows, strict=True)]


def graves_of(connection: Connection, ring: KeyRing, subjects: Sequence[UUID]) -> list[bytes]:
    """Return the tombstone tokens of numbers that people who are about to go once had.

    With tombstones of these too, an old export under a wrong number brings nobody back.
    """
    return [one.token for one in taken_back(connection, ring, subjects)] if subjects else []


def take_back(
    connection: Connection,
    ring: KeyRing,
    owner: Owner,
    subject: UUID,
    token: bytes,
    fresh: bytes,
    now: datetime,
    by: str,
) -> None:
    """Record that ``token``'s number no longer is the number of ``subject``, and ``fresh``'s is.

    Both are tombstone tokens. A number that is right again is taken off the list.
    """
    rows = connection.execute(text(_ROWS), {"who": [subject]}).all()
    tokens = ring.unwrap_salts([_bound_to(r[0], r[1]) for r in rows], [r[2] for r in rows])
    for row, known in zip(rows, tokens, strict=True):
        if known in {token, fresh}:
            connection.execute(text(_RIGHT_AGAIN), {"who": subject, "number": row[1]})
    number = max((row[1] for row in rows), default=0) + 1
    (wrapped,) = ring.wrap_salts([_bound_to(subject, number)], [token])
    values = {
        "controller": owner.id,
        "who": subject,
        "number": number,
        "epoch": ring.epoch,
        "wrapped": wrapped,
        "now": now,
        "by": by,
    }
    connection.execute(text(_TAKE_BACK), values)


def rewrap(connection: Connection, old: KeyRing, new: KeyRing) -> None:
    """Seal all tokens again under the epoch key of ``new``. Raises ``KeyProblem``."""
    rows = connection.execute(text(_ROWS), {"who": None}).all()
    places = [_bound_to(row[0], row[1]) for row in rows]
    tokens = old.unwrap_salts(places, [row[2] for row in rows])
    fresh = [
        {"who": row[0], "number": row[1], "epoch": new.epoch, "wrapped": wrapped}
        for row, wrapped in zip(rows, new.wrap_salts(places, tokens), strict=True)
    ]
    if fresh:
        connection.execute(text(_REWRAP), fresh)


def _bound_to(subject: UUID, number: int) -> bytes:
    place = b"safehands/correction/1/" + subject.bytes + number.to_bytes(2, "big")
    return hashlib.sha256(place).digest()


_ROWS = (
    "SELECT subject_id, number, wrapped, (extract(epoch FROM corrected_at) * 1000000)::int8"
    " FROM correction WHERE CAST(:who AS uuid[]) IS NULL OR subject_id = ANY (:who)"
    " ORDER BY subject_id, number"
)
_RIGHT_AGAIN = "DELETE FROM correction WHERE subject_id = :who AND number = :number"
_TAKE_BACK = (
    "INSERT INTO correction (controller_id, subject_id, number, epoch, wrapped, corrected_at,"
    " by_whom) VALUES (:controller, :who, :number, :epoch, :wrapped, :now, :by)"
)
_REWRAP = (
    "UPDATE correction SET epoch = :epoch, wrapped = :wrapped"
    " WHERE subject_id = :who AND number = :number"
)
