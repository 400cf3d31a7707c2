"""Where the files of a repository lie: a folder on this machine, or what an fsspec URL names.

Both write a file whole or not at all. Names are relative, use ``/`` and come from this package.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from safehands.datasets import safe_name

__all__ = ["PARTIAL", "Files", "LocalFiles", "RemoteFiles"]

PARTIAL = ".partial-"
"""How the name of a file begins that is not complete yet."""

# Object stores show an object when it is complete; elsewhere a name is given at the end.
_WHOLE_AT_ONCE = frozenset({"s3", "s3a", "oss", "obs", "cos", "abfs", "az", "memory"})


class Files(Protocol):
    """Files by name. ``FileNotFoundError`` and other ``OSError``s are the callers' to explain."""

    @property
    def label(self) -> str:
        """The place as it may be shown."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file: kept and complete before it appears under its name."""
        ...

    def append(self, name: str, line: str) -> None:
        """Add a line of ASCII to a file, making it if need be."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes, not from memory that they were just written to."""
        ...

    def listing(self, folder: str) -> Mapping[str, int]:
        """Return names and sizes in a folder, without unfinished files."""
        ...

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, ``None`` when there is no such file."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        ...

    def tidy(self, folders: Sequence[str]) -> None:
        """Remove unfinished files in ``folders``."""
        ...

    def sync(self, folders: Sequence[str]) -> None:
        """Wait until the names of all files are kept."""
        ...


class LocalFiles:
    """Files below ``folder``, 0600, synchronised to disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def label(self) -> str:
        """The folder as it may be shown."""
        return safe_name(str(self.folder))

    def write(self, name: str, data: bytes) -> None:
        """Write, synchronise, rename."""
        path = self.folder / name
        _make_folder(path.parent)
        partial = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            _forget(handle)
        os.replace(partial, path)

    def append(self, name: str, line: str) -> None:
        """Append in one write."""
        _make_folder((self.folder / name).parent)
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{line}\n")

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.folder / name).read_bytes()

    def listing(self, folder: str) -> Mapping[str, int]:
        """Return names and sizes in a folder."""
        path = self.folder / folder
        if not path.exists():
            return {}
        with os.scandir(path) as found:
            entries = [entry for entry in found if not entry.name.startswith(PARTIAL)]
        return {entry.name: entry.stat().st_size for entry in entries}

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def tidy(self, folders: Sequence[str]) -> None:
        """Remove unfinished files."""
        for folder in folders:
            for partial in (self.folder / folder).glob(f"{PARTIAL}*"):
                partial.unlink()

    def sync(self, folders: Sequence[str]) -> None:
        """Synchronise the folders, the outer one last."""
        for folder in (*(self.folder / name for name in folders), self.folder):
            if folder.exists():
                _sync(folder)


class RemoteFiles:
    """Files below ``root`` of an fsspec file system.

    Whatever the file system raises leaves as ``OSError``. Not promised: that a store confirms only
    what it keeps; what was written is read back by the callers.
    """

    def __init__(self, system: Any, root: str) -> None:
        self.system, self.root = system, root.rstrip("/")
        protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
        self._whole_at_once = protocol in _WHOLE_AT_ONCE
        self._protocol = protocol

    @property
    def label(self) -> str:
        """The place as it may be shown."""
        return safe_name(f"{self._protocol}://{self.root}")

    def write(self, name: str, data: bytes) -> None:
        """Put an object, or write under another name and rename."""
        path = self._path(name)
        with _as_os_error():
            if self._whole_at_once:
                self.system.pipe_file(path, data)
            else:
                self._write_and_rename(path, data)

    def _write_and_rename(self, path: str, data: bytes) -> None:
        folder = path.rpartition("/")[0]
        self.system.makedirs(folder, exist_ok=True)
        partial = f"{folder}/{PARTIAL}{secrets.token_hex(8)}"
        self.system.pipe_file(partial, data)
        self.system.mv(partial, path)

    def append(self, name: str, line: str) -> None:
        """Write the file anew with one more line."""
        before = b"" if self.size(name) is None else self.read(name)
        self.write(name, before + f"{line}\n".encode("ascii"))

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        with _as_os_error():
            return bytes(self.system.cat_file(self._path(name)))

    def listing(self, folder: str) -> Mapping[str, int]:
        """Return names and sizes in a folder."""
        # An object store may show the folder itself, as an object without a name in it.
        own = self._path(folder).rpartition("/")[2]
        named = [(str(one["name"]).rstrip("/").rpartition("/")[2], one) for one in self._ls(folder)]
        return {
            name: int(one["size"] or 0)
            for name, one in named
            if name != own and not name.startswith(PARTIAL)
        }

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        with _as_os_error():
            self.system.invalidate_cache()
            try:
                return int(self.system.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.size(name) is not None:
            with _as_os_error():
                self.system.rm_file(self._path(name))

    def tidy(self, folders: Sequence[str]) -> None:
        """Remove unfinished files."""
        if self._whole_at_once:
            return
        for folder in folders:
            for one in self._ls(folder):
                if str(one["name"]).rpartition("/")[2].startswith(PARTIAL):
                    with _as_os_error():
                        self.system.rm_file(one["name"])

    def sync(self, folders: Sequence[str]) -> None:
        """Nothing to wait for: a call returns when the store has confirmed."""

    def _ls(self, folder: str) -> list[dict[str, Any]]:
        with _as_os_error():
            self.system.invalidate_cache()
            try:
                return list(self.system.ls(self._path(folder), detail=True))
            except FileNotFoundError:
                return []

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Libraries fail in ways of their own, and their texts may hold an address with a secret."""
    try:
        yield
    except OSError as problem:
        kind, number, reason = type(problem), problem.errno, problem.strerror
    except Exception as problem:  # noqa: BLE001 - the type is all that is told
        kind, number, reason = OSError, None, type(problem).__name__
    else:
        return
    raise kind(number, reason) if number else kind(reason or kind.__name__)


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(handle: int) -> None:
    # What is read back shall come from the disk, not from the memory it was just written to.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
