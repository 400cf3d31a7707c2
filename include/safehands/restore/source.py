"""The repository, opened with the identity: which generation is the newest, and its rows.

What is read is checked as it is read: the file against its name, the manifest's signature, each
part against its name, its rows and its keyed digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from safehands.backup.content import content_digest, from_parquet
from safehands.backup.keysegment import PART, kind_counts
from safehands.backup.manifest import Generation, Manifest, Part, open_manifest
from safehands.backup.pruned import open_notes
from safehands.backup.repository import MANIFESTS, PRUNES, Repository, digest
from safehands.backup.step import DIGEST_PURPOSE
from safehands.datasets import safe_name
from safehands.errors import BackupBroken, KeyProblem
from safehands.keys import KeyProvider, age
from safehands.keys.provider import digest_key
from safehands.ledger import VerifierKey

__all__ = ["Kept", "Source"]


@dataclass(frozen=True)
class Kept:
    """One generation in the repository: its file, the file's SHA-256, what it says."""

    name: str
    digest: str
    manifest: Manifest


class Source:
    """A repository that is restored from; the identity and the digest key stay inside."""

    def __init__(
        self, repository: Repository, provider: KeyProvider, verifier: VerifierKey
    ) -> None:
        self.repository, self.verifier = repository, verifier
        self._identity = age.identity(provider)
        self._key = digest_key(provider, DIGEST_PURPOSE)
        self._provider = provider
        self.generations = self._open()

    @property
    def newest(self) -> Kept:
        """The newest generation."""
        return self.generations[-1]

    def find(self, name: str | None) -> Kept:
        """Return the generation whose file is called ``name`` (``None``: the newest).

        The folder and the ending may be left out. Raises ``BackupBroken`` if there is none.
        """
        if name is None:
            return self.newest
        wanted = f"{MANIFESTS}/{name.removeprefix(f'{MANIFESTS}/').removesuffix('.age')}.age"
        for kept in self.generations:
            if kept.name == wanted:
                return kept
        raise BackupBroken("backup.no_generation", name=safe_name(name))

    def rows(self, kept: Kept, part: Part) -> pa.Table:
        """Return the rows of one part. Raises ``BackupBroken`` when they are not as promised."""
        rows = from_parquet(self._opened(part.object), part.part)
        if rows.num_rows != part.rows:
            raise BackupBroken("backup.part", part=part.part, what="rows")
        self._check(kept, part.part, part.content, rows)
        return rows

    def parts(self, kept: Kept, table: str) -> Iterator[tuple[Part, pa.Table]]:
        """Yield the parts of one table with their rows, one at a time."""
        for part in kept.manifest.parts:
            if part.table == table:
                yield part, self.rows(kept, part)

    def segment(self, kept: Kept) -> pa.Table:
        """Return the newest key segment that the generation names."""
        if not kept.manifest.keys:
            raise BackupBroken("backup.manifest", file=kept.name, what="keys")
        named = kept.manifest.keys[0]
        data = self.repository.get(named.name)
        if digest(data) != named.digest:
            raise BackupBroken("backup.differs", file=named.name)
        rows = from_parquet(self._decrypted(named.name, data), PART)
        if kind_counts(rows) != (named.salts, named.tombstones):
            raise BackupBroken("backup.part", part=PART, what="rows")
        self._check(kept, PART, named.content, rows)
        return rows

    def _open(self) -> tuple[Kept, ...]:
        """Open all manifests; keep the newest and those that belong to it, the oldest first."""
        names = self.repository.list(MANIFESTS)
        if not names:
            raise BackupBroken("backup.empty", folder=self.repository.label)
        files = {name: self.repository.get(name) for name in names}
        found = [
            Kept(name, digest(data), open_manifest(name, data, self._identity, self.verifier))
            for name, data in files.items()
        ]
        found.sort(key=lambda kept: kept.manifest.number)
        newest = found[-1]
        notes = open_notes(self.repository, self.repository.list(PRUNES), self.verifier)
        gone = {o for note in notes.values() if note.newest == newest.digest for o in note.removed}
        belong = set(newest.manifest.generations) - gone
        older = [kept for kept in found[:-1] if Generation(kept.name, kept.digest) in belong]
        return (*older, newest)

    def _opened(self, name: str) -> bytes:
        return self._decrypted(name, self.repository.get(name))

    def _decrypted(self, name: str, data: bytes) -> bytes:
        try:
            return age.decrypt(data, self._identity)
        except KeyProblem:
            raise BackupBroken("backup.does_not_open", file=name) from None

    def _check(self, kept: Kept, part: str, content: str, rows: pa.Table) -> None:
        # The digest's key comes from the root key: after a change of root, a signed manifest and
        # the files' own digests still vouch for what an earlier root's key would.
        if (
            self._provider.opens_root(kept.manifest.root)
            and content_digest(rows, self._key) != content
        ):
            raise BackupBroken("backup.part", part=part, what="content")

    def digest(self, rows: pa.Table) -> str:
        """Return the keyed digest of rows."""
        return content_digest(rows, self._key)
