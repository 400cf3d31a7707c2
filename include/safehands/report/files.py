"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from safehands.errors import SetupProblem

__all__ = ["digest", "holds", "write"]


def digest(data: bytes) -> str:
    """Return SHA-256 as hex."""
    return hashlib.sha256(data).hexdigest()


def holds(path: Path, wanted: str) -> bool:
    """Say whether ``path`` is a file with the digest ``wanted``."""
    return path.is_file() and digest(path.read_bytes()) == wanted


def write(path: Path, data: bytes) -> None:
    """Write ``data``: on disk before it appears as ``path``. Only the owner may read it.

    Raises ``SetupProblem`` when the folder cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # One name, so that what a killed report left is written over. The caller holds a lock.
        partial = path.with_name(f".{path.name}.partial")
        _write_new(partial, data)
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise SetupProblem("report.cannot_write", file=path.name, reason=reason) from None


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
