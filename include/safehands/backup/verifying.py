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

from safehands.backup.content import content_digest, from_parquet
from safehands.backup.keysegment import PART, kind_counts
from safehands.backup.manifest import Manifest, Part, Segment, open_manifest
from safehands.backup.repository import KEYS, MANIFESTS, OBJECTS, Repository, digest
from safehands.backup.step import DIGEST_PURPOSE
from safehands.errors import BackupBroken, KeyProblem, LedgerBroken
from safehands.keys import FileProvider, age
from safehands.keys.provider import digest_key
from safehands.ledger import VerifierKey, open_checkpoint

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
    folder: Path,
    provider: FileProvider | None,
    verifier: VerifierKey,
    newest: str | None = None,
) -> Report:
    """Read everything below ``folder`` and return what was found whole.

    ``newest``: SHA-256 of the newest manifest as the ledger or the table ``backup`` has it; only
    with it is seen that the newest generation was taken away. ``verifier`` is the ledger's public
    key. Raises ``BackupBroken`` at the first thing that is not as promised.

    Not promised without the identity: that manifests and objects belong together, or that a
    manifest's date is right. A backup that runs meanwhile may make a clean repository look
    unfinished; hold the two apart.
    """
    repository = Repository(folder)
    names = [n for prefix in (MANIFESTS, KEYS, OBJECTS) for n in repository.list(prefix)]
    if not repository.list(MANIFESTS):
        raise BackupBroken("backup.empty", folder=repository.label)
    identity = _identity(provider)
    if identity is None:
        return _closed(repository, names, newest)
    return _Opened(repository, identity, verifier, _content_key(provider)).check(names, newest)


def _identity(provider: FileProvider | None) -> str | None:
    if provider is None or not provider.has(_IDENTITY):
        return None
    return age.identity(provider)


def _content_key(provider: FileProvider | None) -> bytes | None:
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
        self, repository: Repository, identity: str, verifier: VerifierKey, key: bytes | None
    ) -> None:
        self.repository, self.verifier, self.key = repository, verifier, key
        self._identity = identity
        self._size = 0
        self._digests: set[str] = set()

    def check(self, names: list[str], newest: str | None) -> Report:
        """Check everything. Manifests come first, because they say what the rest must be."""
        by_kind = {p: [n for n in names if n.startswith(f"{p}/")] for p in (MANIFESTS, KEYS)}
        manifests = self._manifests(by_kind[MANIFESTS], newest)
        self._keys(by_kind[KEYS], manifests)
        needed = _needed(manifests)
        leftovers = self._objects([n for n in names if n.startswith(f"{OBJECTS}/")], needed)
        name, top = manifests[-1]
        rows = sum(top.tables.values())
        known = Report(0, 0, 0, 0, rows, leftovers, opened=True, newest=name)
        return _report(names, self._size, known)

    def _read(self, name: str) -> bytes:
        data = self.repository.get(name)
        self._size += len(data)
        _once(name, digest(data), self._digests)
        return data

    def _manifests(self, names: list[str], newest: str | None) -> list[tuple[str, Manifest]]:
        """Return the manifests, the newest last, after comparing them with each other."""
        files = {name: self._read(name) for name in names}
        digests = {name: digest(data) for name, data in files.items()}
        opened = [(n, open_manifest(n, d, self._identity, self.verifier)) for n, d in files.items()]
        opened.sort(key=lambda pair: pair[1].number)
        name, top = opened[-1]
        if newest is not None and digests[name] != newest:
            raise BackupBroken("backup.rolled_back", file=name)
        _check_generations(name, top, digests)
        for older in opened:
            _check_manifest(*older, digests)
        _check_checkpoints(opened, self.verifier)
        return opened

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

    def _decrypt(self, name: str, data: bytes) -> bytes:
        try:
            return age.decrypt(data, self._identity)
        except KeyProblem:
            raise BackupBroken("backup.does_not_open", file=name) from None

    def _check_content(self, part: str, content: str, rows: pa.Table) -> None:
        if self.key is not None and content_digest(rows, self.key) != content:
            raise BackupBroken("backup.part", part=part, what="content")


def _check_generations(name: str, top: Manifest, digests: Mapping[str, str]) -> None:
    """The newest manifest and those it names are all there is, unchanged."""
    promised = {generation.name: generation.digest for generation in top.generations}
    for missing in sorted(promised.keys() - digests.keys()):
        raise BackupBroken("backup.missing", file=missing)
    for extra in sorted(digests.keys() - promised.keys() - {name}):
        raise BackupBroken("backup.unexpected", file=extra)
    for other, found in promised.items():
        if digests[other] != found:
            raise BackupBroken("backup.differs", file=other)


def _check_manifest(name: str, manifest: Manifest, digests: Mapping[str, str]) -> None:
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


def _check_checkpoints(manifests: list[tuple[str, Manifest]], verifier: VerifierKey) -> None:
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


def _needed(manifests: list[tuple[str, Manifest]]) -> dict[str, Part]:
    """Return the objects of all generations; two that describe one differently contradict."""
    needed: dict[str, Part] = {}
    for name, manifest in manifests:
        for part in manifest.parts:
            if needed.setdefault(part.object, part) != part:
                raise BackupBroken("backup.manifest", file=name, what="parts")
    return needed
