"""The key of one night's artifacts: made when the run starts, destroyed when it ends."""

from __future__ import annotations

import hmac
from typing import Any

import pyarrow.parquet.encryption as parquet_encryption

from safehands.keys.secret import Secret

__all__ = ["RunKey"]


class RunKey(Secret):
    """Encrypts and decrypts artifacts by Parquet modular encryption (AES-256-GCM).

    Footer and all columns are encrypted, so schema and statistics are hidden as well. Each file
    has a key of its own, derived from the run's key and the file's name: random nonces under one
    key are safe for far fewer modules than a year of nights writes.
    """

    def __init__(self, run: str, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a run key has 32 bytes")
        self.key_id = f"run:{run}"
        self._key = key

    def encryption(self, name: str) -> Any:
        """Return pyarrow ``FileEncryptionProperties`` for the file ``name``, footer encrypted."""
        return parquet_encryption.create_encryption_properties(footer_key=self._file_key(name))

    def decryption(self, name: str) -> Any:
        """Return pyarrow ``FileDecryptionProperties`` for the file ``name``."""
        return parquet_encryption.create_decryption_properties(footer_key=self._file_key(name))

    def _file_key(self, name: str) -> bytes:
        return hmac.digest(self._key, b"artifact/1/" + name.encode(), "sha256")
