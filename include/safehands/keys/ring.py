"""One controller's keys in use: lookups, waybill tokens, wrapped salts and sealed records.

Derivation (``H`` is HMAC-SHA256, ``|`` joins length-prefixed parts)::

    epoch key ─┬ H("lookup") ─ lookup  = H(tombstone token), first 128 bits
               └ H("salt")   ─ AES-256-GCM over each person's 16-byte salt
    data key  ─┬ H("subject") ─ subject key = H(salt) ─ AES-256-GCM over the person's record
               ├ H("waybill") ─ waybill token = H(carrier | number), first 128 bits
               └ H("custody") ─ salt of a parcel in custody that belongs to no known person
    tombstone key ─ tombstone token = H(kind | canonical value), first 128 bits; never rotates
    suppression key ─ suppression token = H(tombstone token), first 128 bits; never rotates

The branches "waybill" and "custody" are those of the first data key for good (ADR 0007): they are
kept by themselves once that key is replaced. The branch "subject" changes with every data key.

A sealed record is ``0x01``, key version (2 bytes), nonce (12 bytes), AES-256-GCM ciphertext. Its
associated data binds controller, owner of the record, kind, schema and key version, so that a
ciphertext moved to another person, controller, kind or version does not open. While a data key is
being replaced, records of the one before open too; older ones are refused. Plaintexts are padded
with spaces to a multiple of 64 bytes, which hides the length of a name.

Not promised: whoever holds a lookup key and the tombstone key can enumerate all 7×10⁹ mobile
numbers in hours. The keys are the secret, not the token.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehands.errors import KeyProblem
from safehands.keys.provider import KeyProvider, key_id
from safehands.keys.secret import Secret, opened

__all__ = [
    "KeyRing",
    "WrappedKeys",
    "data_purpose",
    "new_wrapped_keys",
    "token_branches",
    "tokens_purpose",
]

Tokens = npt.NDArray[np.void]

_SEALED = b"\x01"
_SCHEMA = 1
_PAD = 64


@dataclass(frozen=True)
class WrappedKeys:
    """A controller's keys as they lie in the database, wrapped by the root key.

    ``tokens``: the branches of the first data key that are kept (``None``: that key is in use).
    ``former``: data keys that records may still need, by version.
    """

    controller: str
    data_version: int
    data: bytes = field(repr=False)
    tombstone: bytes = field(repr=False)
    suppression: bytes = field(repr=False)
    tokens: bytes | None = field(default=None, repr=False)
    former: Mapping[int, bytes] = field(default_factory=dict, repr=False)


def new_wrapped_keys(provider: KeyProvider, controller: str) -> WrappedKeys:
    """Make a controller's random data, tombstone and suppression keys, wrapped."""
    kinds = ("data", "tombstone", "suppression")
    wrapped = {kind: provider.wrap(os.urandom(32), f"{kind}/{controller}/1") for kind in kinds}
    return WrappedKeys(controller, 1, wrapped["data"], wrapped["tombstone"], wrapped["suppression"])


class KeyRing(Secret):
    """The keys of one controller in one epoch, ready for use in bulk.

    Made by ``KeyRing.open`` only. All list-taking methods keep order.
    """

    def __init__(
        self,
        controller: str,
        version: int,
        epoch: int,
        data: bytes,
        tombstone: bytes,
        now: bytes,
        *,
        tokens: bytes | None = None,
        former: Mapping[int, bytes] | None = None,
        suppression: bytes = b"",
    ) -> None:
        self.controller, self.version, self.epoch = controller, version, epoch
        self.key_id = f"{controller} data:{version}:{key_id(data)} epoch:{epoch}:{key_id(now)}"
        self._lookup = _Mac(_derive(now, "lookup"))
        self._salts = AESGCM(_derive(now, "salt"))
        branches = tokens if tokens is not None else token_branches(data)
        self._waybill, self._custody = _Mac(branches[:32]), _Mac(branches[32:])
        keys = {**(former or {}), version: data}
        self._subjects = {v: _Mac(_derive(key, "subject")) for v, key in keys.items()}
        self._tombstone = _Mac(_derive(tombstone, "tombstone"))
        self._suppression = _Mac(_derive(suppression, "suppression"))

    @classmethod
    def open(cls, provider: KeyProvider, wrapped: WrappedKeys, epoch: int) -> KeyRing:
        """Unwrap a controller's keys.

        Raises ``KeyProblem`` when the root key is wrong or the epoch key is missing.
        """
        name = wrapped.controller
        data = provider.unwrap(wrapped.data, data_purpose(name, wrapped.data_version))
        tombstone = provider.unwrap(wrapped.tombstone, f"tombstone/{name}/1")
        kept = wrapped.tokens
        former = wrapped.former.items()
        return cls(
            name,
            wrapped.data_version,
            epoch,
            data,
            tombstone,
            provider.get(f"epoch/{name}/{epoch}"),
            tokens=None if kept is None else provider.unwrap(kept, tokens_purpose(name)),
            former={v: provider.unwrap(w, data_purpose(name, v)) for v, w in former},
            suppression=provider.unwrap(wrapped.suppression, f"suppression/{name}/1"),
        )

    def describe(self) -> dict[str, str | int]:
        """Return what may be shown: controller, versions and key ids."""
        return {"controller": self.controller, "data_version": self.version, "epoch": self.epoch}

    def lookups(self, kind: str, values: Iterable[str]) -> Tokens:
        """Return the lookup of each canonical value (e.g. kind ``mobile``), ``V16``, in order."""
        return self.lookups_of(self.tombstones(kind, values))

    def lookups_of(self, graves: Tokens) -> Tokens:
        """Return the lookups that belong to tombstone tokens, both ``V16``, in order.

        A new epoch needs new lookups of people whose numbers are masked by then; their tombstone
        tokens lie wrapped beside their salts.
        """
        return self._lookup.tokens(graves.tolist())

    def tombstones(self, kind: str, values: Iterable[str]) -> Tokens:
        """Return the tombstone token of each canonical value, ``V16``, in order."""
        prefix = _part(kind)
        return self._tombstone.tokens([prefix + _part(value) for value in values])

    def suppressions_of(self, graves: Tokens) -> Tokens:
        """Return the suppression tokens that belong to tombstone tokens, both ``V16``, in order."""
        return self._suppression.tokens(graves.tolist())

    def waybills(self, carriers: npt.NDArray[Any], numbers: pa.ChunkedArray) -> Tokens:
        """Return the token of each waybill, ``V16``; the carrier is its policy code.

        ``numbers`` is an Arrow string column without nulls. The messages are put together by
        columns: carrier (2 bytes), length of the number (2 bytes), number in UTF-8.
        """
        raw = numbers.combine_chunks().cast(pa.binary())
        head = np.empty(len(raw), dtype=[("carrier", ">u2"), ("length", ">u2")])
        head["carrier"] = carriers
        head["length"] = pc.binary_length(raw).to_numpy(zero_copy_only=False)
        heads = pa.Array.from_buffers(pa.binary(4), len(head), [None, pa.py_buffer(head)])
        joined = pc.binary_join_element_wise(heads.cast(pa.binary()), raw, b"")
        return self._waybill.tokens(joined.to_pylist())

    def wrap_salts(self, subjects: Sequence[bytes], salts: Sequence[bytes]) -> list[bytes]:
        """Wrap each person's salt (and what goes with it) under the epoch key.

        Each is bound to its subject id: 12-byte nonce and AES-256-GCM ciphertext.
        """
        seal, context = self._salts.encrypt, self._salt_context()
        nonces = [os.urandom(12) for _ in salts]
        return [
            n + seal(n, salt, context + subject)
            for n, salt, subject in zip(nonces, salts, subjects, strict=True)
        ]

    def unwrap_salts(self, subjects: Sequence[bytes], wrapped: Sequence[bytes]) -> list[bytes]:
        """Undo ``wrap_salts``. Raises ``KeyProblem`` on any mismatch."""
        cipher, context = self._salts, self._salt_context()
        try:
            return [
                opened(cipher, w, context + subject)
                for w, subject in zip(wrapped, subjects, strict=True)
            ]
        except InvalidTag:
            raise KeyProblem("keys.does_not_open", id=self.key_id) from None

    def seal(
        self, kind: str, owners: Sequence[bytes], salts: Sequence[bytes], plain: Sequence[bytes]
    ) -> list[bytes]:
        """Encrypt each record under its person's own key. No nonce can be given from outside."""
        head = _SEALED + self.version.to_bytes(2, "big")
        context, subject_key = self._context(kind, self.version), self._subjects[self.version]
        return [
            _encrypt(AESGCM(subject_key(salt)), head, _padded(text), context + owner)
            for owner, salt, text in zip(owners, salts, plain, strict=True)
        ]

    def unseal(
        self, kind: str, owners: Sequence[bytes], salts: Sequence[bytes], sealed: Sequence[bytes]
    ) -> list[bytes]:
        """Decrypt records of the data keys this ring has.

        Raises ``KeyProblem`` for one moved or changed, and for one below the minimum version.
        """
        heads = {
            _SEALED + v.to_bytes(2, "big"): (mac, self._context(kind, v))
            for v, mac in self._subjects.items()
        }
        try:
            return [
                _decrypt(blob, heads, salt, owner)
                for owner, salt, blob in zip(owners, salts, sealed, strict=True)
            ]
        except KeyError:
            raise KeyProblem(
                "keys.no_such_version", id=self.key_id, minimum=min(self._subjects)
            ) from None
        except InvalidTag:
            raise KeyProblem("keys.does_not_open", id=self.key_id) from None

    def custody_salts(self, tokens: Iterable[bytes]) -> list[bytes]:
        """Return salts for parcels in custody without a known person, from their tokens."""
        return [self._custody(token)[:16] for token in tokens]

    def _salt_context(self) -> bytes:
        return _part("salt") + _part(self.controller) + self.epoch.to_bytes(4, "big")

    def _context(self, kind: str, version: int) -> bytes:
        numbers = _SCHEMA.to_bytes(2, "big") + version.to_bytes(2, "big")
        return _part("record") + _part(self.controller) + _part(kind) + numbers


def data_purpose(controller: str, version: int) -> str:
    """Return what a wrapped data key is bound to."""
    return f"data/{controller}/{version}"


def tokens_purpose(controller: str) -> str:
    """Return what the kept branches of the first data key are bound to when wrapped."""
    return f"tokens/{controller}/1"


def token_branches(data: bytes) -> bytes:
    """Return the branches "waybill" and "custody" of a data key, 32 bytes each."""
    return _derive(data, "waybill") + _derive(data, "custody")


def _derive(key: bytes, label: str) -> bytes:
    return hmac.digest(key, b"safehands/1/" + label.encode(), "sha256")


def _part(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


class _Mac:
    """HMAC-SHA256 under one key (RFC 2104) with both pads hashed once.

    For a million short values this takes half the time of ``hmac.digest``.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in block))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in block))

    def digests(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the 32-byte MAC of each message."""
        inner, outer = self._inner.copy, self._outer.copy
        for message in messages:
            first = inner()
            first.update(message)
            second = outer()
            second.update(first.digest())
            yield second.digest()

    def __call__(self, message: bytes) -> bytes:
        return next(self.digests((message,)))

    def tokens(self, messages: Sequence[bytes]) -> Tokens:
        """Return the first 128 bits of each MAC as a ``V16`` array."""
        whole = np.frombuffer(b"".join(self.digests(messages)), dtype=np.uint8)
        return np.ascontiguousarray(whole.reshape(-1, 32)[:, :16]).view("V16").reshape(-1)


def _padded(text: bytes) -> bytes:
    return text + b" " * (-len(text) % _PAD)


def _encrypt(cipher: AESGCM, head: bytes, text: bytes, context: bytes) -> bytes:
    nonce = os.urandom(12)
    return head + nonce + cipher.encrypt(nonce, text, context)


def _decrypt(
    blob: bytes, heads: Mapping[bytes, tuple[_Mac, bytes]], salt: bytes, owner: bytes
) -> bytes:
    subject_key, context = heads[blob[:3]]
    return opened(AESGCM(subject_key(salt)), blob[3:], context + owner).rstrip(b" ")
