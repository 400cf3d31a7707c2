"""The audit trail in the database: entries are added with what they record, numbered afterwards.

An entry is written in the transaction of the effect it records and gets its place in the Merkle
tree later, by ``sequence``, under one advisory lock: shards that commit side by side do not wait
for each other at the head of the tree. A checkpoint signs what has been numbered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.errors import LedgerBroken
from safehands.keys import KeyProvider
from safehands.ledger import (
    DOCUMENT_FIELD,
    Checkpoint,
    Frontier,
    SigningKey,
    VerifierKey,
    canonical_json,
    leaf_hash,
    open_checkpoint,
    sign_checkpoint,
)
from safehands.ledger.note import export_private, import_private
from safehands.store import Store, lock

__all__ = ["ORIGIN", "append", "check", "entries", "latest", "sequence", "signing_key", "verify"]

ORIGIN = "safehands/ledger"


def signing_key(provider: KeyProvider) -> SigningKey:
    """Return the key that signs checkpoints, making it on the first night."""
    if not provider.has("ledger"):
        provider.create("ledger", export_private(SigningKey.generate(ORIGIN)).encode())
    return import_private(provider.get("ledger").decode())


def append(
    connection: Connection,
    event: str,
    run: str,
    at: datetime,
    facts: Mapping[str, Any],
    document: str = "",
) -> None:
    """Add one entry: ``event`` is the step's name, ``facts`` are counts, rules and digests.

    ``document`` is the ``body_digest`` of a certificate that this entry vouches for.
    """
    body = {"event": event, "run": run, "at": at.isoformat(timespec="seconds"), "facts": facts}
    body |= {DOCUMENT_FIELD: document} if document else {}
    statement = text("INSERT INTO ledger_entry (body) VALUES (:body)")
    connection.execute(statement, {"body": canonical_json(body).decode()})


def sequence(store: Store, now: datetime) -> str | None:
    """Number what is new, sign a checkpoint over everything and return it.

    With nothing new the last checkpoint is returned and nothing is written; ``None`` when the
    trail is empty.
    """
    with store.begin() as connection:
        lock(connection, "safehands.ledger")
        fresh = _unnumbered(connection)
        if not fresh:
            return latest(connection)
        size = _size(connection)
        numbered = [{"id": row, "seq": size + i} for i, row in enumerate(fresh)]
        connection.execute(text("UPDATE ledger_entry SET seq = :seq WHERE id = :id"), numbered)
        note = _sign(connection, signing_key(store.provider), now)
        keep = text("INSERT INTO ledger_checkpoint (size, note) VALUES (:size, :note)")
        connection.execute(keep, {"size": size + len(fresh), "note": note})
        return note


def latest(connection: Connection) -> str | None:
    """Return the newest signed checkpoint, if there is one."""
    newest = "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"
    return connection.execute(text(newest)).scalar()


def entries(connection: Connection) -> Iterator[str]:
    """Yield the numbered entries in order."""
    rows = connection.execute(
        text("SELECT body FROM ledger_entry WHERE seq IS NOT NULL ORDER BY seq")
    )
    return (str(row[0]) for row in rows)


def verify(store: Store, verifier: VerifierKey) -> Checkpoint:
    """Recompute the tree and every kept checkpoint from the entries.

    Raises ``LedgerBroken`` when an entry was changed, dropped or moved, or a signature is wrong.
    """
    with store.begin() as connection:
        signed = check(connection, verifier)
    if not signed:
        raise LedgerBroken("journal.nothing_to_verify")
    return signed[-1]


def check(
    connection: Connection, verifier: VerifierKey, also: Iterable[str] = ()
) -> list[Checkpoint]:
    """Recompute the tree and compare it with every kept checkpoint; return those, by size.

    ``also`` are notes that were kept elsewhere: each must be a prefix of this trail too. Raises
    ``LedgerBroken``.
    """
    kept = connection.execute(text("SELECT note FROM ledger_checkpoint ORDER BY size"))
    signed = [open_checkpoint(str(row[0]), verifier) for row in kept]
    others = [open_checkpoint(note, verifier) for note in also]
    roots = _roots(connection, {c.size for c in (*signed, *others)})
    for checkpoint in (*signed, *others):
        if roots.get(checkpoint.size) != checkpoint.root:
            raise LedgerBroken("journal.root_differs", size=checkpoint.size)
    return signed


def _unnumbered(connection: Connection) -> list[int]:
    rows = connection.execute(text("SELECT id FROM ledger_entry WHERE seq IS NULL ORDER BY id"))
    return [int(row[0]) for row in rows]


def _size(connection: Connection) -> int:
    count = "SELECT coalesce(max(seq) + 1, 0) FROM ledger_entry"
    return int(connection.execute(text(count)).scalar_one())


def _sign(connection: Connection, key: SigningKey, now: datetime) -> str:
    leaves = (leaf_hash(body.encode()) for body in entries(connection))
    frontier = Frontier().extend(leaves)
    stamp = f"time {now.isoformat(timespec='seconds')}"
    return sign_checkpoint(Checkpoint(ORIGIN, frontier.size, frontier.root(), (stamp,)), key)


def _roots(connection: Connection, sizes: set[int]) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    frontier = Frontier()
    for body in entries(connection):
        frontier = frontier.append(leaf_hash(body.encode()))
        if frontier.size in sizes:
            roots[frontier.size] = frontier.root()
    return roots
