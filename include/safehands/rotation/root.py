"""The root key: everything it wraps is wrapped anew, in one transaction.

1. the next root key is made, or found, and proved;
2. one transaction: all wrapped keys, the check value, the id of the root key, the ledger entry;
3. where keys are kept, the next root key takes over; the old one stays as the former one;
4. a backup is written and restored without the former root key (``safehands.erasure.prove``);
5. the former root key ends, and the row in ``root_key`` is marked as settled.

Before 2 commits the old root key opens everything; after it both are there until 5, so that the
newest backup opens whichever wrapped it. Killed between 2 and 3, the next start of the installation
does 3; the next rotation, or the next night with its proof, does the rest. A store that was never
backed up has nothing to prove: 5 follows 3.
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

__all__ = [
    "RootRotation",
    "adopt_root",
    "end_root",
    "is_settled",
    "rewrap",
    "rotate_root",
]

_ROLE = "safehands_owner"


@dataclass(frozen=True)
class RootRotation:
    """What was done. ``resumed``: an earlier rotation was gone on with and no new one begun.

    ``settled``: the old root key has ended; otherwise that waits for a proved backup.
    """

    old: str
    new: str
    version: int
    controllers: int
    resumed: bool
    settled: bool


def rotate_root(store: Store, now: datetime) -> RootRotation:
    """Let the provider's next root key take over.

    Raises ``KeyProblem`` when there is no next one or a key does not unwrap: then nothing changed.
    """
    unsettled = _unsettled(store)
    if unsettled is not None:
        root_id, version = unsettled
        settled = _switch(store, root_id)
        return RootRotation(root_id, root_id, version, 0, True, settled)
    provider = store.provider
    return _moved(store, provider.prepare(_known_version(store)), now)


def rewrap(store: Store, now: datetime) -> RootRotation:
    """Wrap everything anew by the root key in use, in its newest version.

    For a key service that renews its key by itself. An earlier rotation is gone on with first, as
    in ``rotate_root``. Raises ``KeyProblem``.
    """
    unsettled = _unsettled(store)
    if unsettled is not None:
        return rotate_root(store, now)
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
    settled = _switch(store, new.key_id)
    return RootRotation(old, new.key_id, new.version, len(known), False, settled)


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
    _point_to(connection, new, settled=False)
    facts = {"kind": "root", "key": new.key_id, "version": new.version, "controllers": controllers}
    journal.append(connection, "keys_rotate", f"keys-{now.date()}", now, facts)


def _point_to(connection: Connection, root: Root, *, settled: bool) -> None:
    values: dict[str, Any] = {
        "id": root.key_id,
        "version": root.version,
        "check": check_value(root),
        "settled": settled,
    }
    connection.execute(text("UPDATE installation SET root_id = :id"), values)
    connection.execute(text(_ROOT), values)


def is_settled(store: Store) -> bool:
    """Say whether no former root key waits for the proof of a backup."""
    return _unsettled(store) is None


def end_root(store: Store) -> None:
    """End the former root key for good; the caller has proved a backup without it."""
    store.provider.end_former()
    store.provider.tidy()
    with store.begin(_ROLE) as connection:
        connection.execute(text("UPDATE root_key SET settled = true WHERE NOT settled"))


def adopt_root(connection: Connection, provider: KeyProvider) -> bool:
    """Wrap a restored store's keys by the root key in use, if the former one wrapped them.

    Return whether it had to be done. Raises ``KeyProblem`` when a key does not unwrap.
    """
    wanted = connection.execute(text("SELECT root_id FROM installation")).scalar()
    if wanted in (None, provider.key_id):
        return False
    rows = connection.execute(text("SELECT id, code, name FROM controller ORDER BY id")).all()
    for row in rows:
        _rewrap_one(connection, provider, provider, Owner(row[0], row[1], row[2], {}))
    _point_to(connection, _InUse(provider), settled=True)
    return True


def _switch(store: Store, root_id: str) -> bool:
    """Let the next root key take over; return whether the former one has ended."""
    store.provider.promote(root_id)
    store.provider.tidy()
    with store.begin(_ROLE) as connection:
        backed_up = bool(connection.execute(text(_BACKED_UP)).scalar())
    if not backed_up:
        end_root(store)
    return not backed_up


def _unsettled(store: Store) -> tuple[str, int] | None:
    query = "SELECT root_id, version FROM root_key WHERE NOT settled ORDER BY number DESC LIMIT 1"
    with store.begin(_ROLE) as connection:
        row = connection.execute(text(query)).first()
    return None if row is None else (str(row[0]), int(row[1]))


def _known_version(store: Store) -> int:
    query = "SELECT version FROM root_key ORDER BY number DESC LIMIT 1"
    with store.begin(_ROLE) as connection:
        return int(connection.execute(text(query)).scalar_one())


_BACKED_UP = "SELECT EXISTS (SELECT FROM backup WHERE prune_id IS NULL)"
_KEYS = (
    "UPDATE controller_key SET data = :data, tombstone = :tombstone, suppression = :suppression,"
    " tokens = :tokens WHERE controller_id = :id"
)
_FORMER = "UPDATE former_key SET data = :data WHERE controller_id = :id AND version = :version"
_ROOT = (
    "INSERT INTO root_key (number, root_id, version, check_value, settled)"
    " SELECT coalesce(max(number), 0) + 1, :id, :version, :check, :settled FROM root_key"
)
