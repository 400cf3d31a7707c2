"""The escrow bundle: keys in one age file, its passphrase split k of n (SLIP-0039).

The bundle is an age file (C2SP, scrypt passphrase); its plaintext is one line of JSON,
``{"format": "safehands-escrow/1", "root_version": …, "secrets": {name: base64}}``. The passphrase
is 64 hex digits of 32 random bytes, and those bytes are what is split: each share is a line of 33
words that can be written down. Fewer than k shares say nothing about the bytes (Shamir 1979).

So the keys come back without this program: ``shamir recover`` (the reference implementation of
SLIP-0039) gives the 64 digits, ``age -d`` opens the bundle with them.

Epoch, day and run keys are never in it: they exist in order to be destroyed.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyrage
import shamir_mnemonic
from shamir_mnemonic.shamir import recover_ems

from safehands.errors import KeyProblem
from safehands.keys.secret import Secret

__all__ = ["MOST", "Bundle", "joined", "split"]

_FORMAT = "safehands-escrow/1"
MOST = 16
"""The most shares that SLIP-0039 has room for in one group."""


@dataclass(frozen=True)
class Bundle(Secret):
    """What is in escrow: secrets by name. Neither shown nor pickled."""

    root_version: int
    secrets: Mapping[str, bytes] = field(repr=False)


def split(bundle: Bundle, threshold: int, shares: int) -> tuple[bytes, list[str]]:
    """Return the bundle's file and its shares.

    Raises ``KeyProblem`` unless 2 ≤ ``threshold`` ≤ ``shares`` ≤ 16, and unless any k shares that
    are tried open it again.
    """
    if not 2 <= threshold <= shares <= MOST:
        raise KeyProblem("keys.escrow.numbers", threshold=threshold, shares=shares, most=MOST)
    secret = os.urandom(32)
    (words,) = shamir_mnemonic.generate_mnemonics(1, [(threshold, shares)], secret)
    data = pyrage.passphrase.encrypt(_plain(bundle), secret.hex())
    # Proved before anybody relies on it, with the first shares and with the last.
    for chosen in (words[:threshold], words[-threshold:]):
        if _secret(chosen) != secret:
            raise KeyProblem("keys.escrow.shares")
    if joined(data, words[:threshold]) != bundle:
        raise KeyProblem("keys.escrow.bundle")
    return bytes(data), list(words)


def joined(data: bytes, shares: Sequence[str]) -> Bundle:
    """Open a bundle with k or more of its shares.

    Raises ``KeyProblem`` for too few or foreign shares, for mistyped words, for another bundle.
    """
    passphrase = _secret(shares).hex()
    try:
        record = json.loads(pyrage.passphrase.decrypt(data, passphrase))
        secrets = {name: base64.b64decode(text) for name, text in record["secrets"].items()}
        if record["format"] != _FORMAT:
            raise KeyProblem("keys.newer_format", name="escrow")
        return Bundle(int(record["root_version"]), secrets)
    except (pyrage.DecryptError, ValueError, KeyError, TypeError, binascii.Error):
        raise KeyProblem("keys.escrow.bundle") from None


def _secret(shares: Sequence[str]) -> bytes:
    try:
        groups = shamir_mnemonic.decode_mnemonics([" ".join(s.split()) for s in shares])
        least = {index: group.get_minimal_group() for index, group in groups.items()}
        return bytes(recover_ems(least).decrypt(b""))
    except (shamir_mnemonic.MnemonicError, ValueError):
        # The library's own text quotes words of a share.
        raise KeyProblem("keys.escrow.shares") from None


def _plain(bundle: Bundle) -> bytes:
    secrets = {name: base64.b64encode(s).decode() for name, s in sorted(bundle.secrets.items())}
    record = {"format": _FORMAT, "root_version": bundle.root_version, "secrets": secrets}
    return json.dumps(record).encode() + b"\n"
