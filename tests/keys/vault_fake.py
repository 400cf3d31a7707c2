"""A small server that answers as HashiCorp Vault's documented HTTP API does.

Transit (encrypt, decrypt, read, rotate, configure) and KV version 2 (read, write with
check-and-set, delete with all versions, list), with tokens, as far as ``keys.hashicorp`` asks. No
Vault can be installed for the tests; whether a real one answers alike is not proved by them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["TOKEN", "Vault", "served"]

TOKEN = "test-token"


class _Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status, self.errors = status, list(errors)


@dataclass
class _Key:
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    minimum: int = 1


@dataclass
class Vault:
    """The state of the server: transit keys, entries of KV, and every request it was asked."""

    url: str = ""
    keys: dict[str, _Key] = field(default_factory=lambda: {"safehands": _Key()})
    entries: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            self.asked.append((method, path))
            mount, _, rest = path.removeprefix("/v1/").partition("/")
            if mount == "transit":
                return self._transit(method, rest, body)
            if mount == "secret":
                return self._kv(method, *rest.split("/", 1), body)
            raise _Refused(404, "no handler for route")

    def _transit(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        verb, _, name = path.partition("/")
        if verb == "keys":
            return self._of_key(method, name, body)
        key = self._key(name)
        if verb == "encrypt":
            nonce, aad = os.urandom(12), base64.b64decode(body.get("associated_data", ""))
            sealed = AESGCM(key.versions[-1]).encrypt(
                nonce, base64.b64decode(body["plaintext"]), aad
            )
            text = base64.b64encode(nonce + sealed).decode()
            return 200, {"ciphertext": f"vault:v{len(key.versions)}:{text}"}
        if verb == "decrypt":
            return 200, {"plaintext": base64.b64encode(self._opened(key, body)).decode()}
        raise _Refused(404, "unsupported path")

    def _of_key(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        name, _, action = path.partition("/")
        key = self._key(name)
        if action == "rotate":
            key.versions.append(os.urandom(32))
            return 204, None
        if action == "config":
            wanted = int(body["min_decryption_version"])
            if wanted > len(key.versions):
                raise _Refused(400, "cannot set min decryption version higher than the latest")
            key.minimum = wanted
            return 204, None
        known = range(key.minimum, len(key.versions) + 1)
        return 200, {
            "name": name,
            "type": "aes256-gcm96",
            "latest_version": len(key.versions),
            "min_decryption_version": key.minimum,
            "keys": {str(version): 1_700_000_000 for version in known},
        }

    def _opened(self, key: _Key, body: dict[str, Any]) -> bytes:
        try:
            scheme, version, text = body["ciphertext"].split(":")
            number, blob = int(version.removeprefix("v")), base64.b64decode(text)
            if scheme != "vault":
                raise ValueError(scheme)
        except ValueError:
            raise _Refused(400, "invalid ciphertext: no prefix") from None
        if number < key.minimum:
            raise _Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        if number > len(key.versions):
            raise _Refused(400, "invalid ciphertext: version is too new")
        aad = base64.b64decode(body.get("associated_data", ""))
        try:
            return AESGCM(key.versions[number - 1]).decrypt(blob[:12], blob[12:], aad)
        except (InvalidTag, ValueError):
            raise _Refused(400, "cipher: message authentication failed") from None

    def _key(self, name: str) -> _Key:
        if name not in self.keys:
            raise _Refused(404)
        return self.keys[name]

    def _kv(self, method: str, kind: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        versions = self.entries.get(path, [])
        if kind == "data" and method == "GET":
            if not versions:
                raise _Refused(404)
            return 200, {"data": versions[-1], "metadata": {"version": len(versions)}}
        if kind == "data" and method in ("POST", "PUT"):
            cas = body.get("options", {}).get("cas")
            if cas is not None and cas != len(versions):
                raise _Refused(400, "check-and-set parameter did not match the current version")
            self.entries.setdefault(path, []).append(body["data"])
            return 200, {"version": len(versions) + 1}
        if kind == "metadata" and method == "DELETE":
            self.entries.pop(path, None)
            return 204, None
        if kind == "metadata" and method == "LIST":
            return 200, {"keys": self._listed(path)}
        raise _Refused(405, "unsupported operation")

    def _listed(self, folder: str) -> list[str]:
        prefix = folder.rstrip("/") + "/"
        below = [path.removeprefix(prefix) for path in self.entries if path.startswith(prefix)]
        if not below:
            raise _Refused(404)
        return sorted({head + slash for head, slash, _ in (p.partition("/") for p in below)})


@contextmanager
def served() -> Iterator[Vault]:
    """Serve a Vault on a free local port."""
    vault = Vault()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            try:
                if self.headers.get("X-Vault-Token") != TOKEN:
                    raise _Refused(403, "permission denied")
                status, data = vault.answer(self.command, self.path.partition("?")[0], body)
            except _Refused as refused:
                status, data = refused.status, None
                self._send(status, {"errors": refused.errors})
                return
            self._send(status, None if data is None else {"data": data})

        def _send(self, status: int, content: Any) -> None:
            raw = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_DELETE = do_LIST = _do

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vault.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
