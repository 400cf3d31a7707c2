"""Read a repository byte by byte and compare it with what its names and manifests promise.

Without the identity: every file's SHA-256 is the one in its name; no file twice; no file with a
name of its own making. With it, also: signatures, exactly the manifests that the newest one names,
every object that a manifest needs, part names, rows, the keyed digests (when the root key is at
hand), the key segments, the ledger's checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from safehands.backup.content import content_digest, from_parquet
from safehands.backup.keysegment import PART, kind_counts
from safehands.backup.manifest import Generation, Manifest, Part, Segment, open_manifest
from safehands.backup.repository import KEYS, MANIFESTS, OBJECTS, Repository, digest
from safehands.backup.step import DIGEST_PURPOSE
from safehands.errors import BackupBroken, LedgerBroken
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
