"""The root key: everything it wraps is wrapped anew, in one transaction.

1. the next root key is made, or found, and proved;
2. one transaction: all wrapped keys, the check value, the id of the root key, the ledger entry;
3. where keys are kept, the next root key takes over and the old one ends;
4. the row in ``root_key`` is marked as settled.

Before 2 commits the old root key opens everything, after it the new one, and both are there until
3. Killed between 2 and 3, the next start of the installation does 3; the next rotation does 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.keys import WrappedKeys
from safehands.keys.provider import KeyProvider
from safehands.keys.renew import rewrapped
from safehands.keys.roots import Root, Wraps, check_value
from safehands.rotation.columns import check_declared
from safehands.store import Store, lock
from safehands.store.register import Owner, owners, wrapped_keys

__all__ = ["RootRotation", "rewrap", "rotate_root"]

_ROLE = "safehands_owner"


@dataclass(frozen=True)
class RootRotation:
    """What was done. ``resumed``: an earlier rotation was ended and no new one begun."""

    old: str
    new: str
    version: int
    controllers: int
    resumed: bool


def rotate_root(store: Store, now: datetime) -> RootRotation:
    """Let the provider's next root key take over.

    Raises ``KeyProblem`` when there is no next one or a key does not unwrap: then nothing changed.
    """
    unsettled = _unsettled(store)
    if unsettled is not None:
        root_id, version = unsettled
        _settle(store, root_id)
        return RootRotation(root_id, root_id, version, 0, True)
    provider = store.provider
    return _moved(store, provider.prepare(_known_version(store)), now)


def rewrap(store: Store, now: datetime) -> RootRotation:
    """Wrap everything anew by the root key in use, in its newest version.

    For a key service that renews its key by itself. Raises ``KeyProblem``.
    """
    return _moved(store, _InUse(store.provider), now)


class _InUse:
    """The provider's own root key, as the one to go to."""

    def __init__(self, provider: KeyProvider) -> None:
        self._provider = provider
        self.key_id, self.version = provider.key_id, provider.root_version

    def wrap(self, key: bytes, purpose: str) -> bytes:
        return self._provider.wrap(key, purpose)

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        return self._provider.unwrap(wrapped, purpose)


def _moved(store: Store, new: Root, now: datetime) -> RootRotation:
    old = store.provider.key_id
    known = owners(store).values()
    with store.begin(_ROLE) as connection:
        # New owners wait: their keys must not be wrapped by a root key that is about to go.
        lock(connection, "safehands.register")
        check_declared(connection)
        for owner in known:
            _rewrap_one(connection, store.provider, new, owner)
        _record(connection, new, len(known), now)
    _settle(store, new.key_id)
    return RootRotation(old, new.key_id, new.version, len(known), False)


def _rewrap_one(connection: Connection, old: KeyProvider, new: Wraps, owner: Owner) -> None:
    fresh: WrappedKeys = rewrapped(old, new, wrapped_keys(connection, owner, lock=True))
    values = {
        "id": owner.id,
        "data": fresh.data,
        "tombstone": fresh.tombstone,
        "suppression": fresh.suppression,
        "tokens": fresh.tokens,
    }
    connection.execute(text(_KEYS), values)
    for version, key in fresh.former.items():
        row = {"id": owner.id, "version": version, "data": key}
        connection.execute(text(_FORMER), row)


def _record(connection: Connection, new: Root, controllers: int, now: datetime) -> None:
    values: dict[str, Any] = {"id": new.key_id, "version": new.version, "check": check_value(new)}
    connection.execute(text("UPDATE installation SET root_id = :id"), values)
    connection.execute(text(_ROOT), values)
    facts = {"kind": "root", "key": new.key_id, "version": new.version, "controllers": controllers}
    journal.append(connection, "keys_rotate", f"keys-{now.date()}", now, facts)


def _settle(store: Store, root_id: str) -> None:
    store.provider.promote(root_id)
    store.provider.tidy()
    with store.begin(_ROLE) as connection:
        connection.execute(text("UPDATE root_key SET settled = true WHERE NOT settled"))


def _unsettled(store: Store) -> tuple[str, int] | None:
    query = "SELECT root_id, version FROM root_key WHERE NOT settled ORDER BY number DESC LIMIT 1"
    with store.begin(_ROLE) as connection:
        row = connection.execute(text(query)).first()
    return None if row is None else (str(row[0]), int(row[1]))


def _known_version(store: Store) -> int:
    query = "SELECT version FROM root_key ORDER BY number DESC LIMIT 1"
    with store.begin(_ROLE) as connection:
        return int(connection.execute(text(query)).scalar_one())


_KEYS = (
    "UPDATE controller_key SET data = :data, tombstone = :tombstone, suppression = :suppression,"
    " tokens = :tokens WHERE controller_id = :id"
)
_FORMER = "UPDATE former_key SET data = :data WHERE controller_id = :id AND version = :version"
_ROOT = (
    "INSERT INTO root_key (number, root_id, version, check_value, settled)"
    " SELECT max(number) + 1, :id, :version, :check, false FROM root_key"
)
