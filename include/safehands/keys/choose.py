"""Which key provider a URL means. A URL names places, never a secret.

::

    file:                              key files in the two key folders (default)
    file:/path                         the same, the first folder given here
    env:                               root key in SAFEHANDS_ROOT_KEY, the next in …_NEXT
    env:NAME                           the same with a variable of another name
    vault+https://host/transit/name    HashiCorp Vault, transit key ``name`` of mount ``transit``
        ?kv=secret/safehands           named secrets in KV v2 (mount, then path) and not in files
    awskms://region/alias/name         AWS KMS by alias, id or ARN (``?endpoint=URL``)

Except with ``kv=``, named secrets lie sealed in the two key folders, which must be on a volume
that lives as long as the store: what is meant to be destroyed cannot be kept in a variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from safehands.errors import KeyProblem
from safehands.keys.provider import FileProvider, KeyProvider
from safehands.keys.roots import LocalRoot, Root
from safehands.keys.sealed import SealedFiles, SealedProvider, moved

__all__ = ["Sources", "choose", "leading_to"]

_VARIABLE = "SAFEHANDS_ROOT_KEY"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SCHEMES = ("file", "env", "vault+https", "vault+http", "awskms")


@dataclass(frozen=True)
class Sources:
    """Where keys may be: two folders, and secrets by the name of their variable.

    ``secret`` returns the value of a variable, empty where it is not set; only the settings read
    the environment.
    """

    first: Path
    second: Path
    secret: Callable[[str], str]


def choose(url: str, sources: Sources) -> KeyProvider:
    """Return the provider that ``url`` means (empty: ``file:``).

    Raises ``KeyProblem`` for a URL that is not understood and for a root key that is missing.
    """
    parts = _split(url or "file:")
    if parts.scheme == "file":
        first = Path(parts.path) if parts.path else sources.first
        return FileProvider(first, sources.second)
    root = _root(parts, sources)
    following = _following(parts, sources)
    if parts.scheme.startswith("vault") and _option(parts, "kv"):
        from safehands.keys.hashicorp import KvPlaces

        mount, _, path = _option(parts, "kv").partition("/")
        places = KvPlaces(_vault(parts, sources), mount, path)
        return SealedProvider(places, root, sources.first, following)
    roots = [root, *([following] if following is not None else [])]
    files = SealedFiles(sources.first, sources.second, roots)
    return SealedProvider(files, root, sources.first, following)


def leading_to(provider: KeyProvider, url: str, sources: Sources) -> KeyProvider:
    """Return ``provider`` with the root key of ``url`` as the next one.

    Raises ``KeyProblem`` where the way is not open: named secrets that would have to move between
    files and KV, or back into clear files.
    """
    parts = _split(url)
    target = None if parts.scheme == "file" or _option(parts, "kv") else _root(parts, sources)
    if target is not None and isinstance(provider, FileProvider):
        return moved(provider, target)
    if target is not None and isinstance(provider, SealedProvider):
        return provider.leading_to(target)
    raise KeyProblem("keys.no_way", url=_shown(parts))


def _root(parts: SplitResult, sources: Sources) -> Root:
    if parts.scheme == "env":
        name = parts.path or _VARIABLE
        value = sources.secret(name)
        if not value:
            raise KeyProblem("keys.missing", name=name, place="env")
        return LocalRoot.parse(value, name)
    if parts.scheme == "awskms":
        from safehands.keys.kms import KmsRoot, client

        kms = client(parts.netloc, _option(parts, "endpoint"))
        return KmsRoot(kms, unquote(parts.path.strip("/")))
    from safehands.keys.hashicorp import VaultRoot

    mount, _, name = parts.path.strip("/").rpartition("/")
    if not mount:
        raise KeyProblem("keys.bad_url", url=_shown(parts), known=", ".join(_SCHEMES))
    return VaultRoot(_vault(parts, sources), mount, name)


def _following(parts: SplitResult, sources: Sources) -> Root | None:
    if parts.scheme != "env":
        return None
    name = f"{parts.path or _VARIABLE}_NEXT"
    value = sources.secret(name)
    return LocalRoot.parse(value, name) if value else None


def _vault(parts: SplitResult, sources: Sources) -> Any:
    from safehands.keys.hashicorp import client

    # The token travels in a header: in clear only to an agent on this machine.
    if parts.scheme == "vault+http" and parts.hostname not in _LOOPBACK:
        raise KeyProblem("keys.not_encrypted", url=_shown(parts))
    address = f"{parts.scheme.removeprefix('vault+')}://{parts.netloc}"
    return client(address, sources.secret("SAFEHANDS_VAULT_TOKEN"))


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    # A password in a URL would be shown wherever the setting is; it is refused, and not repeated.
    if parts.scheme not in _SCHEMES or parts.password or parts.username:
        raise KeyProblem("keys.bad_url", url=_shown(parts), known=", ".join(_SCHEMES))
    return parts


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}:…"


def _option(parts: SplitResult, name: str) -> str:
    return parse_qs(parts.query).get(name, [""])[0]
