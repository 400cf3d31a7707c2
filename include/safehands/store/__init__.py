"""The store: PostgreSQL, embedded or served."""

from __future__ import annotations

from safehands.store.engine import (
    AUDITOR,
    ROLES,
    EvidenceStore,
    Store,
    bind,
    driver,
    lock,
    passfile_line,
)
from safehands.store.setup import prepare_store

__all__ = [
    "AUDITOR",
    "ROLES",
    "EvidenceStore",
    "Store",
    "bind",
    "driver",
    "lock",
    "passfile_line",
    "prepare_store",
]
