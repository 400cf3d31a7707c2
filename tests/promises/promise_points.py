"""Every moment at which a killed night can have left something behind, counted.

``install`` patches, in this process alone, what changes a database or a folder: every statement,
every commit, every call that opens, writes, synchronises, renames, makes or removes a file. Each
call is a point: the process kills itself right before it. Three points do their work by half first:
a COMMIT that is sent and not waited for, a write, and a Parquet file that is cut in the middle.

``Faults`` lets the call fail instead: once, as on a broken disk or line (``eio``), or from there
on, as on a full disk (``full``: what frees space goes on working).
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

__all__ = ["Faults", "Points"]

_FILES = (
    *("replace", "rename", "link", "fsync", "unlink", "remove", "rmdir", "mkdir", "chmod"),
    *("truncate", "symlink"),
)
_STATEMENTS = ("execute", "executemany", "copy")
_FREEING = ("unlink", "remove", "rmdir", "truncate", "chmod")


class Points:
    """Counts points; at the ``die_at``-th (1-based) the process kills itself with SIGKILL."""

    def __init__(self, die_at: int | None) -> None:
        self.die_at = die_at
        self.seen = 0
        self.open = True

    def install(self) -> None:
        """Patch what writes to the file system and to PostgreSQL."""
        for name in _FILES:
            setattr(os, name, self._before(getattr(os, name)))
        for name in _STATEMENTS:
            setattr(psycopg.Cursor, name, self._before(getattr(psycopg.Cursor, name)))
        os.open = self._when(os.open, _opens_to_write)
        os.write = self._before(os.write)
        builtins.open = io.open = self._counting(self._when(io.open, _mode_writes))
        psycopg.Connection.commit = self._commit(psycopg.Connection.commit)  # type: ignore[method-assign]
        pq.write_table = self._cut(pq.write_table)

    def close(self) -> None:
        """Count no more: what follows looks at what the night left."""
        self.open = False

    def point(self, name: str, last_act: Callable[[], object] | None = None) -> None:
        """Count a point; at the last one, leave its name on standard error and end."""
        if not self.open:
            return
        self.seen += 1
        if self.seen == self.die_at:
            if last_act is not None:
                last_act()
            os.write(2, f"killed before {name}, called at {_caller()}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def _before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return self._when(call, lambda args, kwargs: True)

    def _when(
        self, call: Callable[..., Any], counts: Callable[[Any, Any], bool]
    ) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if counts(args, kwargs):
                self.point(call.__name__)
            return call(*args, **kwargs)

        return counted

    def _counting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(*args: Any, **kwargs: Any) -> Any:
            file = call(*args, **kwargs)
            return _Written(file, self) if _mode_writes(args, kwargs) else file

        return opened

    def _commit(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(connection: psycopg.Connection[Any]) -> None:
            self.point("commit")
            self.point("commit is known", lambda: _send_commit(connection))
            call(connection)

        return counted

    def _cut(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(table: Any, where: Any, *args: Any, **kwargs: Any) -> None:
            self.point("write_table")
            call(table, where, *args, **kwargs)
            if isinstance(where, str | os.PathLike):
                self.point("write_table ends", lambda: _cut_in_half(where))

        return counted


class Faults(Points):
    """At the ``die_at``-th point the call fails; with ``full`` so does all that follows."""

    def __init__(self, die_at: int | None, how: str) -> None:
        super().__init__(die_at)
        self.full = how == "full"

    def point(self, name: str, last_act: Callable[[], object] | None = None) -> None:
        """Count a point; at the chosen one, raise what the operating system would."""
        if not self.open:
            return
        self.seen += 1
        if self.die_at is None or self.seen < self.die_at:
            return
        if self.seen > self.die_at and (not self.full or name in _FREEING):
            return
        if last_act is not None and self.seen == self.die_at:
            last_act()
        if name in _STATEMENTS or name.startswith("commit"):
            kind = psycopg.errors.DiskFull if self.full else psycopg.OperationalError
            raise kind("injected")
        number = errno.ENOSPC if self.full else errno.EIO
        raise OSError(number, os.strerror(number))


class _Written:
    """A file open for writing, each write of which is a point."""

    def __init__(self, file: Any, points: Points) -> None:
        self._file, self._points = file, points

    def write(self, data: Any) -> Any:
        self._points.point("write", lambda: self._half(data))
        return self._file.write(data)

    def _half(self, data: Any) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()

    def __enter__(self) -> _Written:
        self._file.__enter__()
        return self

    def __exit__(self, *problem: Any) -> Any:
        return self._file.__exit__(*problem)

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _caller() -> str:
    """Return the innermost line of the package, which is what a person looks up."""
    own = [frame for frame in traceback.extract_stack() if "/safehands/" in frame.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"


def _send_commit(connection: psycopg.Connection[Any]) -> None:
    connection.pgconn.send_query(b"COMMIT")
    connection.pgconn.flush()


def _cut_in_half(path: Any) -> None:
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)


def _opens_to_write(args: Any, kwargs: Any) -> bool:
    flags = kwargs.get("flags", args[1] if len(args) > 1 else 0)
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _mode_writes(args: Any, kwargs: Any) -> bool:
    mode = kwargs.get("mode", args[1] if len(args) > 1 else "r")
    return any(letter in mode for letter in "wax+")
