"""A recipient's own domain: tokens that no other recipient can join, and that name the recipient.

Derivation (``H`` is HMAC-SHA256)::

    domain key ─┬ H("token") ─ body = H(subject id), first 96 bits
                ├ H("mark")  ─ mark = H(body), first 32 bits
                └ H("stars") ─ bits = H(masked cell), which star hides each sign
    token = body | mark, 128 bits, written as a UUID

The key is random, made for one owner and one agreement and kept by the key provider, so two
recipients' tokens of one person have nothing in common (PIPL 73(3)). The last 32 bits are a
watermark: whoever holds the key sees from a single leaked row, whatever columns and order it has
left, that this recipient's file it came from; by chance that happens once in 4×10⁹ rows and key.

Not promised: that people can't be told by the other columns; that is what the class size is for.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from uuid import UUID

from safehands.keys.provider import KeyProvider, key_id
from safehands.keys.secret import Secret

__all__ = ["DomainKey", "open_domain"]

_BODY, _MARK = 12, 4


class DomainKey(Secret):
    """The key of one recipient's domain. Made by :func:`open_domain` only."""

    def __init__(self, secret: bytes) -> None:
        self.key_id = key_id(secret)
        self._token = hmac.digest(secret, b"safehands/1/token", "sha256")
        self._mark = hmac.digest(secret, b"safehands/1/mark", "sha256")
        self._stars = hmac.digest(secret, b"safehands/1/stars", "sha256")

    def tokens(self, subjects: Iterable[UUID]) -> list[UUID]:
        """Return the token of each subject id, in order."""
        return [self._with_mark(self._body(subject.bytes)) for subject in subjects]

    def made(self, token: UUID) -> bool:
        """Say whether this domain made ``token``."""
        return hmac.compare_digest(self._with_mark(token.bytes[:_BODY]).bytes, token.bytes)

    def bits(self, shown: str, count: int) -> list[bool]:
        """Return ``count`` (at most 256) bits that this domain alone gives to what is shown."""
        made = hmac.digest(self._stars, shown.encode(), "sha256")
        return [bool(made[place // 8] >> place % 8 & 1) for place in range(count)]

    def _body(self, subject: bytes) -> bytes:
        return hmac.digest(self._token, subject, "sha256")[:_BODY]

    def _with_mark(self, body: bytes) -> UUID:
        return UUID(bytes=body + hmac.digest(self._mark, body, "sha256")[:_MARK])


def open_domain(provider: KeyProvider, owner: str, agreement: str, *, make: bool) -> DomainKey:
    """Return the domain of an agreement, making its key first where ``make`` says so.

    Raises ``KeyProblem`` when the key is missing and may not be made.
    """
    name = f"share/{owner}/{agreement}"
    if make and not provider.has(name):
        provider.create(name)
    return DomainKey(provider.get(name))
