"""The backup repository: immutable files, written whole or not at all.

::

    objects/<sha256 of the file>              one part of one table
    keys/<n>-<first 8 of sha256>.age          salts and tombstones; the newest two are kept
    manifests/<date>-<first 8 of sha256>.age  what one generation consists of
    prunes/<n>-<state>-<first 8 of sha256>.note  what a prune removes, or has removed
    .pending                                  names that an unfinished backup may have written

Every name holds the digest of its own file, so damage is seen without any key. ``files`` says
where they lie: a folder, or an object store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from safehands.backup.files import Files, LocalFiles
from safehands.datasets import safe_name
from safehands.errors import BackupBroken

__all__ = [
    "KEYS",
    "MANIFESTS",
    "OBJECTS",
    "PRUNES",
    "Repository",
    "digest",
    "manifest_name",
    "object_name",
]

OBJECTS, KEYS, MANIFESTS, PRUNES = "objects", "keys", "manifests", "prunes"

_PENDING = ".pending"
_NAMES = {
    OBJECTS: re.compile(r"objects/(?P<digest>[0-9a-f]{64})"),
    KEYS: re.compile(r"keys/\d{6,}-(?P<digest>[0-9a-f]{8})\.age"),
    MANIFESTS: re.compile(r"manifests/\d{4}-\d{2}-\d{2}-(?P<digest>[0-9a-f]{8})\.age"),
    PRUNES: re.compile(r"prunes/\d{6,}-(removing|removed)-(?P<digest>[0-9a-f]{8})\.note"),
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
    """Files by name, in a folder (a ``Path``) or wherever ``Files`` has them."""

    def __init__(self, place: Path | Files) -> None:
        self.files: Files = LocalFiles(place) if isinstance(place, Path) else place

    @property
    def label(self) -> str:
        """The place as it may be shown."""
        return self.files.label

    def put(self, name: str, data: bytes) -> None:
        """Write a file: kept and complete before it appears under its name."""
        self.files.write(name, data)

    def get(self, name: str) -> bytes:
        """Return a file's bytes after comparing them with the digest in its name.

        Raises ``BackupBroken`` when the file is gone or differs.
        """
        try:
            data = self.files.read(name)
        except FileNotFoundError:
            raise BackupBroken("backup.missing", file=safe_name(name)) from None
        if not digest(data).startswith(_promised(name)):
            raise BackupBroken("backup.differs", file=name)
        return data

    def holds(self, name: str, whole: str) -> bool:
        """Say whether the file is there and has the SHA-256 ``whole``."""
        try:
            return digest(self.files.read(name)) == whole
        except FileNotFoundError:
            return False

    def list(self, prefix: str) -> Sequence[str]:
        """Return the names below ``objects``, ``keys``, ``manifests`` or ``prunes``, sorted.

        Raises ``BackupBroken`` for a file that has no business there.
        """
        names = sorted(f"{prefix}/{name}" for name in self.files.listing(prefix))
        for name in names:
            _promised(name)
        return names

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, ``None`` when there is no such file."""
        return self.files.size(name)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return name and size in bytes of every file below ``prefix``, whatever its name."""
        return {f"{prefix}/{name}": size for name, size in self.files.listing(prefix).items()}

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        self.files.remove(name)

    def sync(self) -> None:
        """Wait until the names of all files are kept."""
        self.files.sync(tuple(_NAMES))

    def announce(self, name: str) -> None:
        """Note that ``name`` is about to be written, so that a killed backup can be cleared up."""
        self.files.append(_PENDING, name)

    def announced(self) -> Sequence[str]:
        """Return what an unfinished backup may have written; a line cut short counts as nothing."""
        try:
            lines = self.files.read(_PENDING).decode("ascii", "replace").split("\n")
        except FileNotFoundError:
            return []
        return [line for line in lines if _pattern(line) is not None]

    def settle(self) -> None:
        """Forget the announcements: what they name is either kept or gone."""
        self.files.remove(_PENDING)
        self.files.tidy(tuple(_NAMES))
        self.sync()


def _pattern(name: str) -> re.Match[str] | None:
    pattern = _NAMES.get(name.partition("/")[0])
    return pattern.fullmatch(name) if pattern else None


def _promised(name: str) -> str:
    found = _pattern(name)
    if found is None:
        raise BackupBroken("backup.unknown_file", file=safe_name(name))
    return found["digest"]
