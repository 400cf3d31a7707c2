"""Read a repository byte by byte and compare it with what its names and manifests promise.

Without the identity: every file's SHA-256 is the one in its name; no file twice; no file with a
name of its own making. With it, also: signatures, exactly the manifests that the newest one names,
every object that a manifest needs, part names, rows, the keyed digests (when the root key is at
hand), the key segments, the ledger's checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from safehands.backup.agreement import (
    check_checkpoints,
    check_ledger,
    check_manifest,
    needed_objects,
    settle_generations,
)
from safehands.backup.content import content_digest, from_parquet
from safehands.backup.keysegment import PART, kind_counts
from safehands.backup.manifest import Manifest, Part, Segment, open_manifest
from safehands.backup.pruned import Note, open_notes
from safehands.backup.repository import KEYS, MANIFESTS, OBJECTS, PRUNES, Repository, digest
from safehands.backup.step import DIGEST_PURPOSE
from safehands.errors import BackupBroken, KeyProblem
from safehands.keys import KeyProvider, age
from safehands.keys.provider import digest_key
from safehands.ledger import VerifierKey

__all__ = ["Report", "verify_repository"]

_IDENTITY = "backup-identity"


@dataclass(frozen=True)
class Report:
    """What was read. ``opened`` says whether the identity was there; without it ``rows`` is 0.

    ``rows`` are those of the newest generation, ``leftovers`` objects that no generation uses: an
    unfinished backup's, or old ones put back. They do no harm and hold nothing back.
    """

    generations: int
    objects: int
    keys: int
    bytes: int
    rows: int
    leftovers: int
    opened: bool
    newest: str


def verify_repository(
    place: Path | Repository,
    provider: KeyProvider | None,
    verifier: VerifierKey,
    newest: str | None = None,
) -> Report:
    """Read everything in a repository (or below a folder) and return what was found whole.

    ``newest``: SHA-256 of the newest manifest as the ledger or the table ``backup`` has it; only
    with it is seen that the newest generation was taken away. ``verifier`` is the ledger's public
    key. Raises ``BackupBroken`` at the first thing that is not as promised.

    Not promised without the identity: that manifests and objects belong together, or that a
    manifest's date is right. A backup that runs meanwhile may make a clean repository look
    unfinished; hold the two apart.
    """
    repository = place if isinstance(place, Repository) else Repository(place)
    names = [n for prefix in (MANIFESTS, KEYS, OBJECTS, PRUNES) for n in repository.list(prefix)]
    if not any(name.startswith(f"{MANIFESTS}/") for name in names):
        raise BackupBroken("backup.empty", folder=repository.label)
    notes = open_notes(repository, [n for n in names if n.startswith(f"{PRUNES}/")], verifier)
    identity = _identity(provider)
    if identity is None:
        return _closed(repository, names, newest)
    key = _content_key(provider)
    return _Opened(repository, identity, verifier, key, notes).check(names, newest)


def _identity(provider: KeyProvider | None) -> str | None:
    if provider is None or not provider.has(_IDENTITY):
        return None
    return age.identity(provider)


def _content_key(provider: KeyProvider | None) -> bytes | None:
    if provider is None or not provider.has("root"):
        return None
    return digest_key(provider, DIGEST_PURPOSE)


def _closed(repository: Repository, names: list[str], newest: str | None) -> Report:
    """Check what can be checked without the identity."""
    sizes, digests = _read_all(repository, names)
    if newest is not None and newest not in digests:
        raise BackupBroken("backup.rolled_back", file=repository.label)
    return _report(names, sum(sizes), Report(0, 0, 0, 0, 0, 0, opened=False, newest=""))


def _read_all(repository: Repository, names: list[str]) -> tuple[list[int], set[str]]:
    sizes: list[int] = []
    digests: set[str] = set()
    for name in names:
        data = repository.get(name)
        sizes.append(len(data))
        _once(name, digest(data), digests)
    return sizes, digests


def _once(name: str, found: str, digests: set[str]) -> None:
    if found in digests:
        raise BackupBroken("backup.twice", file=name)
    digests.add(found)


def _report(names: list[str], size: int, known: Report) -> Report:
    counts = [sum(n.startswith(f"{p}/") for n in names) for p in (MANIFESTS, OBJECTS, KEYS)]
    return replace(known, generations=counts[0], objects=counts[1], keys=counts[2], bytes=size)


class _Opened:
    """One pass over a repository with the identity at hand."""

    def __init__(
        self,
        repository: Repository,
        identity: str,
        verifier: VerifierKey,
        key: bytes | None,
        notes: Mapping[str, Note],
    ) -> None:
        self.repository, self.verifier, self.key = repository, verifier, key
        self.notes = notes
        self._identity = identity
        self._size = 0
        self._digests: set[str] = set()
        self._top: set[str] = set()
        self._ledger: list[tuple[int, str]] = []

    def check(self, names: list[str], newest: str | None) -> Report:
        """Check everything. Manifests come first, because they say what the rest must be."""
        by_kind = {p: [n for n in names if n.startswith(f"{p}/")] for p in (MANIFESTS, KEYS)}
        manifests, leftovers = self._manifests(by_kind[MANIFESTS], newest)
        for note in self.notes:
            self._read(note)
        self._keys(by_kind[KEYS], manifests)
        needed = needed_objects(manifests)
        unused = self._objects([n for n in names if n.startswith(f"{OBJECTS}/")], needed)
        name, top = manifests[-1]
        others = [manifest for _, manifest in manifests[:-1]]
        check_ledger(name, others, top, self._ledger, self.verifier)
        rows = sum(top.tables.values())
        known = Report(0, 0, 0, 0, rows, len(leftovers) + unused, opened=True, newest=name)
        return replace(_report(names, self._size, known), generations=len(manifests))

    def _read(self, name: str) -> bytes:
        data = self.repository.get(name)
        self._size += len(data)
        _once(name, digest(data), self._digests)
        return data

    def _manifests(
        self, names: list[str], newest: str | None
    ) -> tuple[list[tuple[str, Manifest]], frozenset[str]]:
        """Return the manifests that count, the newest last, and what was left over."""
        files = {name: self._read(name) for name in names}
        digests = {name: digest(data) for name, data in files.items()}
        opened = [(n, open_manifest(n, d, self._identity, self.verifier)) for n, d in files.items()]
        opened.sort(key=lambda pair: pair[1].number)
        name, top = opened[-1]
        if newest is not None and digests[name] != newest:
            raise BackupBroken("backup.rolled_back", file=name)
        settled = settle_generations(name, top, digests, self.notes)
        counted = [pair for pair in opened if pair[0] in settled.generations]
        for older in counted:
            check_manifest(*older, digests)
        check_checkpoints(counted, self.verifier)
        self._top = {part.object for part in top.parts if part.table == "ledger_entry"}
        return counted, settled.leftovers

    def _keys(self, names: list[str], manifests: list[tuple[str, Manifest]]) -> None:
        """Check the segments of the newest generation.

        One that only the generation before it names is what a backup that was killed after its
        commit had no time to remove; any other was put back.
        """
        name, top = manifests[-1]
        before = {s.name for _, m in manifests[-2:-1] for s in m.keys}
        for extra in sorted(set(names) - {s.name for s in top.keys} - before):
            raise BackupBroken("backup.unexpected", file=extra)
        for segment in top.keys:
            self._segment(segment)
        for left in sorted(set(names) - {s.name for s in top.keys}):
            self._read(left)
        if not top.keys or top.keys[0].salts != top.tables.get("subject"):
            raise BackupBroken("backup.manifest", file=name, what="keys")

    def _segment(self, segment: Segment) -> None:
        data = self._read(segment.name)
        if (digest(data), len(data)) != (segment.digest, segment.bytes):
            raise BackupBroken("backup.differs", file=segment.name)
        rows = from_parquet(self._decrypt(segment.name, data), PART)
        if kind_counts(rows) != (segment.salts, segment.tombstones):
            raise BackupBroken("backup.part", part=PART, what="rows")
        self._check_content(PART, segment.content, rows)

    def _objects(self, names: list[str], needed: Mapping[str, Part]) -> int:
        """Check all objects; return how many no generation uses."""
        for missing in sorted(needed.keys() - set(names)):
            raise BackupBroken("backup.missing", file=missing)
        for name in names:
            data = self._read(name)
            if name in needed:
                self._object(needed[name], data)
        return len(names) - len(needed)

    def _object(self, part: Part, data: bytes) -> None:
        rows = from_parquet(self._decrypt(part.object, data), part.part)
        if rows.num_rows != part.rows or len(data) != part.bytes:
            raise BackupBroken("backup.part", part=part.part, what="rows")
        self._check_content(part.part, part.content, rows)
        if part.object in self._top:
            numbered = rows.filter(pc.is_valid(rows["seq"]))
            bodies = numbered["body"].to_pylist()
            self._ledger += zip(numbered["seq"].to_pylist(), bodies, strict=True)

    def _decrypt(self, name: str, data: bytes) -> bytes:
        try:
            return age.decrypt(data, self._identity)
        except KeyProblem:
            raise BackupBroken("backup.does_not_open", file=name) from None

    def _check_content(self, part: str, content: str, rows: pa.Table) -> None:
        if self.key is not None and content_digest(rows, self.key) != content:
            raise BackupBroken("backup.part", part=part, what="content")
