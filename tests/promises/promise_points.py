"""Every moment at which a killed night can have left something behind, counted.

``install`` patches, in this process alone, what changes a database or a folder. Each call is a
point: the process kills itself right before it. Two points do their work by half first: a COMMIT
that is sent and not waited for, and a Parquet file that is cut in the middle.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

__all__ = ["Points"]

_FILES = (
    *("replace", "rename", "link", "fsync", "unlink", "remove", "rmdir", "mkdir", "chmod"),
    *("truncate", "symlink"),
)
_STATEMENTS = ("execute", "executemany", "copy")


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
        builtins.open = io.open = self._when(io.open, _mode_writes)
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
