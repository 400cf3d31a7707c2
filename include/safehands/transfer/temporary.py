"""Temporary tables that one transaction fills again for each part of a package."""

from __future__ import annotations

from typing import Any

import psycopg

__all__ = ["fresh"]


def fresh(raw: psycopg.Connection[Any], name: str, columns: str) -> None:
    """Make the temporary table ``name`` (dropped at commit), or empty it; both are ours to name."""
    made = f"CREATE TEMP TABLE IF NOT EXISTS {name} ({columns}) ON COMMIT DROP"
    raw.execute(made.encode())
    raw.execute(f"TRUNCATE {name}".encode())
