"""Encrypted Parquet files between two steps: written atomically, read only if the digest agrees."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from safehands.datasets import Artifact
from safehands.errors import StepFailed
from safehands.keys import RunKey

__all__ = ["file_digest", "read_artifact", "write_artifact"]


def write_artifact(table: pa.Table, folder: Path, name: str, key: RunKey) -> Artifact:
    """Write ``table`` to ``folder`` as encrypted Parquet and return its record.

    The name carries a random part: a task that is retried while its first try still lives must
    not write into the file that the retry already handed on. The file appears under its final
    name only when it is complete and on disk.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}-{secrets.token_hex(4)}.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(
        table,
        partial,
        compression="lz4",
        write_statistics=False,
        encryption_properties=key.encryption(path.name),
    )
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(partial, path)
    return Artifact(str(path), file_digest(path), table.num_rows)


def read_artifact(artifact: Artifact, key: RunKey, columns: list[str] | None = None) -> pa.Table:
    """Read an artifact back.

    Raises ``StepFailed`` when the file is gone or differs from what was handed on.
    """
    path = Path(artifact.path)
    if not path.exists() or file_digest(path) != artifact.digest:
        raise StepFailed("step.artifact_changed", file=path.name)
    return pq.read_table(path, columns=columns, decryption_properties=key.decryption(path.name))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
