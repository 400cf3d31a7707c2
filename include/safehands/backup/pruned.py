"""A signed note on what a prune removes from the repository.

The newest manifest names all earlier generations; without this note a pruned one would look as if
somebody had taken it away. A note is text that needs no key to read (C2SP signed-note)::

    safehands-prune/1
    {"newest": <SHA-256 of the newest manifest>, "number": …, "removed": [[name, SHA-256], …],
     "state": "removing" | "removed"}

    — safehands/ledger <signature>

While the state is ``removing``, the generations that it names may be there or not; a note with the
state ``removed`` takes its place when they are gone. The next generation names only what is left,
so that notes end with the manifest that they follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from safehands.backup.manifest import Generation
from safehands.backup.repository import PRUNES, Repository, digest
from safehands.errors import BackupBroken, LedgerBroken
from safehands.ledger import (
    SigningKey,
    VerifierKey,
    canonical_json,
    open_note,
    parse_canonical,
    sign,
)

__all__ = ["Note", "note_name", "open_notes", "seal_note"]

FORMAT = "safehands-prune/1"

State = Literal["removing", "removed"]


@dataclass(frozen=True)
class Note:
    """What prune ``number`` removes. ``newest`` is the SHA-256 of the manifest it follows."""

    number: int
    state: State
    newest: str
    removed: tuple[Generation, ...]


def seal_note(note: Note, signer: SigningKey) -> bytes:
    """Return the bytes of the note's file: the same for the same note."""
    body = {**asdict(note), "removed": [[one.name, one.digest] for one in note.removed]}
    return sign(f"{FORMAT}\n{canonical_json(body).decode()}\n", signer).encode()


def note_name(note: Note, data: bytes) -> str:
    """Return the name of the note's file."""
    return f"{PRUNES}/{note.number:06d}-{note.state}-{digest(data)[:8]}.note"


def open_notes(
    repository: Repository, names: Iterable[str], verifier: VerifierKey
) -> dict[str, Note]:
    """Read and check notes, by file name. Raises ``BackupBroken`` for one that is not ours."""
    return {name: _open(name, repository.get(name), verifier) for name in names}


def _open(name: str, data: bytes, verifier: VerifierKey) -> Note:
    try:
        said = open_note(data.decode(), [verifier])
        head, _, line = said.partition("\n")
        body = parse_canonical(line.removesuffix("\n"))
    except (LedgerBroken, UnicodeDecodeError):
        raise BackupBroken("backup.signature", file=name) from None
    if head != FORMAT or not isinstance(body, dict):
        raise BackupBroken("backup.newer_format", file=name)
    note = _read(name, body)
    if note_name(note, data) != name:
        raise BackupBroken("backup.differs", file=name)
    return note


def _read(name: str, body: dict[str, Any]) -> Note:
    try:
        removed = tuple(Generation(*one) for one in body["removed"])
        return Note(int(body["number"]), body["state"], body["newest"], removed)
    except (KeyError, TypeError, ValueError):
        raise BackupBroken("backup.newer_format", file=name) from None
