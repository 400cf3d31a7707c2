"""The file key provider: secrets as 0600 files, the root key and what it wraps.

Layout below the first place (the second holds ``epoch/`` again, so that one lost disk does not
lose people, and is where destruction must reach too)::

    root.key                     wraps the controllers' keys in the database
    ledger.key                   Ed25519 seed that signs checkpoints
    backup-identity.key          age identity; only prove and restore_drill need it
    epoch/<controller>/<n>.key   lookup and salt keys of an epoch, in both places
    day/<kind>/<station>/<day>.key   quarantine and archive of one station and day
    run/<run>.key                artifacts of one night

File format: one line of JSON, ``{"format": "safehands-key/1", "id": …, "key": base64}``.

Not promised: overwriting a file before removing it does not reach what a journalling or
flash-backed file system keeps elsewhere; copies that somebody made are out of reach.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehands.errors import KeyProblem
from safehands.keys.secret import Secret, opened

__all__ = ["FileProvider", "digest_key", "key_id", "role_password"]

_FORMAT = "safehands-key/1"
_WRAP = b"\x01"


def key_id(key: bytes) -> str:
    """Return the public id of a key: eight hex digits of a hash, enough to tell keys apart."""
    return sha256(b"safehands key id\x00" + key).hexdigest()[:8]


class FileProvider(Secret):
    """Keeps named secrets in two folders and wraps other keys under the root key."""

    def __init__(self, first: Path, second: Path) -> None:
        self.first, self.second = first, second

    @property
    def key_id(self) -> str:  # type: ignore[override]
        """The root key's id, or ``none`` before there is one."""
        return key_id(self.get("root")) if self.has("root") else "none"

    def has(self, name: str) -> bool:
        """Say whether the secret exists in any of its places."""
        return any(path.exists() for path in self._paths(name))

    def get(self, name: str) -> bytes:
        """Return a secret.

        Raises ``KeyProblem`` when it is missing, unreadable, damaged or readable by others.
        """
        for path in self._paths(name):
            if path.exists():
                return _read(path)
        raise KeyProblem("keys.missing", name=name, place=str(self.first))

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        """Keep ``secret`` (default: 32 random bytes) under ``name`` unless one is there already.

        Two processes that race get the same secret: the first writer of the first place wins. A
        place that lost its copy is given it back.
        """
        fresh = secret if secret is not None else secrets.token_bytes(32)
        paths = self._paths(name)
        _write_new(paths[0], self.get(name) if self.has(name) else fresh)
        kept = self.get(name)
        for path in paths[1:]:
            _write_new(path, kept)
        return kept

    def destroy(self, name: str) -> bool:
        """Overwrite and remove a secret in all its places. Return whether there was one."""
        found = False
        for path in self._paths(name):
            if path.exists():
                _shred(path)
                found = True
        return found

    def tidy(self) -> None:
        """Remove what a killed process left of keys that it was about to keep."""
        for place in (self.first, self.second):
            for leftover in place.rglob(".*.key.*"):
                leftover.unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the secrets below ``prefix``, sorted."""
        found = {
            str(path.relative_to(place).with_suffix(""))
            for place in (self.first, self.second)
            for path in place.glob(f"{prefix}/**/*.key")
        }
        return sorted(found)

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key`` under the root key: version byte, 12-byte nonce, AES-256-GCM."""
        nonce = os.urandom(12)
        return _WRAP + nonce + AESGCM(self.get("root")).encrypt(nonce, key, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt what ``wrap`` made for the same purpose.

        Raises ``KeyProblem`` when the root key is another one or the bytes were changed.
        """
        if wrapped[:1] != _WRAP:
            raise KeyProblem("keys.newer_format", name=purpose)
        try:
            return opened(AESGCM(self.get("root")), wrapped[1:], purpose.encode())
        except InvalidTag:
            raise KeyProblem("keys.wrong_root", id=self.key_id) from None

    def _paths(self, name: str) -> list[Path]:
        places = [self.first, self.second] if name.startswith("epoch/") else [self.first]
        return [place / f"{name}.key" for place in places]


def _read(path: Path) -> bytes:
    status = path.stat()
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        raise KeyProblem("keys.too_open", file=str(path))
    try:
        record = json.loads(path.read_text(encoding="ascii"))
        key = base64.b64decode(record["key"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, OSError):
        raise KeyProblem("keys.damaged", file=str(path)) from None
    if record.get("format") != _FORMAT or record.get("id") != key_id(key):
        raise KeyProblem("keys.damaged", file=str(path))
    return key


def _write_new(path: Path, secret: bytes) -> None:
    _make_folder(path.parent)
    if path.exists() and not path.read_bytes().strip(b"\0"):
        # A destruction was killed after its first half.
        path.unlink(missing_ok=True)
    while not path.exists():
        partial = _write_partial(path, secret)
        try:
            # A hard link fails when the name is taken, so a racing writer never replaces a key.
            os.link(partial, path)
        except (FileExistsError, FileNotFoundError):
            # Somebody else was first, or tidied up between the two: look again.
            continue
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _write_partial(path: Path, secret: bytes) -> Path:
    record = {"format": _FORMAT, "id": key_id(secret), "key": base64.b64encode(secret).decode()}
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(json.dumps(record) + "\n")
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
    path.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def role_password(provider: FileProvider, role: str) -> str:
    """Return the database password of ``role``, derived from the root key."""
    return hmac.digest(provider.get("root"), b"role/1/" + role.encode(), "sha256").hex()


def digest_key(provider: FileProvider, purpose: str) -> bytes:
    """Return the key of keyed digests for ``purpose`` (store digest, backup parts)."""
    return hmac.digest(provider.get("root"), b"digest/1/" + purpose.encode(), "sha256")
