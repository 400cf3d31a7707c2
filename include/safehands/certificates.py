"""Certificates out of the ledger: a body, the entry that vouches for it, its proof, a signature.

The order of issuing: ``body_digest`` goes into an entry (``journal.append(…, document=…)``) in the
transaction of what it certifies, the entry is numbered, and then this module puts the document
together, today or in three years: the newest checkpoint holds the entry too.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text

from safehands import journal
from safehands.errors import LedgerBroken
from safehands.ledger import (
    Json,
    body_digest,
    inclusion_proof,
    leaf_hash,
    make_document,
    open_checkpoint,
)
from safehands.store import Store

__all__ = ["certificate", "keep_certificate"]


def certificate(store: Store, kind: str, body: Mapping[str, Any]) -> dict[str, Json]:
    """Return the signed document of a body that the numbered ledger vouches for.

    Raises ``LedgerBroken`` when no numbered entry names this body, or for a value in it that looks
    like a person's.
    """
    key = journal.signing_key(store.provider)
    with store.begin() as connection:
        row = connection.execute(text(_ENTRY), {"digest": body_digest(kind, body)}).first()
        note = journal.latest(connection)
        if row is None or note is None:
            raise LedgerBroken("journal.no_entry", kind=kind)
        size = open_checkpoint(note, key.verifier).size
        leaves = [leaf_hash(entry.encode()) for entry in journal.entries(connection)]
    return make_document(
        kind,
        body,
        entry=str(row[1]).encode(),
        index=int(row[0]),
        checkpoint_note=note,
        proof=inclusion_proof(leaves, int(row[0]), size),
        key=key,
    )


def keep_certificate(path: Path, document: Mapping[str, Json]) -> None:
    """Write a document where people look for it: whole or not at all, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in path.parent.glob(f".{path.name}.*.partial"):
        # A writer that was killed had no time to rename it.
        left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    # What earlier tries left that were killed before their last line.
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        leftover.unlink(missing_ok=True)


_ENTRY = (
    "SELECT seq, body FROM ledger_entry WHERE seq IS NOT NULL"
    " AND body::jsonb ->> 'document' = :digest ORDER BY seq LIMIT 1"
)
