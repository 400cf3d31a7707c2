"""Prove a generation: restore it into a database of its own, open every record, record the proof.

The age identity is needed. What is proved may outlive what is not: ``safehands.backup.prune``
never removes the newest proved generation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.backup.repository import Repository
from safehands.backup.upkeep import alone
from safehands.ledger import VerifierKey, canonical_json
from safehands.restore.restoring import restore
from safehands.restore.result import Restored
from safehands.restore.scratch import scratch
from safehands.restore.source import Source
from safehands.store import Store
from safehands.store.digest import store_digest

__all__ = [
    "Proof",
    "Timer",
    "holds_keys",
    "known_newest",
    "overdue",
    "prove",
    "record_proof",
    "try_out",
]

Timer = Callable[[], float]


@dataclass(frozen=True)
class Proof:
    """A generation that came back whole. ``seconds`` from the first byte read to the last compared.

    ``store_digest`` is that of the restored store (``safehands.store.digest``): every sealed
    record was opened for it.
    """

    restored: Restored
    seconds: float
    store_digest: str


def prove(
    store: Store,
    repository: Repository,
    verifier: VerifierKey,
    now: datetime,
    timer: Timer,
    *,
    generation: str | None = None,
) -> Proof:
    """Restore ``generation`` (default: the newest) beside ``store``, compare, drop it, record it.

    ``timer`` counts seconds. The newest generation must be the one that the store recorded last.
    Raises what ``restore`` raises, and ``KeyProblem`` when a record does not open.
    """
    with alone(store):
        found = try_out(store, repository, verifier, now, timer, generation)
    with store.begin() as connection:
        record_proof(connection, "prove", found, now)
    return found


def try_out(
    store: Store,
    repository: Repository,
    verifier: VerifierKey,
    now: datetime,
    timer: Timer,
    generation: str | None = None,
) -> Proof:
    """Do all of ``prove`` but the record; nobody may write the repository meanwhile."""
    newest = known_newest(store)
    begun = timer()
    with scratch(store, "proof") as target:
        restored = restore(repository, target, verifier, now, generation=generation, newest=newest)
        seconds = timer() - begun
        return Proof(restored, round(seconds, 3), store_digest(target))


def known_newest(store: Store) -> str | None:
    """Return the SHA-256 of the newest manifest as the store recorded it, if it recorded one."""
    query = "SELECT facts ->> 'manifest_digest' FROM backup ORDER BY id DESC LIMIT 1"
    with store.begin() as connection:
        found = connection.execute(text(query)).scalar()
    return None if found is None else str(found)


def holds_keys(store: Store, repository: Repository, verifier: VerifierKey) -> bool:
    """Say whether the newest generation holds the store's keys and epochs as they are now.

    A key service keeps its id when it renews its key, so the id alone does not say it. Raises
    ``BackupBroken`` and ``KeyProblem`` as ``restore`` does.
    """
    source = Source(repository, store.provider, verifier)
    keys = _column(source, "controller_key", "data")
    epochs = _column(source, "epoch", "number")
    with store.begin() as connection:
        used = sorted(bytes(key) for key in connection.execute(text(_WRAPPED)).scalars())
        opened = sorted(connection.execute(text("SELECT number FROM epoch")).scalars())
    return sorted(keys) == used and sorted(epochs) == opened


def _column(source: Source, table: str, column: str) -> list[Any]:
    pieces = (rows for _, rows in source.parts(source.newest, table))
    return [value for rows in pieces for value in rows[column].to_pylist()]


def overdue(store: Store, every_days: int) -> bool:
    """Say whether the newest generation is more than ``every_days`` younger than any proved one.

    Where none was proved, the oldest counts in its place. Days are business dates: a clock that
    jumped makes nothing overdue.
    """
    with store.begin() as connection:
        days = connection.execute(text(_UNPROVED_DAYS)).scalar()
    return days is not None and int(days) > every_days


def record_proof(connection: Connection, kind: str, proof: Proof, now: datetime) -> None:
    """Record that a generation was restored and compared; ``kind`` is ``prove`` or ``drill``."""
    insert = text(
        "INSERT INTO generation_proof (manifest, manifest_digest, kind, proved_at, facts)"
        " VALUES (:manifest, :digest, :kind, :now, CAST(:facts AS jsonb))"
    )
    facts = {
        "rows": proof.restored.rows,
        "parts": proof.restored.parts,
        "milliseconds": round(proof.seconds * 1000),
        "store_digest": proof.store_digest,
    }
    values = {
        "manifest": proof.restored.generation,
        "digest": proof.restored.generation_digest,
        "kind": kind,
        "now": now,
        "facts": canonical_json(facts).decode(),
    }
    connection.execute(insert, values)


_UNPROVED_DAYS = """
SELECT max(b.business_date) - coalesce(max(b.business_date) FILTER (WHERE EXISTS (
    SELECT FROM generation_proof p WHERE p.manifest_digest = b.facts ->> 'manifest_digest')),
    min(b.business_date))
FROM backup b WHERE b.prune_id IS NULL
"""
_WRAPPED = "SELECT data FROM controller_key"
