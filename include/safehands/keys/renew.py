"""New keys for old ones, each proved before anything depends on it."""

from __future__ import annotations

import os
from dataclasses import replace

from safehands.errors import KeyProblem
from safehands.keys.provider import KeyProvider
from safehands.keys.ring import WrappedKeys, data_purpose, token_branches, tokens_purpose
from safehands.keys.roots import Wraps

__all__ = ["renewed", "rewrapped"]


def renewed(provider: KeyProvider, wrapped: WrappedKeys) -> WrappedKeys:
    """Return a controller's keys with a new data key; the one before is among ``former``.

    The branches that tokens hang on are kept from the first data key. Raises ``KeyProblem`` when
    something does not unwrap.
    """
    name, version = wrapped.controller, wrapped.data_version
    data = provider.unwrap(wrapped.data, data_purpose(name, version))
    tokens = wrapped.tokens
    if tokens is None:
        tokens = _proved(provider, token_branches(data), tokens_purpose(name))
    fresh = _proved(provider, os.urandom(32), data_purpose(name, version + 1))
    former = {**wrapped.former, version: wrapped.data}
    return replace(wrapped, data_version=version + 1, data=fresh, tokens=tokens, former=former)


def rewrapped(old: Wraps, new: Wraps, wrapped: WrappedKeys) -> WrappedKeys:
    """Return the same keys wrapped by ``new``. Raises ``KeyProblem`` when one does not unwrap."""
    name = wrapped.controller

    def again(key: bytes, purpose: str) -> bytes:
        return _proved(new, old.unwrap(key, purpose), purpose)

    return replace(
        wrapped,
        data=again(wrapped.data, data_purpose(name, wrapped.data_version)),
        tombstone=again(wrapped.tombstone, f"tombstone/{name}/1"),
        suppression=again(wrapped.suppression, f"suppression/{name}/1"),
        tokens=None if wrapped.tokens is None else again(wrapped.tokens, tokens_purpose(name)),
        former={v: again(key, data_purpose(name, v)) for v, key in wrapped.former.items()},
    )


def _proved(new: Wraps, key: bytes, purpose: str) -> bytes:
    wrapped = new.wrap(key, purpose)
    if new.unwrap(wrapped, purpose) != key:
        raise KeyProblem("keys.does_not_open", id=new.key_id)
    return wrapped
