"""Evidence that can be checked offline: certificates, exports and the growth of a ledger.

A *document* (certificate) is one JSON object::

    format      "safehands-evidence/1"
    kind        "erasure", "receipt", "restore_drill", …
    body        what is certified: counts, digests, rule names, times
    entry       the ledger entry that records it, as canonical JSON text: the leaf of the tree
    index       the position of that leaf, from 0
    checkpoint  a signed checkpoint of a ledger that holds the leaf
    proof       the inclusion proof, hashes as 64 lower-case hex digits
    signature   a signed note over the digest of all the other fields

The entry names the document by its digest in the field ``document`` (see ``body_digest``), which
the journal must write into the entry before it appends it.

Certified is that the key's owner recorded this body at this place of this ledger. Not promised:
that what the body says is true, that it was lawful, or when it was signed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from safehands.errors import LedgerBroken
from safehands.ledger.canonical import Json, canonical_json, parse_canonical, parse_strict, walk
from safehands.ledger.checkpoint import Checkpoint, open_checkpoint
from safehands.ledger.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from safehands.ledger.note import SigningKey, VerifierKey, open_note, sign

__all__ = [
    "DOCUMENT_FIELD",
    "FORMAT",
    "Evidence",
    "body_digest",
    "load_document",
    "make_document",
    "refuse_personal_values",
    "verify_document",
    "verify_export",
    "verify_extension",
]

FORMAT = "safehands-evidence/1"
DOCUMENT_FIELD = "document"

_FIELDS = frozenset(
    ("format", "kind", "body", "entry", "index", "checkpoint", "proof", "signature")
)
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")

# Digests and UUIDs hold long runs of digits by chance; they are set aside before the search.
_IDENTIFIER = re.compile(
    r"(?<![0-9a-z])"
    r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]*[a-f])[0-9a-f]{12,})"
    r"(?![0-9a-z])",
    re.IGNORECASE | re.ASCII,
)
_MOBILE = re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d([ -]?)\d{4}\1\d{4}(?!\d)", re.ASCII)
_RESIDENT_ID = re.compile(
    r"(?<!\d)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)",
    re.ASCII,
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Evidence:
    """What a verified document says. ``entry`` is the ledger entry, ``index`` its position."""

    kind: str
    body: dict[str, Json]
    entry: dict[str, Json]
    index: int
    checkpoint: Checkpoint


def body_digest(kind: str, body: Mapping[str, object]) -> str:
    """Return ``sha256:<hex>`` over format, kind and body: what the ledger entry must hold."""
    return _digest({"format": FORMAT, "kind": kind, "body": dict(body)})


def make_document(
    kind: str,
    body: Mapping[str, object],
    *,
    entry: bytes,
    index: int,
    checkpoint_note: str,
    proof: Sequence[bytes],
    key: SigningKey,
) -> dict[str, Json]:
    """Return the signed document, after verifying it as its reader will.

    ``entry`` is the canonical JSON of the ledger entry and holds ``body_digest(kind, body)`` in
    its field ``document``. ``checkpoint_note`` is signed by ``key`` too. Raises ``LedgerBroken``
    when any of this does not fit together, or for a value that looks like a person's.
    """
    refuse_personal_values(dict(body))
    refuse_personal_values(parse_canonical(_utf8(entry)))
    document: dict[str, object] = {
        "format": FORMAT,
        "kind": kind,
        "body": dict(body),
        "entry": _utf8(entry),
        "index": index,
        "checkpoint": checkpoint_note,
        "proof": [item.hex() for item in proof],
    }
    document["signature"] = sign(_signed_text(document), key)
    finished = load_document(canonical_json(document).decode())
    verify_document(finished, key.verifier)
    return finished


def load_document(text: str) -> dict[str, Json]:
    """Read a document from the text of a file. Checks JSON only; see ``verify_document``.

    It may be indented. Raises ``LedgerBroken`` for malformed or ambiguous JSON.
    """
    return _typed(parse_strict(text), dict, "$")


def verify_document(document: Mapping[str, object], verifier: VerifierKey) -> Evidence:
    """Check a document with nothing but the public key, and return what it says.

    In this order: fields, signature, that the entry names this body, that the entry is in the
    ledger of the signed checkpoint. Raises ``LedgerBroken`` with the first reason.

    Not promised: that the ledger still holds the entry today; compare with a newer checkpoint
    (``verify_extension``).
    """
    _check_fields(document)
    signature = _typed(document["signature"], str, "signature")
    if open_note(signature, [verifier]) != _signed_text(document):
        raise LedgerBroken("ledger.document_changed")
    found = _opened(document, verifier)
    if found.entry.get(DOCUMENT_FIELD) != body_digest(found.kind, found.body):
        raise LedgerBroken("ledger.entry_of_another", index=found.index)
    leaf = leaf_hash(_typed(document["entry"], str, "entry").encode())
    at = found.checkpoint
    verify_inclusion(leaf, found.index, at.size, _proof(document), at.root)
    return found


def verify_export(
    lines: Iterable[str],
    checkpoint_note: str,
    verifier: VerifierKey,
    *,
    earlier: Iterable[str] = (),
) -> Checkpoint:
    """Check an export of all entries, one canonical JSON text a line, against a checkpoint.

    Reads one line at a time and keeps O(log n). ``earlier`` are checkpoint notes that were kept
    elsewhere, in backups, reports or receipts: each must be a prefix of the export. Returns the
    checkpoint. Raises ``LedgerBroken``: a line is not canonical (its number), entries are missing
    or too many (both counts), the root differs, or an earlier checkpoint is no prefix (both sizes).
    """
    target = open_checkpoint(checkpoint_note, verifier)
    roots = _roots_by_size([open_checkpoint(note, verifier) for note in earlier], target)
    frontier = Frontier()
    _check_prefix(frontier, roots, target)
    for number, line in enumerate(lines, start=1):
        if number > target.size:
            raise LedgerBroken("ledger.export_longer", size=target.size)
        frontier = frontier.append(_export_leaf(line, number))
        _check_prefix(frontier, roots, target)
    if frontier.size != target.size:
        raise LedgerBroken("ledger.export_shorter", have=frontier.size, size=target.size)
    if frontier.root() != target.root:
        raise LedgerBroken("ledger.export_changed", size=target.size)
    return target


def verify_extension(
    old_note: str, new_note: str, proof: Sequence[bytes], verifier: VerifierKey
) -> tuple[Checkpoint, Checkpoint]:
    """Check that the new checkpoint's ledger only added to the old one's, and return both.

    ``proof`` is ``merkle.consistency_proof``. Raises ``LedgerBroken`` naming both sizes when the
    ledger was truncated, rolled back, or written anew.
    """
    old, new = open_checkpoint(old_note, verifier), open_checkpoint(new_note, verifier)
    verify_consistency(old.size, new.size, old.root, new.root, proof)
    return old, new


def refuse_personal_values(value: object) -> None:
    """Raise ``LedgerBroken`` when a string looks like a mainland mobile number or resident id.

    A guard against mistakes, not a promise: it knows nothing of names, addresses, landlines or
    numbers that were split up, and it lets integers pass, because byte counts have 11 digits too.
    UUIDs and words of twelve or more hex digits, one of them a letter, are not searched. The error
    gives the place, not the value.
    """
    for place, item in walk(value):
        if type(item) is str and _looks_personal(item):
            raise LedgerBroken("ledger.personal_value", place=place)


def _looks_personal(text: str) -> bool:
    plain = _IDENTIFIER.sub(" x ", unicodedata.normalize("NFKC", text))
    return bool(_MOBILE.search(plain) or _RESIDENT_ID.search(plain))


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def _signed_text(document: Mapping[str, object]) -> str:
    """The note under a document: format, kind, digest of every field but the signature.

    It never reads as a checkpoint, whose second line is a number.
    """
    kind = _typed(document["kind"], str, "kind")
    if not _KIND.fullmatch(kind):
        raise LedgerBroken("ledger.document_field", field="kind")
    signed = {name: item for name, item in document.items() if name != "signature"}
    return f"{FORMAT}\n{kind}\n{_digest(signed)}\n"


def _check_fields(document: Mapping[str, object]) -> None:
    if document.get("format") != FORMAT:
        raise LedgerBroken("ledger.document_format", wanted=FORMAT)
    if document.keys() != _FIELDS:
        missing, extra = _FIELDS - document.keys(), document.keys() - _FIELDS
        raise LedgerBroken("ledger.document_fields", missing=len(missing), extra=len(extra))


def _opened(document: Mapping[str, object], verifier: VerifierKey) -> Evidence:
    return Evidence(
        kind=_typed(document["kind"], str, "kind"),
        body=_typed(document["body"], dict, "body"),
        entry=_typed(parse_canonical(_typed(document["entry"], str, "entry")), dict, "entry"),
        index=_typed(document["index"], int, "index"),
        checkpoint=open_checkpoint(_typed(document["checkpoint"], str, "checkpoint"), verifier),
    )


def _proof(document: Mapping[str, object]) -> list[bytes]:
    hashes = [_typed(item, str, "proof") for item in _typed(document["proof"], list, "proof")]
    if not all(_HASH.fullmatch(item) for item in hashes):
        raise LedgerBroken("ledger.document_field", field="proof")
    return [bytes.fromhex(item) for item in hashes]


def _typed(value: object, kind: type[_T], field: str) -> _T:
    # A bool is an int to isinstance, and no position in a ledger.
    if type(value) is not kind:
        raise LedgerBroken("ledger.document_field", field=field)
    return value


def _utf8(entry: bytes) -> str:
    try:
        return entry.decode()
    except UnicodeDecodeError:
        pass
    # Raised outside of the handler: the decoder's error carries the bytes.
    raise LedgerBroken("ledger.json_malformed")


def _roots_by_size(earlier: list[Checkpoint], target: Checkpoint) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    for one in earlier:
        if one.size > target.size:
            raise LedgerBroken("ledger.rolled_back", old=one.size, new=target.size)
        if roots.setdefault(one.size, one.root) != one.root:
            raise LedgerBroken("ledger.forked", size=one.size)
    return roots


def _check_prefix(frontier: Frontier, roots: dict[int, bytes], target: Checkpoint) -> None:
    if frontier.size in roots and frontier.root() != roots[frontier.size]:
        raise LedgerBroken("ledger.not_a_prefix", old=frontier.size, new=target.size)


def _export_leaf(line: str, number: int) -> bytes:
    text = line.removesuffix("\n")
    try:
        parse_canonical(text)
    except LedgerBroken:
        raise LedgerBroken("ledger.export_line", line=number) from None
    return leaf_hash(text.encode())
