"""Checkpoints: the signed size and root of a ledger (C2SP tlog-checkpoint).

The text of the note is::

    <origin>
    <number of leaves, decimal>
    <root hash, base64>
    <extension lines, if any>

The format advises that the origin is the name of the key that signs; here it must be. So a key
that serves one ledger never vouches for another, and a certificate, which is signed by the same
key, never reads as a checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from safehands.errors import KeyProblem, LedgerBroken
from safehands.ledger.merkle import EMPTY_ROOT, HASH_BYTES
from safehands.ledger.note import SigningKey, VerifierKey, open_note, sign

__all__ = [
    "Checkpoint",
    "check_fingerprint",
    "fingerprint",
    "open_checkpoint",
    "parse",
    "sign_checkpoint",
]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LARGEST_SIZE = (1 << 63) - 1
_CONTROL = re.compile(r"[\x00-\x1f]")
_FINGERPRINT_BYTES = 20
_GROUP = 4


@dataclass(frozen=True)
class Checkpoint:
    """The state of a ledger: its origin, its number of leaves, and the root over them.

    ``root`` is 32 bytes; ``size`` is from 0 to 2^63-1. Extension lines are carried and signed but
    mean nothing here. Raises ``LedgerBroken`` when a field cannot be written in the format.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= _LARGEST_SIZE:
            raise LedgerBroken("ledger.checkpoint_size")
        if len(self.root) != HASH_BYTES:
            raise LedgerBroken("ledger.hash_length", have=len(self.root), need=HASH_BYTES)
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise LedgerBroken("ledger.empty_root")
        for line in (self.origin, *self.extensions):
            if not line or _CONTROL.search(line):
                raise LedgerBroken("ledger.checkpoint_malformed")

    def text(self) -> str:
        """Return the text of the note, without signatures."""
        root = base64.b64encode(self.root).decode("ascii")
        lines = (self.origin, str(self.size), root, *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Says nothing about who wrote it: see ``open_checkpoint``.

    Raises ``LedgerBroken`` for anything that ``Checkpoint.text`` would not write.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise LedgerBroken("ledger.checkpoint_malformed")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise LedgerBroken("ledger.checkpoint_size")
    found = Checkpoint(origin, int(size), _root(root), tuple(extensions))
    if found.text() != text:
        raise LedgerBroken("ledger.checkpoint_malformed")
    return found


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Return ``checkpoint`` as a signed note. Its origin must be the name of ``key``.

    Not promised: that no other checkpoint of this size was ever signed. The caller must sign only
    what extends its last one (``merkle.verify_consistency``).
    """
    _check_origin(checkpoint, key.verifier)
    return sign(checkpoint.text(), key)


def open_checkpoint(note: str, verifier: VerifierKey) -> Checkpoint:
    """Return the checkpoint in ``note`` after checking signature and origin.

    Raises ``LedgerBroken`` as ``open_note`` and ``parse`` do, or for another ledger's checkpoint.
    """
    found = parse(open_note(note, [verifier]))
    _check_origin(found, verifier)
    return found


def fingerprint(verifier: VerifierKey) -> str:
    """Return ten groups of four hex digits for an agreement that people sign by hand.

    The first 160 bits of the hash that the key id comes from, so the first two groups are the key
    id. It covers the name too. Long enough that nobody can make a second key for it.
    """
    digits = verifier.digest[:_FINGERPRINT_BYTES].hex()
    return " ".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def check_fingerprint(verifier: VerifierKey, written: str) -> None:
    """Check a fingerprint that was typed from paper; spaces, hyphens and case don't matter.

    Raises ``KeyProblem`` when it belongs to another key or is incomplete.
    """
    typed = re.sub(r"[\s-]", "", written).lower()
    if typed != fingerprint(verifier).replace(" ", ""):
        raise KeyProblem("ledger.fingerprint", key_id=verifier.key_id)


def _root(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise LedgerBroken("ledger.checkpoint_malformed") from None


def _check_origin(checkpoint: Checkpoint, verifier: VerifierKey) -> None:
    if checkpoint.origin != verifier.name:
        raise LedgerBroken("ledger.checkpoint_origin", wanted=verifier.name)
