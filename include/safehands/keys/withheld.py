"""A key provider with some secrets kept back: what still opens then opens without them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn, cast

from safehands.errors import KeyProblem
from safehands.keys.provider import KeyProvider

__all__ = ["withheld"]


def withheld(provider: KeyProvider, names: Collection[str]) -> KeyProvider:
    """Return ``provider`` as if the secrets ``names`` had been destroyed already.

    Whoever is given it and gets through has proved that those secrets are not needed any more.
    """
    return cast(KeyProvider, _Withheld(provider, frozenset(names)))


class _Withheld:
    def __init__(self, provider: KeyProvider, names: frozenset[str]) -> None:
        self._provider, self._names = provider, names

    def has(self, name: str) -> bool:
        return name not in self._names and self._provider.has(name)

    def get(self, name: str) -> bytes:
        if name in self._names:
            raise KeyProblem("keys.missing", name=name, place=str(self._provider.first))
        return self._provider.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return [name for name in self._provider.names(prefix) if name not in self._names]

    def create(self, name: str, secret: bytes | None = None) -> bytes:
        if name in self._names:
            return self.get(name)
        return self._provider.create(name, secret)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def __repr__(self) -> str:
        return f"<withheld {len(self._names)} from {self._provider!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys do not leave the process: they cannot be pickled or copied")
