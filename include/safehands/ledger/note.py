"""Signed notes: text that ends with lines of Ed25519 signatures (C2SP signed-note v1.0.0).

::

    text, ending in a newline
                                             an empty line
    — <key name> base64(key id || signature)

Key strings, as other implementations of the format write them::

    <name>+<key id, 8 hex>+base64(0x01 || public key)
    PRIVATE+KEY+<name>+<key id, 8 hex>+base64(0x01 || private seed)

The key id is the first four bytes of ``SHA-256(name || 0x0A || 0x01 || public key)``. It only
says which key to try; it is no fingerprint (see ``checkpoint.fingerprint``).

Only signature type 0x01 (Ed25519, RFC 8032) is read. Base64 is RFC 4648 section 4 with padding,
and only its one canonical spelling is accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from safehands.errors import KeyProblem, LedgerBroken

__all__ = [
    "SigningKey",
    "VerifierKey",
    "export_private",
    "import_private",
    "open_note",
    "sign",
]

MAX_NOTE_CHARACTERS = 1_000_000
MAX_SIGNATURES = 100

_ED25519 = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 4
_PREFIX = "— "
_PRIVATE = "PRIVATE+KEY+"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_HEX_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name. ``str()`` gives the key string; nothing in it is secret.

    ``name`` is non-empty, without spaces and without ``+``; by custom a URL without a scheme,
    such as ``station.example/ledger``. ``public`` is 32 bytes. Raises ``KeyProblem`` otherwise.

    Not promised: that the name belongs to anybody. Trust comes from where the key was taken from.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public) != _KEY_BYTES:
            raise KeyProblem("ledger.verifier_key_malformed")

    @property
    def digest(self) -> bytes:
        """The 32-byte hash that the key id and the fingerprint are cut from."""
        body = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(body).digest()

    @property
    def key_id(self) -> str:
        """The key id as 8 lower-case hex digits."""
        return self.digest[:_ID_BYTES].hex()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id}+{_encode(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a key string. Raises ``KeyProblem``, which never repeats the text."""
        name, key_id, body = _key_fields(text, "ledger.verifier_key_malformed")
        key = cls(name, body)
        if key.key_id != key_id:
            raise KeyProblem("ledger.verifier_key_malformed")
        return key


class SigningKey:
    """A private key that can sign and be named, and nothing else.

    It is made by ``generate`` or ``import_private``. ``repr`` shows name and key id. Copying and
    pickling raise ``TypeError``, so that it does not travel into a task, a log or a queue by
    accident. The private bytes leave it only through ``export_private``.

    Not promised: protection from code in the same process that means to read them.
    """

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Return a new random key. Raises ``KeyProblem`` for an impossible name."""
        return cls(name, Ed25519PrivateKey.generate())

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def key_id(self) -> str:
        """The key id as 8 lower-case hex digits."""
        return self.verifier.key_id

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over ``data``. Callers want ``sign`` instead."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(name={self.name!r}, key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey is not copied or pickled; pass the key provider instead")


def export_private(key: SigningKey) -> str:
    """Return the private key string. For the key provider alone, which encrypts it at once."""
    seed = key._private.private_bytes_raw()
    return f"{_PRIVATE}{key.name}+{key.key_id}+{_encode(_ED25519 + seed)}"


def import_private(text: str) -> SigningKey:
    """Read what ``export_private`` wrote. Raises ``KeyProblem``, which never repeats the text."""
    if not text.startswith(_PRIVATE):
        raise KeyProblem("ledger.signing_key_malformed")
    fields = _key_fields(text.removeprefix(_PRIVATE), "ledger.signing_key_malformed")
    name, key_id, seed = fields
    key = SigningKey(name, Ed25519PrivateKey.from_private_bytes(seed))
    if key.key_id != key_id:
        raise KeyProblem("ledger.signing_key_malformed")
    return key


def sign(text: str, key: SigningKey) -> str:
    """Return ``text`` as a note signed by ``key``.

    ``text`` ends in a newline and holds no other control characters; ``LedgerBroken`` otherwise.
    """
    data = _note_bytes(text)
    if not text.endswith("\n"):
        raise LedgerBroken("ledger.note_malformed", line=1 + text.count("\n"))
    signature = bytes.fromhex(key.key_id) + key.sign_bytes(data)
    return f"{text}\n{_PREFIX}{key.name} {_encode(signature)}\n"


def open_note(note: str, verifiers: Iterable[VerifierKey]) -> str:
    """Return the text of ``note`` when at least one of ``verifiers`` signed it.

    Signatures of keys that are not in ``verifiers`` are ignored, as the format demands. Raises
    ``LedgerBroken``: malformed note, no signature of a known key, a known key's signature that is
    wrong or stands there twice, or two verifiers that share name and key id.

    Not promised: that all of ``verifiers`` signed. Ask once for each key where that matters.
    """
    known = _by_name_and_id(verifiers)
    text, signatures = _split(note)
    seen: set[tuple[str, str]] = set()
    for mark, signature in signatures:
        if mark not in known:
            continue
        if mark in seen:
            raise LedgerBroken("ledger.signature_twice", name=mark[0], key_id=mark[1])
        seen.add(mark)
        _check_signature(known[mark], signature, text)
    if not seen:
        wanted = ", ".join(sorted(f"{name}+{key_id}" for name, key_id in known)) or "-"
        raise LedgerBroken("ledger.signature_unknown", have=len(signatures), wanted=wanted)
    return text


def _by_name_and_id(verifiers: Iterable[VerifierKey]) -> dict[tuple[str, str], VerifierKey]:
    known: dict[tuple[str, str], VerifierKey] = {}
    for key in verifiers:
        mark = (key.name, key.key_id)
        if known.setdefault(mark, key) != key:
            raise LedgerBroken("ledger.verifier_ambiguous", name=key.name, key_id=key.key_id)
    return known


def _split(note: str) -> tuple[str, list[tuple[tuple[str, str], bytes]]]:
    if len(note) > MAX_NOTE_CHARACTERS:
        raise LedgerBroken("ledger.note_too_long", have=len(note), most=MAX_NOTE_CHARACTERS)
    _note_bytes(note)
    # The text may hold empty lines itself; the last one is where the signatures begin.
    at = note.rfind("\n\n")
    if at < 0 or not note.endswith("\n"):
        raise LedgerBroken("ledger.note_malformed", line=1 + note.count("\n"))
    text, first = note[: at + 1], 2 + note.count("\n", 0, at + 1)
    lines = note[at + 2 :].split("\n")[:-1]
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise LedgerBroken("ledger.signature_count", have=len(lines), most=MAX_SIGNATURES)
    return text, [_signature_line(line, first + number) for number, line in enumerate(lines)]


def _signature_line(line: str, number: int) -> tuple[tuple[str, str], bytes]:
    name, _, encoded = line.removeprefix(_PREFIX).partition(" ")
    body = _decode(encoded)
    if not line.startswith(_PREFIX) or not _is_name(name) or body is None or len(body) <= _ID_BYTES:
        raise LedgerBroken("ledger.note_malformed", line=number)
    return (name, body[:_ID_BYTES].hex()), body[_ID_BYTES:]


def _check_signature(key: VerifierKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        raise LedgerBroken("ledger.signature_wrong", name=key.name, key_id=key.key_id) from None


def _note_bytes(text: str) -> bytes:
    found = _CONTROL.search(text)
    if found:
        raise LedgerBroken("ledger.note_malformed", line=1 + text.count("\n", 0, found.start()))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        line = 1 + text.count("\n", 0, error.start)
    # Raised outside of the handler, so that the chained error cannot repeat the text.
    raise LedgerBroken("ledger.note_malformed", line=line)


def _key_fields(text: str, problem: str) -> tuple[str, str, bytes]:
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    body = _decode(encoded)
    if (
        body is None
        or body[:1] != _ED25519
        or len(body) != 1 + _KEY_BYTES
        or not _HEX_ID.fullmatch(key_id)
        or not _is_name(name)
    ):
        raise KeyProblem(problem)
    return name, key_id, body[1:]


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise KeyProblem("ledger.key_name")


def _is_name(name: str) -> bool:
    if not name or any(char.isspace() or char == "+" or char < " " for char in name):
        return False
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes | None:
    """Return the bytes of canonical base64, or None: other spellings of the same bytes count as
    damage, because a note that can be rewritten without breaking is two notes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None
