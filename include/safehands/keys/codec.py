"""How secrets stand in files beside a root key that is elsewhere.

File format, version 2: ``{"format": "safehands-key/2", "id": …, "sealed": base64}`` (12-byte nonce
and AES-256-GCM ciphertext, bound to the secret's name), and for the base key
``{"format": "safehands-key/2", "id": …, "wrapped": {root id: base64}}``.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehands.errors import KeyProblem
from safehands.keys.places import Clear, FilePlaces, key_id
from safehands.keys.roots import Root
from safehands.keys.secret import opened

__all__ = ["Sealed", "base_of", "is_sealed"]

_FORMAT = "safehands-key/2"
_BASE = "base"


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Say whether a file's record is of version 2."""
    return record.get("format") == _FORMAT


def base_of(record: Mapping[str, Any], roots: Sequence[Root]) -> bytes:
    """Return the base key of a record of version 2, unwrapped by the first root key that fits.

    Raises ``KeyProblem`` when none does.
    """
    wrapped: Mapping[str, str] = record["wrapped"]
    for root in roots:
        if root.key_id in wrapped:
            return root.unwrap(base64.b64decode(wrapped[root.key_id]), _BASE)
    known = ", ".join(sorted(wrapped))
    raise KeyProblem("keys.other_base", found=roots[0].key_id, wanted=known)


class Sealed:
    """The codec of version 2; reads version 1 too. The first of ``roots`` is in use."""

    def __init__(self, places: FilePlaces, roots: list[Root]) -> None:
        self.places, self.roots = places, roots
        self._cipher: AESGCM | None = None

    def is_sealed(self, record: Mapping[str, Any]) -> bool:
        """Say whether a record is of version 2."""
        return is_sealed(record)

    def encode(self, name: str, secret: bytes) -> dict[str, Any]:
        """Return the record: the base key wrapped by every root key, others sealed under it."""
        head = {"format": _FORMAT, "id": key_id(secret)}
        if name == _BASE:
            return {**head, "wrapped": {r.key_id: _text(r.wrap(secret, _BASE)) for r in self.roots}}
        nonce = os.urandom(12)
        return {**head, "sealed": _text(nonce + self._seal().encrypt(nonce, secret, name.encode()))}

    def decode(self, name: str, record: Mapping[str, Any]) -> bytes:
        """Return the secret; raise ``ValueError``, ``KeyError`` or ``TypeError`` if damaged."""
        if not is_sealed(record):
            return Clear().decode(name, record)
        if name == _BASE:
            return base_of(record, self.roots)
        try:
            return opened(self._seal(), base64.b64decode(record["sealed"]), name.encode())
        except InvalidTag:
            raise ValueError("sealed") from None

    def _seal(self) -> AESGCM:
        if self._cipher is None:
            key = hmac.digest(self.places.get(_BASE), b"safehands/1/seal", "sha256")
            self._cipher = AESGCM(key)
        return self._cipher


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
