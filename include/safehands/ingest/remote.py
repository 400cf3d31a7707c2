"""A landing folder in an object store or behind any other fsspec URL.

The landing folder is then a ``UPath`` (or Airflow's ``ObjectStoragePath``, which is one):
everything here goes through its file system. Objects are not copied anywhere: the reading process
asks for ranges of them. An object is known by its key and what the store says of it (ETag, size,
time), so that history need not be downloaded every night to be recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from safehands.datasets import SourceFile
from safehands.errors import BadInput
from safehands.stations import Register

__all__ = ["check_same", "inventory", "is_remote", "opened"]

_PREFIX = "object-"


def is_remote(landing: Path) -> bool:
    """Say whether a landing folder is not of this machine."""
    return not isinstance(landing, Path)


def inventory(landing: Any, register: Register, is_export: Any) -> list[SourceFile]:
    """List every object in the stations' folders, sorted by path. See ``door.inventory``."""
    stations = [s for c in register.controllers for s in c.stations]
    folders = {_key(landing / s.folder): s.code for s in stations}
    found = []
    for folder, code in folders.items():
        others = [f"{other}/" for other in folders if other != folder and other.startswith(folder)]
        for key, info in landing.fs.find(folder, detail=True).items():
            inner = key.removeprefix(folder).lstrip("/")
            if any(key.startswith(other) for other in others):
                continue
            if all(map(is_export, inner.split("/"))):
                name = key.removeprefix(_key(landing)).lstrip("/")
                found.append(
                    SourceFile(code, name, int(info["size"]), _identity(landing.fs, key, info))
                )
    return sorted(found, key=lambda file: file.path)


def _key(path: Any) -> str:
    return str(path.fs._strip_protocol(path.path)).rstrip("/")


def _identity(store: Any, key: str, info: dict[str, Any]) -> str:
    mark = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), "")
    if not mark:
        # A listing may tell times in another form than the object itself.
        info = store.info(key)
        mark = next((str(info[name]) for name in _TIMES if info.get(name)), "")
    told = f"{key}\n{info['size']}\n{mark}"
    return _PREFIX + hashlib.sha256(told.encode()).hexdigest()


# What stores say of an object that changes with it; the first that is said counts.
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


@contextmanager
def opened(landing: Any, file: SourceFile) -> Iterator[BinaryIO]:
    """Open an object for reading by ranges.

    Raises ``BadInput`` when it is not inside ``landing``, cannot be opened, or is not the one that
    was listed. Whether it changed while it was read, ``check_same`` says.
    """
    key = f"{_key(landing)}/{file.path}"
    if ".." in file.path.split("/"):
        raise BadInput("ingest.outside_landing", file=file.label)
    check_same(landing, file)
    try:
        handle = landing.fs.open(key, "rb")
    except OSError as error:
        reason = type(error).__name__
        raise BadInput("ingest.cannot_open", file=file.label, reason=reason) from None
    with handle:
        yield handle


def check_same(landing: Any, file: SourceFile) -> None:
    """Raise ``BadInput`` unless the object is still the one that was listed."""
    key = f"{_key(landing)}/{file.path}"
    try:
        landing.fs.invalidate_cache()
        same = not file.digest or _identity(landing.fs, key, landing.fs.info(key)) == file.digest
    except OSError as error:
        reason = type(error).__name__
        raise BadInput("ingest.cannot_open", file=file.label, reason=reason) from None
    if not same:
        raise BadInput("ingest.changed_while_reading", file=file.label)
