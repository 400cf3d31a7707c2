"""The manifest: what one generation consists of, signed, then encrypted.

The plaintext of a manifest file is one line of canonical JSON and a signed note below it (C2SP
signed-note), whose text is ``safehands-backup/1`` and the SHA-256 of that line::

    {"business_date": …, "parts": […], …}
    safehands-backup/1
    <64 hex digits>

    — safehands/ledger <signature>

The signature is needed because anybody can encrypt to a public recipient. ``generations`` names
all earlier manifests that belong to the repository, so that one taken away, put back or exchanged
is seen. That the newest itself was taken away is seen by who kept its digest: the table
``backup`` and the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from safehands.backup.repository import digest
from safehands.errors import BackupBroken, KeyProblem, LedgerBroken
from safehands.keys import age
from safehands.ledger import (
    SigningKey,
    VerifierKey,
    canonical_json,
    open_note,
    parse_canonical,
    sign,
)

__all__ = ["FORMAT", "Generation", "Manifest", "Part", "Segment", "open_manifest", "seal_manifest"]

FORMAT = "safehands-backup/1"


@dataclass(frozen=True)
class Part:
    """One part of a table. ``object``: file name; ``content``: keyed digest of the rows, hex."""

    part: str
    table: str
    rows: int
    bytes: int
    object: str
    content: str


@dataclass(frozen=True)
class Segment:
    """A key segment: file name, SHA-256 of the file, keyed digest, rows of both kinds."""

    name: str
    digest: str
    content: str
    bytes: int
    salts: int
    tombstones: int


@dataclass(frozen=True)
class Generation:
    """An earlier manifest: file name and SHA-256 of the file."""

    name: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """One generation. ``number`` grows by one; ``keys`` holds the newest segment first.

    ``tables`` maps a table to its rows; ``checkpoint`` is the ledger's signed note of that moment
    (empty while the ledger is); ``revision`` is the schema's; ``lineage`` grows with each
    rotation of data keys.
    """

    number: int
    business_date: str
    created_at: str
    run: str
    root: str
    policy: str
    revision: str
    lineage: int
    checkpoint: str
    tables: Mapping[str, int]
    parts: tuple[Part, ...]
    keys: tuple[Segment, ...]
    generations: tuple[Generation, ...]

    @property
    def previous(self) -> Generation | None:
        """The manifest before this one."""
        return self.generations[-1] if self.generations else None


def seal_manifest(manifest: Manifest, signer: SigningKey, recipients: list[str]) -> bytes:
    """Return the bytes of a manifest file."""
    previous = manifest.previous
    body = {
        **_plain(manifest),
        "format": FORMAT,
        "previous": asdict(previous) if previous else None,
    }
    line = canonical_json(body)
    note = sign(f"{FORMAT}\n{digest(line)}\n", signer)
    return age.encrypt(line + b"\n" + note.encode(), recipients)


def open_manifest(name: str, data: bytes, identity: str, verifier: VerifierKey) -> Manifest:
    """Decrypt, check the signature and read. ``name`` is only for messages.

    Raises ``BackupBroken``; a text never repeats what stands in the file.
    """
    try:
        line, _, note = age.decrypt(data, identity).partition(b"\n")
        said = open_note(note.decode(), [verifier])
        body = parse_canonical(line.decode())
    except KeyProblem:
        raise BackupBroken("backup.does_not_open", file=name) from None
    except (LedgerBroken, UnicodeDecodeError):
        raise BackupBroken("backup.signature", file=name) from None
    if said != f"{FORMAT}\n{digest(line)}\n" or not isinstance(body, dict):
        raise BackupBroken("backup.signature", file=name)
    return _read(name, body)


def _plain(manifest: Manifest) -> dict[str, Any]:
    whole = asdict(manifest)
    lists = {key: list(whole[key]) for key in ("parts", "keys", "generations")}
    return {**whole, "tables": dict(manifest.tables), **lists}


def _read(name: str, body: Mapping[str, Any]) -> Manifest:
    if body.get("format") != FORMAT:
        raise BackupBroken("backup.newer_format", file=name)
    try:
        plain = {field.name: body[field.name] for field in fields(Manifest)}
        plain["parts"] = _each(Part, plain["parts"])
        plain["keys"] = _each(Segment, plain["keys"])
        plain["generations"] = _each(Generation, plain["generations"])
        return Manifest(**plain)
    except (KeyError, TypeError):
        raise BackupBroken("backup.newer_format", file=name) from None


_Item = TypeVar("_Item", Part, Segment, Generation)


def _each(kind: type[_Item], items: list[dict[str, Any]]) -> tuple[_Item, ...]:
    return tuple(kind(**item) for item in items)
