"""Many records at once, for a file that leaves encrypted: the bulk door beside ``reveal``.

Whoever calls this registers what was opened (a disclosure, an incident) in the same transaction;
the caller's connection is the officer's, so restricted people are nobody here (PIPL 47 ¶2).
Nothing in the nightly chain imports this module; a test walks the import graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.vault.record import KIND, Record, opened

__all__ = ["contacts"]

_SLICE = 20_000


def contacts(connection: Connection, ring: KeyRing, subjects: Sequence[UUID]) -> dict[UUID, Record]:
    """Return the opened records of ``subjects``; who is not in the store is not in the answer.

    Raises ``KeyProblem`` when keys or ciphertexts don't fit.
    """
    found: dict[UUID, Record] = {}
    for start in range(0, len(subjects), _SLICE):
        wanted = {"who": list(subjects[start : start + _SLICE])}
        rows = connection.execute(text(_ROWS), wanted).all()
        ids = [row[0].bytes for row in rows]
        secrets = ring.unwrap_salts(ids, [bytes(row[1]) for row in rows])
        salts = [secret[:16] for secret in secrets]
        plain = ring.unseal(KIND, ids, salts, [bytes(row[2]) for row in rows])
        found |= {row[0]: opened(one) for row, one in zip(rows, plain, strict=True)}
    return found


_ROWS = "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE subject_id = ANY (:who)"
