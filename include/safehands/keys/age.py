"""age encryption for what leaves the machine (backups, packages): C2SP age, X25519 recipients.

Whoever holds the identity can open a file with the stock ``age`` tool; the nightly machine needs
only the public recipient.
"""

from __future__ import annotations

import pyrage

from safehands.errors import KeyProblem
from safehands.keys.provider import KeyProvider

__all__ = [
    "check_recipient",
    "decrypt",
    "encrypt",
    "identity",
    "locked",
    "make_identity",
    "recipient",
]

_NAME = "backup-identity"


def make_identity(provider: KeyProvider, name: str = _NAME) -> str:
    """Make an identity (the backup's) unless there is one; return its public recipient."""
    if not provider.has(name):
        provider.create(name, str(pyrage.x25519.Identity.generate()).encode())
    return recipient(provider, name)


def recipient(provider: KeyProvider, name: str = _NAME) -> str:
    """Return the public recipient (``age1…``) of an identity, by default the backup's."""
    return str(pyrage.x25519.Identity.from_str(identity(provider, name)).to_public())


def identity(provider: KeyProvider, name: str = _NAME) -> str:
    """Return a secret identity (``AGE-SECRET-KEY-1…``): for prove, restore_drill and receive."""
    return provider.get(name).decode()


def check_recipient(given: str) -> None:
    """Raise ``KeyProblem`` unless ``given`` is an age X25519 recipient (``age1…``)."""
    try:
        pyrage.x25519.Recipient.from_str(given)
    except pyrage.RecipientError:
        raise KeyProblem("keys.no_recipient") from None


def encrypt(data: bytes, recipients: list[str]) -> bytes:
    """Encrypt ``data`` to age recipients. The result differs each time."""
    return bytes(pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(r) for r in recipients]))


def decrypt(data: bytes, secret_identity: str) -> bytes:
    """Decrypt with an age identity. Raises ``KeyProblem`` when it does not open."""
    try:
        return bytes(pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(secret_identity)]))
    except (pyrage.DecryptError, pyrage.IdentityError):
        raise KeyProblem("keys.does_not_open", id=_NAME) from None


def locked(data: bytes, passphrase: str) -> bytes:
    """Encrypt ``data`` under a passphrase (age's scrypt recipient)."""
    return bytes(pyrage.passphrase.encrypt(data, passphrase))
