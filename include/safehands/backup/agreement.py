"""Whether the manifests and notes of a repository agree with each other and with its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safehands.backup.manifest import Generation, Manifest, Part
from safehands.backup.pruned import Note
from safehands.backup.repository import MANIFESTS
from safehands.errors import BackupBroken, LedgerBroken
from safehands.ledger import VerifierKey, open_checkpoint, verify_export

__all__ = [
    "Settled",
    "check_checkpoints",
    "check_ledger",
    "check_manifest",
    "needed_objects",
    "settle_generations",
]


@dataclass(frozen=True)
class Settled:
    """Which manifests count, and which files a killed prune or backup had no time to remove."""

    generations: frozenset[str]
    leftovers: frozenset[str]


def settle_generations(
    name: str, top: Manifest, digests: Mapping[str, str], notes: Mapping[str, Note]
) -> Settled:
    """The newest manifest, those it names and no note removed are all there is, unchanged.

    Raises ``BackupBroken`` for one that is missing, exchanged, or was put back.
    """
    stale = _stale_notes(digests[name], top, notes)
    current = [note for note in notes.values() if note.newest == digests[name]]
    gone = {one for note in current for one in note.removed}
    promised = {one.name: one.digest for one in top.generations if one not in gone}
    for missing in sorted(promised.keys() - digests.keys()):
        raise BackupBroken("backup.missing", file=missing)
    on_their_way = {one.name for one in _unfinished(current)}
    for extra in sorted(digests.keys() - promised.keys() - {name} - on_their_way):
        raise BackupBroken("backup.unexpected", file=extra)
    for other, found in promised.items():
        if digests[other] != found:
            raise BackupBroken("backup.differs", file=other)
    generations = frozenset({*promised, name})
    return Settled(generations, frozenset(digests.keys() - generations) | stale)


def _stale_notes(newest: str, top: Manifest, notes: Mapping[str, Note]) -> frozenset[str]:
    """Return notes of the manifest before; a note that belongs to no other was put back."""
    before = top.previous.digest if top.previous else ""
    for name, note in notes.items():
        if note.newest not in (newest, before):
            raise BackupBroken("backup.unexpected", file=name)
    return frozenset(name for name, note in notes.items() if note.newest != newest)


def _unfinished(notes: Iterable[Note]) -> set[Generation]:
    removed = {note.number for note in notes if note.state == "removed"}
    return {one for note in notes if note.number not in removed for one in note.removed}


def check_ledger(
    name: str,
    manifests: Iterable[Manifest],
    top: Manifest,
    entries: Iterable[tuple[int, str]],
    verifier: VerifierKey,
) -> None:
    """The newest generation's ledger holds every earlier generation's as a prefix.

    ``entries`` are numbers and bodies. Raises ``BackupBroken``.
    """
    if not top.checkpoint:
        return
    earlier = [manifest.checkpoint for manifest in manifests if manifest.checkpoint]
    lines = (body for _, body in sorted(entries))
    try:
        verify_export(lines, top.checkpoint, verifier, earlier=earlier)
    except LedgerBroken:
        raise BackupBroken("backup.manifest", file=name, what="ledger") from None


def check_manifest(name: str, manifest: Manifest, digests: Mapping[str, str]) -> None:
    """A manifest agrees with its own name, its sums and its predecessor."""
    sums: dict[str, int] = dict.fromkeys(manifest.tables, 0)
    for part in manifest.parts:
        sums[part.table] = sums.get(part.table, 0) + part.rows
    previous = manifest.previous
    agreed = {
        "date": name.startswith(f"{MANIFESTS}/{manifest.business_date}-"),
        "tables": sums == dict(manifest.tables),
        "parts": len({part.part for part in manifest.parts}) == len(manifest.parts),
        "previous": previous is None
        or digests.get(previous.name, previous.digest) == previous.digest,
    }
    for what, good in agreed.items():
        if not good:
            raise BackupBroken("backup.manifest", file=name, what=what)


def check_checkpoints(manifests: list[tuple[str, Manifest]], verifier: VerifierKey) -> None:
    """Numbers and the ledger's sizes only grow from generation to generation."""
    size, number = 0, 0
    for name, manifest in manifests:
        try:
            note = manifest.checkpoint
            found = open_checkpoint(note, verifier).size if note else 0
        except LedgerBroken:
            raise BackupBroken("backup.manifest", file=name, what="checkpoint") from None
        if found < size or manifest.number <= number:
            raise BackupBroken("backup.manifest", file=name, what="order")
        size, number = found, manifest.number


def needed_objects(manifests: list[tuple[str, Manifest]]) -> dict[str, Part]:
    """Return the objects of all generations; two that describe one differently contradict."""
    needed: dict[str, Part] = {}
    for name, manifest in manifests:
        for part in manifest.parts:
            if needed.setdefault(part.object, part) != part:
                raise BackupBroken("backup.manifest", file=name, what="parts")
    return needed
