"""Where hand-overs stand, from the store alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from safehands.handover.state import following, load
from safehands.installation import Installation

__all__ = ["status"]


def status(inst: Installation, handover_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return one hand-over, or all, oldest first. Raises ``HandoverRefused`` for an unknown one."""
    with inst.store.begin() as connection:
        if handover_id is not None:
            load(connection, handover_id)
        rows = connection.execute(text(_ALL), {"id": handover_id}).all()
    return [
        {
            "handover": str(row[0]),
            "mode": row[1],
            "state": row[2],
            "next": following(row[1], row[2]) or "",
            "stations": list(row[3]),
            "changed": row[4].isoformat(timespec="seconds"),
        }
        for row in rows
    ]


_ALL = (
    "SELECT handover_id, mode, state, request -> 'stations', changed_at FROM handover"
    " WHERE handover_id = CAST(:id AS uuid) OR CAST(:id AS uuid) IS NULL"
    " ORDER BY opened_at, handover_id"
)
