"""Rotation of keys: prepare, prove, switch, end the old one; killed anywhere, it goes on.

``root`` changes what wraps the keys, ``data`` changes what the records are sealed with,
``columns`` knows every ciphertext in the store, ``state`` says where things are, ``escrow`` exports
and tries the keys that must survive this machine. All of it logs in as the owner role, because the
pipeline may not change keys.
"""

from __future__ import annotations

from safehands.rotation.data import DataRotation, rotate_data
from safehands.rotation.escrow import drill, export, give_back
from safehands.rotation.root import (
    RootRotation,
    adopt_root,
    end_root,
    is_settled,
    rewrap,
    rotate_root,
)
from safehands.rotation.state import key_state

__all__ = [
    "DataRotation",
    "RootRotation",
    "adopt_root",
    "drill",
    "end_root",
    "export",
    "give_back",
    "is_settled",
    "key_state",
    "rewrap",
    "rotate_data",
    "rotate_root",
]
