"""A provider whose root key is elsewhere: in a variable, in HashiCorp Vault, in AWS KMS.

Named secrets lie in files as with :class:`FileProvider`, but sealed (AES-256-GCM, bound to their
name) under a key derived from the base key; the base key's file holds it wrapped by the root key,
during a rotation by the old and the new one. Whoever takes the folder alone has nothing.

The format is that of ``codec``. Files of version 1 are read as well: a folder that was moved from
the file provider is sealed when it is tidied.

The places may also be something else than files (Vault's KV store): then nothing is sealed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from safehands.errors import KeyProblem
from safehands.keys.codec import Sealed
from safehands.keys.places import FilePlaces
from safehands.keys.provider import ESCROWED, FileProvider
from safehands.keys.roots import LocalRoot, Root, proved
from safehands.keys.secret import Secret

__all__ = ["Places", "SealedFiles", "SealedProvider", "moved"]

_BASE = "base"
_OF_FILES = ("root", "root-next", "root-former")


class Places(Protocol):
    """Where named secrets lie."""

    def has(self, name: str) -> bool:
        """Say whether the secret exists."""
        ...

    def get(self, name: str) -> bytes:
        """Return it or raise ``KeyProblem``."""
        ...

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        """Keep it unless there is one; return what is kept."""
        ...

    def destroy(self, name: str) -> bool:
        """End it for good."""
        ...

    def tidy(self) -> None:
        """Remove what killed processes left."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Return the names below ``prefix``, sorted."""
        ...

    def trust(self, roots: list[Root]) -> None:
        """From now on the base key is wrapped by these, the first of them in use."""
        ...

    def former(self) -> Root | None:
        """Return a root key in a file that another kind of root key has followed."""
        ...

    def end_former(self) -> None:
        """End root keys in files for good."""
        ...


class SealedFiles(FilePlaces):
    """Files as :class:`FilePlaces` keeps them, sealed under the base key."""

    def __init__(self, first: Path, second: Path, roots: list[Root]) -> None:
        self._codec = Sealed(self, roots)
        super().__init__(first, second, self._codec)
        self.key_id = "files"

    def trust(self, roots: list[Root]) -> None:
        """Write the base key wrapped by ``roots``; all of it in one step."""
        kept = self.get(_BASE)
        self._codec.roots = roots
        self.replace(_BASE, kept)

    def tidy(self) -> None:
        """Remove leftovers; once no rotation is under way, seal what a file provider left in clear.

        Called after the key check, which said that the store belongs to the root key in use. The
        root key of the file provider stays until a backup has been proved without it.
        """
        super().tidy()
        if len(self._codec.roots) > 1:
            return
        for name in self.names():
            if name not in _OF_FILES and not self._codec.is_sealed(self._record(name)[1]):
                self.replace(name, self.get(name))

    def former(self) -> Root | None:
        """Return the root key that a file provider had, as long as its file is there."""
        clear = FilePlaces(self.first, self.second)
        name = next((name for name in ("root", "root-former") if clear.has(name)), None)
        return None if name is None else LocalRoot(clear.get(name), clear.version_of(name))

    def end_former(self) -> None:
        """Overwrite and remove the files of root keys."""
        for name in _OF_FILES:
            self.destroy(name)


class SealedProvider(Secret):
    """Named secrets in ``places``, wrapped keys by ``root``; ``following`` is the next root key.

    A root key may have two more methods: ``rotated(known_version)`` makes the next one where the
    key lives, ``settle()`` lets it forget what came before.
    """

    def __init__(
        self, places: Places, root: Root, first: Path, following: Root | None = None
    ) -> None:
        self.places, self._root, self._following, self.first = places, root, following, first
        self._former: Root | None = None
        self._withholds_former = False

    @property
    def key_id(self) -> str:  # type: ignore[override]
        """The root key's id."""
        return self._root.key_id

    @property
    def root_version(self) -> int:
        """The root key's version."""
        return self._root.version

    def has(self, name: str) -> bool:
        """Say whether the secret exists in any of its places."""
        return self.places.has(name)

    def get(self, name: str) -> bytes:
        """Return a secret; raise ``KeyProblem`` when it is missing or cannot be used."""
        return self.places.get(name)

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        """Keep ``secret`` (default: 32 random bytes) unless there is one; return what is kept."""
        return self.places.create(name, secret)

    def destroy(self, name: str) -> bool:
        """Remove a secret from all its places for good. Return whether there was one."""
        return self.places.destroy(name)

    def tidy(self) -> None:
        """Remove what killed processes left behind."""
        self.places.tidy()

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the secrets below ``prefix``, sorted."""
        return self.places.names(prefix)

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key`` under the root key, bound to ``purpose``."""
        return self._root.wrap(key, purpose)

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt what ``wrap`` made for the same purpose; raise ``KeyProblem`` otherwise."""
        try:
            return self._root.unwrap(wrapped, purpose)
        except KeyProblem:
            for other in (self._following, self.former()):
                try:
                    if other is not None:
                        return other.unwrap(wrapped, purpose)
                except KeyProblem:
                    continue
            raise

    def base(self) -> bytes:
        """Return the key that passwords, digests and seals come from."""
        return self.places.get(_BASE)

    def escrowed(self) -> dict[str, bytes]:
        """Return base key, ledger key and backup identity, and a root key that is in our hands."""
        own = {"root": self._root.key} if isinstance(self._root, LocalRoot) else {}
        return {**own, **{name: self.get(name) for name in ESCROWED if self.has(name)}}

    def ensure_root(self) -> None:
        """Prove that the root key opens what it wraps, and make the base key."""
        proved(self._root)
        self.places.create(_BASE)

    def successor(self) -> Root | None:
        """Return the next root key, if one is configured."""
        return self._following

    def prepare(self, known_version: int) -> Root:
        """Prove the next root key and wrap the base key by it too.

        Raises ``KeyProblem`` when none is configured and none can be made from here.
        """
        made = self._following or self._made(known_version)
        self._following = proved(made)
        self.places.trust([self._root, made])
        return made

    def promote(self, root_id: str) -> bool:
        """Let the root key with this id be the one in use. Safe to repeat."""
        following = self._following
        if following is not None and following.key_id == root_id:
            self._former = self._root if self._root.key_id != root_id else None
            self._root, self._following = following, None
        elif self.key_id != root_id:
            return False
        self.places.trust([self._root])
        return True

    def former(self) -> Root | None:
        """Return the root key before this one, as long as it is kept here."""
        return None if self._withholds_former else self._former or self.places.former()

    def opens_root(self, root_id: str) -> bool:
        """Say whether what the root key ``root_id`` wrapped opens: the present or the former."""
        former = self.former()
        return root_id == self.key_id or (former is not None and root_id == former.key_id)

    def end_former(self) -> None:
        """Let the root key forget what came before; end root keys that lie in files.

        A variable is emptied by whoever set it.
        """
        settle = getattr(self._root, "settle", None)
        if settle is not None:
            settle()
        self._former = None
        self.places.end_former()

    def without_former(self) -> SealedProvider:
        """Return a provider over the same places that does not see the former root key."""
        alone = SealedProvider(self.places, self._root, self.first)
        alone._withholds_former = True
        return alone

    def leading_to(self, target: Root) -> SealedProvider:
        """Return this provider with ``target`` as the next root key."""
        return SealedProvider(self.places, self._root, self.first, target)

    def _made(self, known_version: int) -> Root:
        make = getattr(self._root, "rotated", None)
        if make is None:
            raise KeyProblem("keys.no_successor", id=self.key_id)
        made: Root = make(known_version)
        return made


def moved(files: FileProvider, target: Root) -> SealedProvider:
    """Return a provider over the same folders that is about to leave root key files behind.

    ``tidy`` seals what is in clear; ``end_former`` ends the root key's file.
    """
    places = SealedFiles(files.first, files.second, [files.root(), target])
    places.create(_BASE, files.base())
    return SealedProvider(places, files.root(), files.first, target)
