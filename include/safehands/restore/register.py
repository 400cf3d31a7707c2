"""The tables that describe the repository, written anew from its manifests.

They are in no backup. With them the next night goes on where the repository is: it references
what is there, and counts as lost what is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from safehands.backup.step import record_references
from safehands.ledger import canonical_json
from safehands.restore.source import Kept

__all__ = ["record_repository"]


def record_repository(connection: Connection, generations: Iterable[Kept]) -> None:
    """Record generations and objects, the oldest first, as the backups themselves would have."""
    kept = list(generations)
    seen: set[str] = set()
    for one in kept:
        values = {
            "id": one.manifest.number,
            "day": one.manifest.business_date,
            "manifest": one.name,
            "at": one.manifest.created_at,
            "facts": canonical_json(_facts(one, seen)).decode(),
        }
        connection.execute(text(_GENERATION), values)
        record_references(connection, one.name, one.manifest)
        seen |= {part.object for part in one.manifest.parts}
    connection.execute(text(_GO_ON))
    # One content may lie in two objects, when the first of them was lost: the newer one counts.
    parts = {(p.part, p.content): asdict(p) for one in kept for p in one.manifest.parts}
    if parts:
        connection.execute(text(_OBJECT), list(parts.values()))


def _facts(one: Kept, seen: set[str]) -> dict[str, Any]:
    manifest = one.manifest
    written = sum(part.object not in seen for part in manifest.parts)
    return {
        "parts": len(manifest.parts),
        "written": written,
        "unchanged": len(manifest.parts) - written,
        "rows": sum(manifest.tables.values()),
        "bytes": sum(part.bytes for part in manifest.parts) + manifest.keys[0].bytes,
        "lost": 0,
        "manifest": one.name,
        "manifest_digest": one.digest,
        "tables": dict(manifest.tables),
        "number": manifest.number,
        "lineage": manifest.lineage,
        "keys": [asdict(segment) for segment in manifest.keys],
    }


# Ids are given, not drawn: a restore that is undone does not give back what it drew.
_GENERATION = (
    "INSERT INTO backup (id, business_date, manifest, created_at, facts) OVERRIDING SYSTEM VALUE"
    " VALUES (:id, CAST(:day AS date), :manifest, CAST(:at AS timestamptz), CAST(:facts AS jsonb))"
)
_GO_ON = (
    "SELECT setval(pg_get_serial_sequence('backup', 'id'), max(id)) FROM backup"
    " HAVING max(id) IS NOT NULL"
)
_OBJECT = (
    "INSERT INTO backup_object (part, content, object, rows, bytes)"
    " VALUES (:part, :content, :object, :rows, :bytes)"
)
