"""Alone in the repository, and clear of what was left there: before a backup and before a prune."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from safehands.backup.manifest import Segment
from safehands.backup.removal import finish_prunes, forget_notes
from safehands.backup.repository import KEYS, MANIFESTS, Repository
from safehands.errors import BackupBroken
from safehands.store import Store, lock

__all__ = ["alone", "clear_up", "explained", "forget_segments", "newest_keys"]


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """Hold the backup's lock on a connection of its own; yield it to ask whether it lives."""
    with store.engine("safehands_pipeline").connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SELECT pg_advisory_lock(hashtext('safehands.backup'))"))
        try:
            yield connection
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtext('safehands.backup'))"))


@contextmanager
def explained(repository: Repository) -> Iterator[None]:
    """Turn an error of the file system or the object store into ``BackupBroken``."""
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise BackupBroken("backup.cannot_write", folder=repository.label, reason=reason) from None


def clear_up(repository: Repository, store: Store) -> None:
    """Remove what a killed backup wrote and did not record, and finish what a prune decided.

    Raises ``BackupBroken`` for the repository of another store, and leaves that alone.
    """
    with store.begin() as connection:
        # A killed backup's commit may still be on its way in the server: wait for it.
        lock(connection, "safehands.backup.commit")
        manifests = _column(connection, "SELECT manifest FROM backup")
        objects = _column(connection, "SELECT object FROM backup_object")
        keys = {segment.name for segment in newest_keys(connection)}
    announced = set(repository.announced())
    foreign = set(repository.list(MANIFESTS)) - manifests - announced
    if foreign:
        raise BackupBroken("backup.foreign", folder=repository.label, count=len(foreign))
    for name in announced - manifests - objects - keys:
        repository.remove(name)
    forget_segments(repository, keys)
    finish_prunes(repository, store)
    forget_notes(repository, store)
    repository.settle()


def forget_segments(repository: Repository, kept: set[str]) -> None:
    """Remove key segments beyond those that are ``kept``."""
    for name in set(repository.list(KEYS)) - kept:
        repository.remove(name)


def _column(connection: Connection, query: str) -> set[str]:
    return {str(row[0]) for row in connection.execute(text(query))}


def newest_keys(connection: Connection) -> tuple[Segment, ...]:
    """Return the key segments of the newest generation, the newest first."""
    newest = "SELECT facts -> 'keys' FROM backup ORDER BY id DESC LIMIT 1"
    found = connection.execute(text(newest)).scalar() or []
    return tuple(Segment(**segment) for segment in found)
