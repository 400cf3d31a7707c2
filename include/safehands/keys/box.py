"""A box for rows that wait: quarantine and landing archive of one station and one day.

Each station and day has a key of its own in the provider. Destroying that key ends the box for
good, in every copy of the database and of the archive folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehands.errors import KeyProblem
from safehands.keys.provider import KeyProvider
from safehands.keys.secret import Secret, opened

__all__ = ["DayBox", "day_name"]

_VERSION = b"\x01"


def day_name(kind: str, station: str, day: str) -> str:
    """Return the name of a day key, e.g. ``day/quarantine/SZ001/2026-11-23``."""
    return f"day/{kind}/{station}/{day}"


class DayBox(Secret):
    """Seals and opens bytes under one station's key of one day (AES-256-GCM).

    The key is made by the first ``seal``. Opening never makes one: a destroyed key stays destroyed.
    """

    def __init__(self, provider: KeyProvider, kind: str, station: str, day: str) -> None:
        self.key_id = day_name(kind, station, day)
        self._provider = provider

    def seal(self, rows: Sequence[bytes]) -> list[bytes]:
        """Encrypt each row: version byte, nonce, ciphertext bound to the box's name."""
        context = self.key_id.encode()
        nonces = [os.urandom(12) for _ in rows]
        encrypt = AESGCM(self._provider.create(self.key_id)).encrypt
        return [
            _VERSION + n + encrypt(n, row, context) for n, row in zip(nonces, rows, strict=True)
        ]

    def unseal(self, rows: Sequence[bytes]) -> list[bytes]:
        """Decrypt rows.

        Raises ``KeyProblem`` for a row of another box, changed bytes, or a key that is gone.
        """
        context, cipher = self.key_id.encode(), AESGCM(self._provider.get(self.key_id))
        try:
            if any(row[:1] != _VERSION for row in rows):
                raise InvalidTag
            return [opened(cipher, row[1:], context) for row in rows]
        except InvalidTag:
            raise KeyProblem("keys.does_not_open", id=self.key_id) from None
