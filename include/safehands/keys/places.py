"""Where secrets lie: files in two folders, each a line of JSON that its owner alone may read.

Layout below the first place (the second holds ``epoch/`` again, so that one lost disk does not
lose people, and is where destruction must reach too)::

    root.key                     wraps the controllers' keys in the database (file provider only)
    root-next.key                its successor, while a rotation is under way
    root-former.key              the one before, until a backup has been proved without it
    base.key                     passwords, digests and the sealing of files come from it
    ledger.key                   Ed25519 seed that signs checkpoints
    backup-identity.key          age identity; only prove and restore_drill need it
    epoch/<controller>/<n>.key   lookup and salt keys of an epoch, in both places
    day/<kind>/<station>/<day>.key   quarantine and archive of one station and day
    run/<run>.key                artifacts of one night

File format: ``{"format": "safehands-key/1", "id": …, "key": base64}``, with ``"version"`` for a
root key after the first. What a :class:`Codec` adds is documented there.

Not promised: overwriting a file before removing it does not reach what a journalling or
flash-backed file system keeps elsewhere; copies that somebody made are out of reach.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from safehands.errors import KeyProblem
from safehands.keys.secret import Secret

__all__ = ["Clear", "Codec", "FilePlaces", "key_id", "locked"]

_FORMAT = "safehands-key/1"


def key_id(key: bytes) -> str:
    """Return the public id of a key: eight hex digits of a hash, enough to tell keys apart."""
    return sha256(b"safehands key id\x00" + key).hexdigest()[:8]


class Codec(Protocol):
    """How a secret stands in its file's JSON."""

    def encode(self, name: str, secret: bytes) -> dict[str, Any]:
        """Return the record of ``secret``."""
        ...

    def decode(self, name: str, record: Mapping[str, Any]) -> bytes:
        """Return the secret; raise ``ValueError``, ``KeyError`` or ``TypeError`` if damaged."""
        ...


class Clear:
    """The secret itself in base64: the file's permissions are its only protection."""

    def encode(self, name: str, secret: bytes) -> dict[str, Any]:  # noqa: ARG002 - one shape
        """Return format, id and key."""
        text = base64.b64encode(secret).decode()
        return {"format": _FORMAT, "id": key_id(secret), "key": text}

    def decode(self, name: str, record: Mapping[str, Any]) -> bytes:  # noqa: ARG002 - one shape
        """Return the key, if it is the one that the id says."""
        key = base64.b64decode(record["key"], validate=True)
        if record.get("format") != _FORMAT or record.get("id") != key_id(key):
            raise ValueError("id")
        return key


class FilePlaces(Secret):
    """Keeps named secrets as 0600 files; refuses files that others may touch.

    A file of zeros or without a byte is what a destruction leaves that was killed halfway: it
    counts as absent everywhere.
    """

    def __init__(self, first: Path, second: Path, codec: Codec | None = None) -> None:
        self.first, self.second = first, second
        self.codec: Codec = codec or Clear()

    def has(self, name: str) -> bool:
        """Say whether the secret exists in any of its places."""
        return any(_complete(path) for path in self._paths(name))

    def get(self, name: str) -> bytes:
        """Return a secret.

        Raises ``KeyProblem`` when it is missing, unreadable, damaged or readable by others.
        """
        return self._decoded(name, *self._record(name))

    def version_of(self, name: str) -> int:
        """Return the version that the file states (1 where it states none)."""
        path, record = self._record(name)
        version = record.get("version", 1)
        if not isinstance(version, int) or version < 1:
            raise KeyProblem("keys.damaged", file=str(path))
        return version

    def create(self, name: str, secret: bytes | None = None, *, version: int = 1) -> bytes:
        """Keep ``secret`` (default: 32 random bytes) under ``name`` unless one is there already.

        Two processes that race get the same secret: the first writer of the first place wins. A
        place that lost its copy is given it back.
        """
        fresh = secret if secret is not None else secrets.token_bytes(32)
        paths = self._paths(name)
        wanted = self.get(name) if self.has(name) else fresh
        _write_new(paths[0], self._line(name, wanted, version))
        kept = self.get(name)
        for path in paths[1:]:
            _write_new(path, self._line(name, kept, version))
        return kept

    def replace(self, name: str, secret: bytes) -> None:
        """Write ``name`` anew in one step in each place: a reader sees the old file or the new."""
        for path in self._paths(name):
            partial = _write_partial(path, self._line(name, secret, 1))
            os.replace(partial, path)
            _sync_folder(path.parent)

    def rename(self, name: str, target: str) -> None:
        """Let ``target`` be what ``name`` is now, in one step."""
        for path, goal in zip(self._paths(name), self._paths(target), strict=True):
            os.replace(path, goal)
            _sync_folder(goal.parent)

    def destroy(self, name: str) -> bool:
        """Overwrite and remove a secret in all its places. Return whether there was one."""
        found = False
        for path in self._paths(name):
            if path.exists():
                found = _complete(path) or found
                _shred(path)
        return found

    def tidy(self) -> None:
        """Remove what killed processes left: keys half destroyed, files not yet in their place."""
        for place in (self.first, self.second):
            for leftover in place.rglob(".*.key.*"):
                leftover.unlink(missing_ok=True)
            for path in place.rglob("*.key"):
                _clear(path)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the secrets below ``prefix`` (default: all), sorted."""
        pattern = f"{prefix}/**/*.key" if prefix else "**/*.key"
        found = {
            str(path.relative_to(place).with_suffix(""))
            for place in (self.first, self.second)
            for path in place.glob(pattern)
            if not path.name.startswith(".") and _complete(path)
        }
        return sorted(found)

    def _record(self, name: str) -> tuple[Path, dict[str, Any]]:
        for path in self._paths(name):
            if _complete(path):
                return path, _read(path)
        raise KeyProblem("keys.missing", name=name, place=str(self.first))

    def _decoded(self, name: str, path: Path, record: Mapping[str, Any]) -> bytes:
        try:
            return self.codec.decode(name, record)
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise KeyProblem("keys.damaged", file=str(path)) from None

    def _line(self, name: str, secret: bytes, version: int) -> str:
        more = {"version": version} if version > 1 else {}
        return json.dumps({**self.codec.encode(name, secret), **more}) + "\n"

    def _paths(self, name: str) -> list[Path]:
        places = [self.first, self.second] if name.startswith("epoch/") else [self.first]
        return [place / f"{name}.key" for place in places]


def _complete(path: Path) -> bool:
    """Say whether a key is in the file; zeros are the first half of a destruction."""
    try:
        return bool(path.read_bytes().strip(b"\0"))
    except FileNotFoundError:
        return False
    except PermissionError:
        # It is there; reading it explains what is wrong with it.
        return True


def _read(path: Path) -> dict[str, Any]:
    status = path.stat()
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        raise KeyProblem("keys.too_open", file=str(path))
    try:
        record = json.loads(path.read_text(encoding="ascii"))
    except (ValueError, OSError):
        raise KeyProblem("keys.damaged", file=str(path)) from None
    if not isinstance(record, dict):
        raise KeyProblem("keys.damaged", file=str(path))
    return record


def _write_new(path: Path, line: str) -> None:
    _make_folder(path.parent)
    _clear(path)
    while not path.exists():
        partial = _write_partial(path, line)
        try:
            # A hard link fails when the name is taken, so a racing writer never replaces a key.
            os.link(partial, path)
        except (FileExistsError, FileNotFoundError):
            # Somebody else was first, or tidied up between the two: look again.
            continue
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _clear(path: Path) -> None:
    """Remove a file of zeros. Under a lock, lest a key that has just taken its name be removed."""
    if path.exists() and not _complete(path):
        with locked(path.parent):
            if path.exists() and not _complete(path):
                path.unlink()
                _sync_folder(path.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of what the same lock guards; it ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_partial(path: Path, line: str) -> Path:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return partial


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _shred(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\0" * size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
