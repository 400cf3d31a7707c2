"""Which tables hold a subject id, and what an erasure does to each.

A table that holds one and is not known here stops an erasure: whoever adds such a table decides
what becomes of its rows, in this list and in the database's ``erase_subjects``.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, text

from safehands.errors import PolicyError

__all__ = ["FATE", "check_known"]

Fate = Literal["deleted", "cut", "cut where law keeps it", "under the epoch key", "kept by a hold"]

FATE: dict[str, Fate] = {
    "subject": "deleted",
    "parcel": "deleted",
    "parcel_held": "cut where law keeps it",
    "custody": "deleted",
    "preference": "deleted",
    "listing": "deleted",
    "correction": "deleted",
    "restriction": "deleted",
    "access_log": "cut",
    "consent_event": "cut",
    "disclosure_subject": "cut",
    "complaint": "cut",
    "handover_subject": "deleted",
    "subject_request": "cut",
    "legal_hold": "kept by a hold",
    "erasure_subject": "under the epoch key",
    "person_figure": "deleted",
}
"""``listing`` holds the id as ``token``; triggers on ``subject`` empty it and ``person_figure``.
``legal_hold`` names a subject for as long as the hold stands, and then nobody is erased; the id of
one that has ended is random and leads nowhere."""


def check_known(connection: Connection) -> None:
    """Raise ``PolicyError`` for a table with a subject id whose fate nobody decided."""
    for (name,) in connection.execute(text(_TABLES)):
        if name not in FATE:
            raise PolicyError("erasure.unknown_table", table=str(name))


_TABLES = (
    "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    " AND NOT c.relispartition AND a.attname = 'subject_id' AND NOT a.attisdropped ORDER BY 1"
)
