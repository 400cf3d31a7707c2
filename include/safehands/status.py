"""The state of an installation as plain data: counts, digests and dates, never a value."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.installation import Installation
from safehands.ledger import fingerprint
from safehands.store.digest import store_digest

__all__ = ["status"]

_COUNTED = ("subject", "parcel", "custody", "preference", "tombstone", "quarantine", "ledger_entry")


def status(inst: Installation) -> dict[str, Any]:
    """Return counts per table, key ids, newest checkpoint, backup and drill, the store digest."""
    with inst.store.begin("safehands_backup") as connection:
        counts = {
            table: int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
            for table in _COUNTED
        }
        backup = connection.execute(text(_BACKUP)).first()
        batches: dict[str, int] = {
            str(state): int(number) for state, number in connection.execute(text(_BATCHES))
        }
    with inst.store.begin() as connection:
        checkpoint = journal.latest(connection)
        drill = _drill(connection)
    return {
        "counts": counts,
        "batches": {"loaded": 0, "set_aside": 0, **batches},
        "root_key": inst.provider.key_id,
        "ledger_key": fingerprint(journal.signing_key(inst.provider).verifier),
        "ledger_size": int(checkpoint.splitlines()[1]) if checkpoint else 0,
        "checkpoint": checkpoint or "",
        "backup": {"date": str(backup[0]), "manifest": backup[1]} if backup else None,
        "drill": drill,
        "store_digest": store_digest(inst.store),
    }


def _drill(connection: Connection) -> dict[str, Any] | None:
    row = connection.execute(text(_DRILL)).first()
    if row is None:
        return None
    point = row[3].isoformat(timespec="seconds") if row[3] else ""
    return {"date": str(row[0]), "passed": row[1], "rto_seconds": row[2], "recovery_point": point}


_DRILL = (
    "SELECT business_date, passed, rto_seconds, recovery_point FROM restore_drill"
    " ORDER BY id DESC LIMIT 1"
)
_BACKUP = "SELECT business_date, manifest FROM backup ORDER BY id DESC LIMIT 1"
_BATCHES = "SELECT state, count(*) FROM batch GROUP BY state"
