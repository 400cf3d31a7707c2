"""The root key as something that wraps other keys, wherever it lives.

A wrapped key starts with one byte that says who wrapped it: ``0x01`` a root key of our own (file
or environment), ``0x02`` HashiCorp Vault transit, ``0x03`` AWS KMS. ``purpose`` is bound to it as
associated data (AES-GCM), so that a key wrapped for one use does not open for another.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehands.errors import KeyProblem
from safehands.keys.places import key_id
from safehands.keys.secret import Secret, opened

__all__ = ["LocalRoot", "Root", "Wraps", "check_value", "proved", "verify_check"]

_LOCAL = b"\x01"
_CHECK = b"safehands root key check"


class Wraps(Protocol):
    """What wraps and unwraps keys: a root key, or a provider with one."""

    @property
    def key_id(self) -> str:
        """The id that tells root keys apart and may be shown."""
        ...

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key``, bound to ``purpose``."""
        ...

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt; raise ``KeyProblem`` for another root key, another purpose, changed bytes."""
        ...


class Root(Wraps, Protocol):
    """A root key. ``version`` grows by one with each rotation, 1 where nobody counts."""

    @property
    def version(self) -> int:
        """The version of this key."""
        ...


class LocalRoot(Secret):
    """A root key of 32 bytes in this process: AES-256-GCM with a random 12-byte nonce."""

    def __init__(self, key: bytes, version: int = 1) -> None:
        if len(key) != 32:
            raise KeyProblem("keys.root_length", bits=len(key) * 8)
        self.key_id, self.version, self._key = key_id(key), version, key
        self._cipher = AESGCM(key)

    @classmethod
    def parse(cls, text: str, name: str) -> LocalRoot:
        """Read ``base64`` or ``version:base64``. Raises ``KeyProblem`` naming the variable."""
        head, colon, tail = text.strip().rpartition(":")
        try:
            version = int(head) if colon else 1
            return cls(base64.b64decode(tail, validate=True), version)
        except (ValueError, binascii.Error):
            raise KeyProblem("keys.root_text", name=name) from None

    @property
    def key(self) -> bytes:
        """The key itself, for the escrow."""
        return self._key

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key``: version byte, nonce, ciphertext."""
        nonce = os.urandom(12)
        return _LOCAL + nonce + self._cipher.encrypt(nonce, key, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt what ``wrap`` made for the same purpose."""
        if wrapped[:1] != _LOCAL:
            raise KeyProblem("keys.newer_format", name=purpose)
        try:
            return opened(self._cipher, wrapped[1:], purpose.encode())
        except InvalidTag:
            raise KeyProblem("keys.wrong_root", id=self.key_id) from None


def check_value(root: Wraps) -> bytes:
    """Return a constant wrapped by ``root``: whoever unwraps it has the same root key."""
    return root.wrap(_CHECK, "check")


def verify_check(root: Wraps, value: bytes) -> None:
    """Raise ``KeyProblem`` unless ``root`` opens the check value."""
    if root.unwrap(value, "check") != _CHECK:
        raise KeyProblem("keys.wrong_root", id=root.key_id)


def proved(root: Root) -> Root:
    """Return ``root`` after it wrapped and unwrapped once. Raises ``KeyProblem``."""
    verify_check(root, check_value(root))
    return root
