"""Every column of ciphertext in the store, and which key it hangs on.

A rotation refuses to start while there is a column of bytes that nobody declared here: what is
forgotten would be noticed when the old key is gone.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, text

from safehands.errors import KeyProblem

__all__ = ["CIPHERTEXT", "Under", "check_declared"]

Under = Literal["root", "data", "epoch", "day"]

CIPHERTEXT: dict[tuple[str, str], Under] = {
    ("controller_key", "data"): "root",
    ("controller_key", "tombstone"): "root",
    ("controller_key", "suppression"): "root",
    ("controller_key", "tokens"): "root",
    ("former_key", "data"): "root",
    ("root_key", "check_value"): "root",
    ("subject", "wrapped_salt"): "epoch",
    ("erasure_subject", "wrapped"): "epoch",
    ("correction", "wrapped"): "epoch",
    ("subject", "sealed"): "data",
    # What a night replaced, until its purge: the rotation removes it.
    ("subject", "before"): "data",
    ("custody", "sealed"): "data",
    ("quarantine", "sealed"): "day",
    ("control_evidence", "sealed"): "day",
    ("finding", "sealed"): "day",
    ("pipia_answer", "sealed"): "day",
    ("pipia_event", "sealed"): "day",
}

_FOUND = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    " AND a.atttypid = 'bytea'::regtype ORDER BY 1, 2"
)


def check_declared(connection: Connection) -> None:
    """Raise ``KeyProblem`` for a column of bytes that is not in :data:`CIPHERTEXT`."""
    for table, column in connection.execute(text(_FOUND)):
        if (table, column) not in CIPHERTEXT:
            raise KeyProblem("keys.undeclared_column", table=table, column=column)
