"""Backup: one snapshot of the store into an encrypted, incremental, verified repository.

In the order of dependence: ``repository`` (files), ``tables`` and ``parts`` (what is cut how),
``reading`` and ``content`` (rows, digests, Parquet), ``manifest`` and ``keysegment``,
``recipients``, ``step`` (the nightly step), ``verifying``.
"""

from __future__ import annotations

from safehands.backup.recipients import recipients
from safehands.backup.repository import Repository
from safehands.backup.step import backup
from safehands.backup.verifying import Report, verify_repository

__all__ = [
    "Report",
    "Repository",
    "backup",
    "recipients",
    "verify_repository",
]
