"""What the modules with key material share: a base that can't leave, and opening a ciphertext."""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Secret", "opened"]

_NONCE, _TAG = 12, 16


def opened(cipher: AESGCM, blob: bytes, context: bytes) -> bytes:
    """Decrypt a 12-byte nonce with its ciphertext.

    Raises ``InvalidTag`` for anything else, one that was cut off included.
    """
    if len(blob) < _NONCE + _TAG:
        raise InvalidTag
    return cipher.decrypt(blob[:_NONCE], blob[_NONCE:], context)


class Secret:
    """Shows its class and key id only; refuses to leave the process.

    Not promised: Python gives no way to wipe memory; whoever can read the process can read a key.
    """

    key_id: str = "?"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys do not leave the process: they cannot be pickled or copied")
