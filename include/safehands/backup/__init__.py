"""Backup: one snapshot of the store into an encrypted, incremental, verified repository.

In the order of dependence: ``files``, ``repository`` and ``place`` (where it lies), ``policy``,
``tables`` and ``parts`` (what is cut how), ``reading`` and ``content`` (rows, digests, Parquet),
``manifest``, ``keysegment`` and ``pruned`` (what is signed), ``recipients``, ``step`` (the nightly
step), ``verifying``, ``prune``.
"""

from __future__ import annotations

from safehands.backup.place import open_repository
from safehands.backup.prune import planned, prune
from safehands.backup.recipients import recipients
from safehands.backup.repository import Repository
from safehands.backup.step import backup
from safehands.backup.verifying import Report, verify_repository
from safehands.backuppolicy import BackupPolicy, load_backup_policy

__all__ = [
    "BackupPolicy",
    "Report",
    "Repository",
    "backup",
    "load_backup_policy",
    "open_repository",
    "planned",
    "prune",
    "recipients",
    "verify_repository",
]
