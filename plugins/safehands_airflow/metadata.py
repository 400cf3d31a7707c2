"""Airflow's own database: brought to the installed version, with the pools that the DAGs name."""

from __future__ import annotations

import os

from safehands_airflow.lineage import require_sieve

__all__ = ["POOLS", "prepare_metadata"]

POOLS = {"safehands_store": (2, "Shards that write to the store at the same time")}
"""Name, slots and description. The slots that somebody has changed since stay."""


def prepare_metadata() -> None:
    """Migrate Airflow's database and make the pools that are missing. Raises ``SetupProblem``."""
    require_sieve(os.environ)
    from airflow.models.pool import Pool
    from airflow.utils.db import upgradedb

    upgradedb()
    for name, (slots, text) in POOLS.items():
        if Pool.get_pool(name) is None:
            Pool.create_or_update_pool(name, slots, text, include_deferred=False)
