"""The store: PostgreSQL, embedded or served."""

from __future__ import annotations

from safehands.store.engine import ROLES, Store, driver, lock
from safehands.store.setup import prepare_store

__all__ = ["ROLES", "Store", "driver", "lock", "prepare_store"]
