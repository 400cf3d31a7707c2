"""The backup repository: a folder of immutable files, written whole or not at all.

::

    objects/<sha256 of the file>              one part of one table
    keys/<n>-<first 8 of sha256>.age          salts and tombstones; the newest two are kept
    manifests/<date>-<first 8 of sha256>.age  what one generation consists of
    .pending                                  names that an unfinished backup may have written

Every name holds the digest of its own file, so damage is seen without any key. ``Repository`` has
few verbs on purpose: an object store can stand in its place.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from safehands.datasets import safe_name
from safehands.errors import BackupBroken

__all__ = ["KEYS", "MANIFESTS", "OBJECTS", "Repository", "digest", "manifest_name", "object_name"]

OBJECTS, KEYS, MANIFESTS = "objects", "keys", "manifests"

_PENDING = ".pending"
_PARTIAL = ".partial-"
_NAMES = {
    OBJECTS: re.compile(r"objects/(?P<digest>[0-9a-f]{64})"),
    KEYS: re.compile(r"keys/\d{6,}-(?P<digest>[0-9a-f]{8})\.age"),
    MANIFESTS: re.compile(r"manifests/\d{4}-\d{2}-\d{2}-(?P<digest>[0-9a-f]{8})\.age"),
}


def digest(data: bytes) -> str:
    """Return SHA-256 as hex."""
    return hashlib.sha256(data).hexdigest()


def object_name(data: bytes) -> str:
    """Return the name of an object that holds ``data``."""
    return f"{OBJECTS}/{digest(data)}"


def manifest_name(day: str, data: bytes) -> str:
    """Return the name of a manifest; ``day`` is ISO 8601."""
    return f"{MANIFESTS}/{day}-{digest(data)[:8]}.age"


class Repository:
    """Files by name below ``folder``. Names use ``/`` and come from this package alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def label(self) -> str:
        """The folder as it may be shown."""
        return safe_name(str(self.folder))

    def put(self, name: str, data: bytes) -> None:
        """Write a file: on disk and complete before it appears under its name."""
        path = self.folder / name
        _make_folder(path.parent)
        partial = path.with_name(f"{_PARTIAL}{secrets.token_hex(8)}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            _forget(handle)
        os.replace(partial, path)

    def get(self, name: str) -> bytes:
        """Return a file's bytes after comparing them with the digest in its name.

        Raises ``BackupBroken`` when the file is gone or differs.
        """
        try:
            data = (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise BackupBroken("backup.missing", file=safe_name(name)) from None
        if not digest(data).startswith(_promised(name)):
            raise BackupBroken("backup.differs", file=name)
        return data

    def list(self, prefix: str) -> Sequence[str]:
        """Return the names below ``objects``, ``keys`` or ``manifests``, sorted.

        Raises ``BackupBroken`` for a file that has no business there.
        """
        names = sorted(f"{prefix}/{entry.name}" for entry in self._entries(prefix))
        for name in names:
            _promised(name)
        return names

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, ``None`` when there is no such file."""
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Wait until the names of all files are on disk."""
        for folder in (*(self.folder / prefix for prefix in _NAMES), self.folder):
            if folder.exists():
                _sync(folder)

    def announce(self, name: str) -> None:
        """Note that ``name`` is about to be written, so that a killed backup can be cleared up."""
        _make_folder(self.folder)
        handle = os.open(self._pending, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{name}\n")

    def announced(self) -> Sequence[str]:
        """Return what an unfinished backup may have written; a line cut short counts as nothing."""
        if not self._pending.exists():
            return []
        lines = self._pending.read_text(encoding="ascii", errors="replace").split("\n")
        return [line for line in lines if _pattern(line) is not None]

    def settle(self) -> None:
        """Forget the announcements: what they name is either kept or gone."""
        self._pending.unlink(missing_ok=True)
        for partial in self.folder.glob(f"*/{_PARTIAL}*"):
            partial.unlink()
        self.sync()

    @property
    def _pending(self) -> Path:
        return self.folder / _PENDING

    def _entries(self, prefix: str) -> Sequence[Path]:
        folder = self.folder / prefix
        found = folder.iterdir() if folder.exists() else ()
        return [entry for entry in found if not entry.name.startswith(_PARTIAL)]


def _pattern(name: str) -> re.Match[str] | None:
    pattern = _NAMES.get(name.partition("/")[0])
    return pattern.fullmatch(name) if pattern else None


def _promised(name: str) -> str:
    found = _pattern(name)
    if found is None:
        raise BackupBroken("backup.unknown_file", file=safe_name(name))
    return found["digest"]


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(handle: int) -> None:
    # What is read back shall come from the disk, not from the memory it was just written to.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
