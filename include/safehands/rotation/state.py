"""Where the keys stand, as ids, versions, dates and counts; nothing secret."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from safehands.keys.places import key_id
from safehands.store import Store
from safehands.store.register import Owner, open_ring, owners

__all__ = ["escrow_holds", "key_state"]


def key_state(store: Store) -> dict[str, Any]:
    """Return root key, controllers' keys, escrow and backup lineage; opens every key.

    Raises ``KeyProblem`` when a key is missing or wrong.
    """
    provider = store.provider
    known = owners(store)
    with store.begin() as connection:
        roots = connection.execute(text(_ROOTS)).all()
        lineage = connection.execute(text(_LINEAGE)).first()
        escrow = connection.execute(text(_ESCROW)).first()
    newest = roots[-1] if roots else None
    return {
        "root": {
            "key": provider.key_id,
            "version": provider.root_version,
            "wrapped_with_version": newest.version if newest else 1,
            "number": len(roots) or 1,
            "settled": all(row.settled for row in roots),
        },
        "controllers": [_controller(store, owner) for owner in known.values()],
        "epoch_keys": len(provider.names("epoch")),
        "escrow": None
        if escrow is None
        else {
            "made_at": escrow.made_at.isoformat(),
            "threshold": escrow.threshold,
            "shares": escrow.shares,
            "drilled_at": escrow.drilled_at.isoformat() if escrow.drilled_at else None,
        },
        "escrow_holds": escrow_holds(store),
        "lineage": lineage.number if lineage else 0,
    }


def escrow_holds(store: Store) -> bool:
    """Say whether the newest escrow has been drilled and holds the keys that are in use.

    A key that is in escrow and was moved off this machine since does no harm.
    """
    with store.begin() as connection:
        row = connection.execute(text(_ESCROW)).first()
    if row is None or row.drilled_at is None:
        return False
    now = {name: key_id(secret) for name, secret in store.provider.escrowed().items()}
    return bool(now.items() <= row.secrets.items())


def _controller(store: Store, owner: Owner) -> dict[str, Any]:
    with store.begin(controller=owner.id, storage=True) as connection:
        ring = open_ring(connection, store.provider, owner)
        former = [int(r[0]) for r in connection.execute(text(_FORMER), {"id": owner.id})]
        pending = _pending(connection, ring.version) if former else 0
    return {
        "controller": owner.code,
        "data_version": ring.version,
        "minimum_version": min([ring.version, *former]),
        "records_below": pending,
        "epoch": ring.epoch,
        "keys": ring.key_id,
    }


def _pending(connection: Connection, version: int) -> int:
    head = b"\x01" + version.to_bytes(2, "big")
    return int(connection.execute(text(_PENDING), {"head": head}).scalar_one())


_ROOTS = "SELECT number, root_id, version, settled FROM root_key ORDER BY number"
_LINEAGE = "SELECT number FROM backup_lineage ORDER BY number DESC LIMIT 1"
_ESCROW = (
    "SELECT made_at, threshold, shares, secrets, drilled_at FROM escrow ORDER BY id DESC LIMIT 1"
)
_FORMER = "SELECT version FROM former_key WHERE controller_id = :id ORDER BY version"
_PENDING = (
    "SELECT (SELECT count(*) FROM subject WHERE substring(sealed for 3) <> :head)"
    " + (SELECT count(*) FROM custody WHERE substring(sealed for 3) <> :head)"
)
