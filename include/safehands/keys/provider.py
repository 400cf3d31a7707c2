"""The key provider: named secrets, and a root key that wraps what lies in the database.

:class:`FileProvider` keeps everything in files and is the default. Others are in ``sealed`` (root
key from the environment, HashiCorp Vault or AWS KMS, chosen by URL in ``choose``).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from safehands.errors import KeyProblem
from safehands.keys.codec import base_of, is_sealed
from safehands.keys.places import FilePlaces, key_id, locked
from safehands.keys.roots import LocalRoot, Root, proved

__all__ = ["ESCROWED", "FileProvider", "KeyProvider", "digest_key", "key_id", "role_password"]

_ROOT, _NEXT, _FORMER, _BASE = "root", "root-next", "root-former", "base"

ESCROWED = ("base", "ledger", "backup-identity")
"""What must survive the machine beside the root key; what exists to be destroyed is not here."""


class KeyProvider(Protocol):
    """What every key provider can do. ``first`` is the folder for public files beside the keys."""

    first: Path

    @property
    def key_id(self) -> str:
        """The root key's id, or ``none`` before there is one."""
        ...

    @property
    def root_version(self) -> int:
        """The root key's version."""
        ...

    def has(self, name: str) -> bool:
        """Say whether the secret exists in any of its places."""
        ...

    def get(self, name: str) -> bytes:
        """Return a secret; raise ``KeyProblem`` when it is missing or cannot be used."""
        ...

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        """Keep ``secret`` (default: 32 random bytes) unless there is one; return what is kept."""
        ...

    def destroy(self, name: str) -> bool:
        """Remove a secret from all its places for good. Return whether there was one."""
        ...

    def tidy(self) -> None:
        """Remove what killed processes left behind."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the secrets below ``prefix``, sorted."""
        ...

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key`` under the root key, bound to ``purpose``."""
        ...

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt what ``wrap`` made for the same purpose; raise ``KeyProblem`` otherwise."""
        ...

    def base(self) -> bytes:
        """Return the key that passwords and digests come from; it outlives the root key."""
        ...

    def escrowed(self) -> dict[str, bytes]:
        """Return the secrets that belong into escrow, by name; the root key where it is ours."""
        ...

    def ensure_root(self) -> None:
        """Make the root key where this provider can; raise ``KeyProblem`` where it is missing."""
        ...

    def successor(self) -> Root | None:
        """Return the root key that a rotation under way leads to, if there is one."""
        ...

    def prepare(self, known_version: int) -> Root:
        """Make the next root key, or find the one made before: a proved one.

        ``known_version`` is that of the root key in use, as the store recorded it.
        """
        ...

    def promote(self, root_id: str) -> bool:
        """Let the next root key take over if it is ``root_id``; return whether it was.

        The one before stays as the former root key: what was backed up under it opens still.
        """
        ...

    def opens_root(self, root_id: str) -> bool:
        """Say whether what the root key ``root_id`` wrapped opens: the present or the former."""
        ...

    def end_former(self) -> None:
        """End the former root key for good. Safe to repeat."""
        ...

    def without_former(self) -> KeyProvider:
        """Return this provider as if the former root key had ended already."""
        ...


class FileProvider(FilePlaces):
    """Everything in files: the root key too, unencrypted, mode 0600."""

    _withholds_former = False

    @property
    def key_id(self) -> str:  # type: ignore[override]
        """The root key's id, or ``none`` before there is one."""
        return key_id(self.get(_ROOT)) if self.has(_ROOT) else "none"

    @property
    def root_version(self) -> int:
        """The root key's version."""
        return self.version_of(_ROOT)

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key`` under the root key: version byte, 12-byte nonce, AES-256-GCM."""
        return self.root().wrap(key, purpose)

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt what ``wrap`` made for the same purpose.

        Raises ``KeyProblem`` when the root key is another one or the bytes were changed.
        """
        try:
            return self.root().unwrap(wrapped, purpose)
        except KeyProblem:
            # A rotation has changed the store and is about to change this folder, or has changed
            # both, and a backup from before it is restored.
            for other in (self.successor(), self.former()):
                try:
                    if other is not None:
                        return other.unwrap(wrapped, purpose)
                except KeyProblem:
                    continue
            raise

    def base(self) -> bytes:
        """Return the key that passwords and digests come from.

        Until the first rotation it is derived from the root key; then it is a file of its own,
        because digests in older backups must stay comparable when the root key goes.
        """
        if self.has(_BASE):
            return self.get(_BASE)
        return hmac.digest(self.get(_ROOT), b"safehands/1/base", "sha256")

    def escrowed(self) -> dict[str, bytes]:
        """Return root key, base key, ledger key and backup identity, as far as they are here."""
        return {name: self.get(name) for name in (_ROOT, *ESCROWED) if self.has(name)}

    def ensure_root(self) -> None:
        """Make the root key unless there is one."""
        self.create(_ROOT)

    def _decoded(self, name: str, path: Path, record: Mapping[str, Any]) -> bytes:
        if name == _BASE and is_sealed(record):
            # A move to a root key elsewhere was begun and not ended: this root key opens it too.
            return base_of(record, [self.root()])
        return super()._decoded(name, path, record)

    def root(self) -> LocalRoot:
        """Return the root key. Raises ``KeyProblem`` when it is missing or damaged."""
        return LocalRoot(self.get(_ROOT), self.root_version)

    def successor(self) -> Root | None:
        """Return the root key in ``root-next.key``, if there is one."""
        if not self.has(_NEXT):
            return None
        return LocalRoot(self.get(_NEXT), self.version_of(_NEXT))

    def prepare(self, known_version: int) -> Root:
        """Make ``root-next.key`` unless it is there; give the base key a file of its own."""
        # In clear: a move elsewhere that failed may have left it wrapped by the root key that goes.
        self.replace(_BASE, self.base())
        self.create(_NEXT, version=max(known_version, self.root_version) + 1)
        following = self.successor()
        assert following is not None
        return proved(following)

    def promote(self, root_id: str) -> bool:
        """Let ``root-next.key`` take the name of the root key, which is ``root-former.key`` then.

        Killed between the two, the successor is there and is promoted at the next start. Under a
        lock: of two processes that start then, the second must not move the new root key away.
        """
        if not self.has(_NEXT):
            return False
        with locked(self.first):
            following = self.successor()
            if following is None or following.key_id != root_id:
                return False
            if self.has(_ROOT):
                self.rename(_ROOT, _FORMER)
            self.rename(_NEXT, _ROOT)
            return True

    def former(self) -> Root | None:
        """Return the root key before this one, as long as it is kept."""
        if self._withholds_former or not self.has(_FORMER):
            return None
        return LocalRoot(self.get(_FORMER), self.version_of(_FORMER))

    def opens_root(self, root_id: str) -> bool:
        """Say whether what the root key ``root_id`` wrapped opens: the present or the former."""
        former = self.former()
        return root_id == self.key_id or (former is not None and root_id == former.key_id)

    def end_former(self) -> None:
        """Overwrite and remove ``root-former.key``."""
        self.destroy(_FORMER)

    def without_former(self) -> FileProvider:
        """Return a provider over the same folders that does not see the former root key."""
        alone = FileProvider(self.first, self.second, self.codec)
        alone._withholds_former = True
        return alone


def role_password(provider: KeyProvider, role: str) -> str:
    """Return the database password of ``role``, derived from the base key."""
    return hmac.digest(provider.base(), b"role/1/" + role.encode(), "sha256").hex()


def digest_key(provider: KeyProvider, purpose: str) -> bytes:
    """Return the key of keyed digests for ``purpose`` (store digest, backup parts)."""
    return hmac.digest(provider.base(), b"digest/1/" + purpose.encode(), "sha256")
