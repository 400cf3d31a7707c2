"""Encrypted Parquet files between two steps: written atomically, read only if the digest agrees.

They lie in a folder of this machine, or in an object store (``SAFEHANDS_WORK``) where the workers
of several machines find them. A store sees ciphertext only: the run's key is in the key provider.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safehands.datasets import Artifact
from safehands.errors import StepFailed
from safehands.keys import RunKey

__all__ = ["file_digest", "read_artifact", "remove_artifacts", "write_artifact"]


def write_artifact(table: pa.Table, folder: Path, name: str, key: RunKey) -> Artifact:
    """Write ``table`` to ``folder`` as encrypted Parquet and return its record.

    The name carries a random part: a task that is retried while its first try still lives must
    not write into the file that the retry already handed on. The file appears under its final
    name only when it is complete and on disk, or stored.
    """
    title = f"{name}-{secrets.token_hex(4)}.parquet"
    write = _write_here if isinstance(folder, Path) else _write_far
    digest = write(table, folder, title, key)
    return Artifact(str(folder / title), digest, table.num_rows)


def read_artifact(artifact: Artifact, key: RunKey, columns: list[str] | None = None) -> pa.Table:
    """Read an artifact back.

    Raises ``StepFailed`` when the file is gone or differs from what was handed on.
    """
    name = artifact.path.rpartition("/")[2]
    source = _fetched(artifact) if "://" in artifact.path else _found(artifact)
    if source is None:
        raise StepFailed("step.artifact_changed", file=name)
    return pq.read_table(source, columns=columns, decryption_properties=key.decryption(name))


def remove_artifacts(folder: Path) -> None:
    """Remove a run's artifacts; that there are none is no error."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(FileNotFoundError):
        folder.fs.rm(folder.path, recursive=True)


def _encrypted(table: pa.Table, sink: Any, name: str, key: RunKey) -> None:
    properties = key.encryption(name)
    pq.write_table(
        table, sink, compression="lz4", write_statistics=False, encryption_properties=properties
    )


def _write_here(table: pa.Table, folder: Path, name: str, key: RunKey) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    partial = path.with_suffix(".partial")
    _encrypted(table, partial, name, key)
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(partial, path)
    return file_digest(path)


def _write_far(table: pa.Table, folder: Any, name: str, key: RunKey) -> str:
    """Store an object: it is there whole or not at all."""
    sink = pa.BufferOutputStream()
    _encrypted(table, sink, name, key)
    content = sink.getvalue().to_pybytes()
    folder.fs.pipe_file((folder / name).path, content)
    return hashlib.sha256(content).hexdigest()


def _found(artifact: Artifact) -> Path | None:
    path = Path(artifact.path)
    return path if path.exists() and file_digest(path) == artifact.digest else None


def _fetched(artifact: Artifact) -> pa.BufferReader | None:
    # Imported where it is needed: the library takes a tenth of a second.
    from upath import UPath

    place = UPath(artifact.path)
    try:
        content = place.fs.cat_file(place.path)
    except FileNotFoundError:
        return None
    same = hashlib.sha256(content).hexdigest() == artifact.digest
    return pa.BufferReader(content) if same else None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
