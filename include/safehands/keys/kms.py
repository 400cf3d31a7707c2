"""AWS KMS: the root key as a symmetric KMS key that never leaves the service.

Its id is ``awskms:<key id>``, the id that ``DescribeKey`` answers, so that two aliases of one key
are one key. ``purpose`` travels as encryption context, which KMS authenticates and writes to
CloudTrail: it holds a controller's code and a version, never a person.

KMS rotates the material behind a key by itself and keeps the old for decryption, so a rotation
that ends the old key leads to another key: ``safehands keys rotate root --to awskms://…``.
Credentials come from boto3's own chain (environment, profile, instance role).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from safehands.errors import KeyProblem
from safehands.keys.secret import Secret

__all__ = ["KmsRoot", "client"]

_KMS = b"\x03"
_WRONG = frozenset(
    {"InvalidCiphertextException", "IncorrectKeyException", "InvalidKeyUsageException"}
)
_CONTEXT = "safehands"


def client(region: str, endpoint: str = "") -> Any:
    """Return a KMS client; ``endpoint`` is for a private endpoint or a test server."""
    settings = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 3})
    return boto3.client("kms", region_name=region, endpoint_url=endpoint or None, config=settings)


class KmsRoot(Secret):
    """A KMS key (id, ARN or ``alias/…``) that wraps keys."""

    version = 1

    def __init__(self, kms: Any, name: str) -> None:
        self._kms = kms
        self.key_id = f"awskms:{name}"
        answer = self._ask(lambda: kms.describe_key(KeyId=name))["KeyMetadata"]
        self._key, self.key_id = str(answer["KeyId"]), f"awskms:{answer['KeyId']}"
        if answer.get("KeyState", "Enabled") != "Enabled":
            raise KeyProblem("keys.kms_state", id=self.key_id, state=str(answer["KeyState"]))

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key``: ``0x03`` and KMS's ciphertext blob."""
        answer = self._ask(
            lambda: self._kms.encrypt(
                KeyId=self._key, Plaintext=key, EncryptionContext={_CONTEXT: purpose}
            )
        )
        return _KMS + bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt with this key alone; raise ``KeyProblem`` for another's or changed bytes."""
        if wrapped[:1] != _KMS:
            raise KeyProblem("keys.wrong_root", id=self.key_id)
        answer = self._ask(
            lambda: self._kms.decrypt(
                KeyId=self._key,
                CiphertextBlob=wrapped[1:],
                EncryptionContext={_CONTEXT: purpose},
            )
        )
        return bytes(answer["Plaintext"])

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "?"))
            if code in _WRONG:
                raise KeyProblem("keys.wrong_root", id=self.key_id) from None
            raise KeyProblem("keys.unreachable", id=self.key_id, reason=code) from None
        except BotoCoreError as error:
            reason = type(error).__name__
            raise KeyProblem("keys.unreachable", id=self.key_id, reason=reason) from None
