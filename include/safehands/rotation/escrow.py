"""Escrow: the keys that must survive this machine, split among people, and tried.

``export`` writes the bundle and its shares, ``drill`` opens them again and proves that they open
this store, ``give_back`` puts them onto a new machine. An escrow counts once it has been drilled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import KeyProblem
from safehands.keys import KeyProvider, age
from safehands.keys.escrow import Bundle, joined, split
from safehands.keys.places import key_id
from safehands.keys.provider import FileProvider
from safehands.keys.renew import rewrapped
from safehands.keys.roots import LocalRoot, verify_check
from safehands.store import Store
from safehands.store.register import owners, wrapped_keys

__all__ = ["BUNDLE", "Drill", "Export", "drill", "export", "give_back"]

BUNDLE = "safehands-escrow.age"
_ROLE = "safehands_owner"


@dataclass(frozen=True)
class Export:
    """Files that were written: the bundle and one share each, all mode 0600."""

    bundle: Path
    shares: tuple[Path, ...]


@dataclass(frozen=True)
class Drill:
    """What a drill proved: secrets that are those in use, controllers whose keys opened."""

    secrets: int
    controllers: int


def export(store: Store, folder: Path, threshold: int, shares: int, now: datetime) -> Export:
    """Write bundle and shares into ``folder`` (made, or empty) and record the export.

    Raises ``KeyProblem`` for numbers that make no sense and for a folder with something in it.
    """
    provider = store.provider
    _empty_folder(folder)
    bundle = Bundle(provider.root_version, provider.escrowed())
    data, words = split(bundle, threshold, shares)
    names = [folder / f"share-{i}-of-{shares}.txt" for i in range(1, shares + 1)]
    for path, line in zip(names, words, strict=True):
        _write(path, line.encode() + b"\n")
    _write(folder / BUNDLE, data)
    values = {
        "now": now,
        "threshold": threshold,
        "shares": shares,
        "bundle": _digest(data),
        "secrets": json.dumps(_ids(bundle)),
    }
    facts = {"threshold": threshold, "shares": shares, "bundle": _digest(data)}
    with store.begin(_ROLE) as connection:
        connection.execute(text(_EXPORT), values)
        journal.append(connection, "keys_escrow", _run(now), now, facts)
    return Export(folder / BUNDLE, tuple(names))


def drill(store: Store, bundle: Path, shares: Sequence[Path], now: datetime) -> Drill:
    """Open an exported bundle with k shares, prove that its keys open this store, record it.

    Proved is that each secret on this machine is the one in escrow, that the root key in it (where
    it is ours)
    unwraps every controller's keys and the check value, and that the identity opens what is
    encrypted to tonight's recipient. Nothing that was opened is written anywhere.

    Raises ``KeyProblem`` when anything differs, or when the bundle was exported elsewhere.
    """
    data = bundle.read_bytes()
    opened = joined(data, [path.read_text(encoding="utf-8") for path in shares])
    wanted = store.provider.escrowed()
    if any(opened.secrets.get(name) != secret for name, secret in wanted.items()):
        raise KeyProblem("keys.escrow.stale")
    _prove_identity(store.provider, opened)
    with store.begin(_ROLE) as connection:
        proved = _prove_root(connection, store, opened)
        values = {"now": now, "bundle": _digest(data)}
        if connection.execute(text(_DRILLED), values).rowcount != 1:
            raise KeyProblem("keys.escrow.unknown")
        facts = {"bundle": values["bundle"], "shares": len(shares), "controllers": proved}
        journal.append(connection, "keys_escrow_drill", _run(now), now, facts)
    return Drill(len(opened.secrets), proved)


def give_back(provider: KeyProvider, bundle: Path, shares: Sequence[Path]) -> list[str]:
    """Put the keys of a bundle where ``provider`` keeps its own; return their names.

    For a new machine, before anything is opened there. Raises ``KeyProblem``, and writes nothing,
    when another key has a name that is needed.
    """
    opened = joined(bundle.read_bytes(), [path.read_text(encoding="utf-8") for path in shares])
    fitting = {
        name: secret
        for name, secret in opened.secrets.items()
        if name != "root" or isinstance(provider, FileProvider)
    }
    for name, secret in fitting.items():
        if provider.has(name) and provider.get(name) != secret:
            raise KeyProblem("keys.escrow.taken", name=name)
    for name, secret in fitting.items():
        if isinstance(provider, FileProvider):
            version = opened.root_version if name == "root" else 1
            provider.create(name, secret, version=version)
        else:
            provider.create(name, secret)
    return sorted(fitting)


def _prove_root(connection: Connection, store: Store, opened: Bundle) -> int:
    if "root" not in opened.secrets:
        # The root key never leaves the key service; what is in escrow was compared above.
        return 0
    root = LocalRoot(opened.secrets["root"], opened.root_version)
    check = "SELECT check_value FROM root_key ORDER BY number DESC LIMIT 1"
    verify_check(root, bytes(connection.execute(text(check)).scalar_one()))
    known = owners(store).values()
    for owner in known:
        rewrapped(root, root, wrapped_keys(connection, owner))
    return len(known)


def _prove_identity(provider: KeyProvider, opened: Bundle) -> None:
    name = "backup-identity"
    if name in opened.secrets:
        sealed = age.encrypt(b"drill", [age.recipient(provider)])
        age.decrypt(sealed, opened.secrets[name].decode())


def _ids(bundle: Bundle) -> dict[str, str]:
    return {name: key_id(secret) for name, secret in sorted(bundle.secrets.items())}


def _empty_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise KeyProblem("keys.escrow.folder", folder=str(folder))


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _run(now: datetime) -> str:
    return f"keys-{now.date()}"


_EXPORT = (
    "INSERT INTO escrow (made_at, threshold, shares, bundle, secrets)"
    " VALUES (:now, :threshold, :shares, :bundle, CAST(:secrets AS jsonb))"
)
_DRILLED = "UPDATE escrow SET drilled_at = :now WHERE bundle = :bundle"
