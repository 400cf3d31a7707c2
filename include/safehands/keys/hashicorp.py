"""HashiCorp Vault: the root key as a transit key, named secrets in KV version 2 on request.

The transit key never leaves Vault. Its id is ``vault:<mount>/<name>``; its version is Vault's
``latest_version``. A rotation makes a new version, wraps everything anew, and then raises
``min_decryption_version``, from when on Vault itself refuses what older versions wrapped.

API: developer.hashicorp.com/vault/api-docs, pages "transit" and "kv-v2". The key must be of a type
that authenticates associated data (``aes256-gcm96``, the default).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import hvac
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError

from safehands.errors import KeyProblem
from safehands.keys.roots import Root
from safehands.keys.secret import Secret

__all__ = ["KvPlaces", "VaultRoot", "client"]

_VAULT = b"\x02"
_T = TypeVar("_T")


def client(url: str, token: str) -> hvac.Client:
    """Return a client for the server at ``url``. Raises ``KeyProblem`` without a token."""
    if not token:
        raise KeyProblem("keys.no_token", url=url)
    return hvac.Client(url=url, token=token, timeout=10)


class VaultRoot(Secret):
    """A transit key that wraps keys."""

    def __init__(self, server: hvac.Client, mount: str, name: str) -> None:
        self.key_id = f"vault:{mount}/{name}"
        self._transit, self._mount, self._name = server.secrets.transit, mount, name

    @property
    def version(self) -> int:
        """The newest version that Vault has."""
        return int(self._state()["latest_version"])

    @property
    def minimum(self) -> int:
        """The oldest version that Vault still decrypts with."""
        return int(self._state()["min_decryption_version"])

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """Encrypt ``key`` with the newest version: ``0x02`` and Vault's text."""
        answer = self._ask(
            lambda: self._transit.encrypt_data(
                self._name,
                plaintext=_text(key),
                associated_data=_text(purpose.encode()),
                mount_point=self._mount,
            )
        )
        return _VAULT + str(answer["data"]["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """Decrypt. Raises ``KeyProblem``, also for a version below Vault's minimum."""
        if wrapped[:1] != _VAULT:
            raise KeyProblem("keys.wrong_root", id=self.key_id)
        answer = self._ask(
            lambda: self._transit.decrypt_data(
                self._name,
                ciphertext=wrapped[1:].decode("ascii", "replace"),
                associated_data=_text(purpose.encode()),
                mount_point=self._mount,
            )
        )
        return base64.b64decode(answer["data"]["plaintext"])

    def rotated(self, known_version: int) -> Root:
        """Make a new version unless there is one after ``known_version``."""
        if self.version <= known_version:
            self._ask(lambda: self._transit.rotate_key(self._name, mount_point=self._mount))
        return self

    def settle(self) -> None:
        """Let Vault refuse everything below the newest version."""
        newest = self.version
        self._ask(
            lambda: self._transit.update_key_configuration(
                self._name, min_decryption_version=newest, mount_point=self._mount
            )
        )

    def _state(self) -> dict[str, Any]:
        answer = self._ask(lambda: self._transit.read_key(self._name, mount_point=self._mount))
        return dict(answer["data"])

    def _ask(self, call: Callable[[], Any]) -> Any:
        return _asked(call, self.key_id)


class KvPlaces(Secret):
    """Named secrets as entries of a KV version 2 engine, below a path.

    Destroying removes the metadata and all versions. Not promised: snapshots of Vault's storage
    keep what they hold; only Vault's own administrator reaches them.
    """

    def __init__(self, server: hvac.Client, mount: str, path: str) -> None:
        self.key_id = f"vault-kv:{mount}/{path}"
        self._kv, self._mount, self._path = server.secrets.kv.v2, mount, path.strip("/")

    def has(self, name: str) -> bool:
        """Say whether the secret exists."""
        return self._read(name) is not None

    def get(self, name: str) -> bytes:
        """Return a secret. Raises ``KeyProblem`` when it is missing or damaged."""
        found = self._read(name)
        if found is None:
            raise KeyProblem("keys.missing", name=name, place=self.key_id)
        return found

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        """Keep ``secret`` unless there is one; check-and-set 0 lets the first writer win."""
        known = self._read(name)
        if known is not None:
            return known
        fresh = secret if secret is not None else secrets.token_bytes(32)
        try:
            self._ask(
                lambda: self._kv.create_or_update_secret(
                    self._at(name), {"key": _text(fresh)}, cas=0, mount_point=self._mount
                )
            )
        except KeyProblem:
            # Refused because somebody else was first, or for a reason that reading repeats.
            return self.get(name)
        return self.get(name)

    def destroy(self, name: str) -> bool:
        """Remove all versions of a secret. Return whether there was one."""
        found = self._read(name) is not None
        self._ask(
            lambda: self._kv.delete_metadata_and_all_versions(
                self._at(name), mount_point=self._mount
            )
        )
        return found

    def tidy(self) -> None:
        """Nothing is left behind here: an entry is written in one request."""

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the secrets below ``prefix``, sorted."""
        return sorted(self._below(prefix.strip("/")))

    def trust(self, roots: list[Root]) -> None:
        """Nothing to do: Vault guards the base key as it guards the others."""

    def former(self) -> Root | None:
        """No root key lies here."""
        return None

    def end_former(self) -> None:
        """Nothing to do: no root key lies here."""

    def _below(self, folder: str) -> list[str]:
        path = "/".join(part for part in (self._path, folder) if part)
        try:
            answer = self._ask(lambda: self._kv.list_secrets(path, mount_point=self._mount))
        except _Absent:
            return []
        found: list[str] = []
        for entry in answer["data"]["keys"]:
            name = f"{folder}/{entry}" if folder else str(entry)
            found += self._below(name.rstrip("/")) if name.endswith("/") else [name]
        return found

    def _read(self, name: str) -> bytes | None:
        try:
            answer = self._ask(
                lambda: self._kv.read_secret_version(
                    self._at(name), mount_point=self._mount, raise_on_deleted_version=True
                )
            )
            return base64.b64decode(answer["data"]["data"]["key"], validate=True)
        except _Absent:
            return None
        except (KeyError, TypeError, binascii.Error):
            raise KeyProblem("keys.damaged", file=f"{self.key_id}/{name}") from None

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name

    def _ask(self, call: Callable[[], Any]) -> Any:
        return _asked(call, self.key_id)


class _Absent(KeyProblem):
    """Vault knows nothing under this path."""


def _asked(call: Callable[[], _T], key: str) -> _T:
    """Do a request; its refusals become ``KeyProblem`` without Vault's own text."""
    try:
        return call()
    except InvalidPath:
        raise _Absent("keys.vault_absent", id=key) from None
    except Forbidden:
        raise KeyProblem("keys.vault_forbidden", id=key) from None
    except InvalidRequest:
        raise KeyProblem("keys.wrong_root", id=key) from None
    except (VaultError, requests.RequestException) as error:
        raise KeyProblem("keys.unreachable", id=key, reason=type(error).__name__) from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
