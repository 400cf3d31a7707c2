"""Reading in a process of its own, with limits on memory and time: the side that asks.

A hostile file can at worst end its own reader, which holds no key, no connection, no environment
and no other file. Measured: a reader costs about 5 ms per file, the server that forks them 0.3 s
once per worker.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import safehands
from safehands.datasets import SourceFile
from safehands.errors import BadInput, SetupProblem
from safehands.ingest.limits import Limits
from safehands.ingest.tables import Batch, Line, Odd, Opened
from safehands.ingest.wire import Channel, as_error

__all__ = ["Reading", "Usage", "warm_up"]

_FAREWELL = 5.0
_RANGE = 64 * 1024 * 1024
_REMEMBERED = 1_000
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Freed blocks go back at once: a reader of text stays below 80 MB instead of 190.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "524288",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
}


@dataclass
class Usage:
    """What a reader used: peak resident ``bytes`` above its start, wall ``seconds``."""

    bytes: int = 0
    seconds: float = 0.0


class Reading:
    """One file in a reader of its own. To be closed; ``usage`` may be asked for after that.

    Every method raises ``BadInput`` when the file cannot be read or costs more than ``limits``.
    ``verify`` is called when a table has been read to its end; ``options``: see ``source.Source``.
    """

    def __init__(
        self,
        handle: BinaryIO,
        file: SourceFile,
        limits: Limits,
        verify: Callable[[], None] | None = None,
        **options: str | bool,
    ) -> None:
        self.verify = verify or _nothing
        self._usage: Usage | None = None
        self._label, self._limits, self._size = file.label, limits, file.size
        request = {
            "name": file.path,
            "label": file.label,
            "digest": file.digest,
            "part": asdict(file.part) if file.part else None,
            "limits": limits.as_dict(),
            "memory": limits.memory(self._weight(file)),
            "seconds": limits.time(self._weight(file)),
            "options": options,
            "size": file.size,
        }
        descriptor = _descriptor(handle)
        # What has no descriptor, such as an object in a store, is read here for the reader.
        self._handle = handle if descriptor is None else None
        self._server = _server()
        self._number, connection = self._server.start(request, descriptor)
        self._channel = Channel(connection)
        self._open = True

    @staticmethod
    def _weight(file: SourceFile) -> int:
        # Only what is packed has to be unpacked in one piece; text and Parquet come in blocks.
        return file.size if file.path.lower().endswith(_PACKED) else 0

    def close(self) -> None:
        """End the reader."""
        if self._open:
            self._open = False
            self._channel.close()

    @property
    def usage(self) -> Usage:
        """What the reader used, once it has ended."""
        if self._usage is None:
            self._end()
        return self._usage or Usage()

    def _end(self) -> dict[str, Any]:
        obituary = self._server.obituary(self._number)
        self._usage = Usage(obituary.get("peak", 0), obituary.get("seconds", 0.0))
        return obituary

    def look(self) -> int:
        """Return in how many ways the file may be opened."""
        ways: int = self._ask({"do": "look"})["ways"]
        return ways

    def open(self, way: int) -> Opened:
        """Open the file in one of the ways that ``look`` counted."""
        found = self._ask({"do": "open", "way": way})
        tables = [_Table(self, index, table) for index, table in enumerate(found["tables"])]
        return Opened(tables, found["encoding"], found["hidden"], found["date1904"], found["facts"])

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to another request (see ``serve``)."""
        return self._ask(request)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.exchange(request)[0]

    def exchange(self, request: dict[str, Any] | None) -> tuple[dict[str, Any], Batch | None]:
        """Send a request, if one is given, and return the next message."""
        if not self._open:
            raise ValueError("reading is closed")
        try:
            if request is not None:
                self._channel.send(request)
            message, batch = self._channel.receive()
            while "need" in message:
                self._channel.send({}, raw=self._range(*message["need"]))
                message, batch = self._channel.receive()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise self._died() from None
        if "error" in message:
            raise as_error(message)
        if "ended" in message:
            raise self._failed(message)
        return message, batch

    def _range(self, offset: int, size: int) -> bytes:
        if self._handle is None:
            raise ValueError("not asked for")
        try:
            self._handle.seek(offset)
            return self._handle.read(min(size, _RANGE))
        except OSError as error:
            reason = type(error).__name__
            raise BadInput("ingest.cannot_open", file=self._label, reason=reason) from None

    def _died(self) -> BadInput:
        self._open = False
        self._channel.close()
        return self._refusal(str(self._end().get("reason", "")))

    def _failed(self, message: dict[str, Any]) -> BadInput:
        if message["ended"] == "memory":
            return self._refusal("memory")
        where = f"{message['kind']}, {message['place']}"
        return BadInput("ingest.reader_failed", file=self._label, kind=where)

    def _refusal(self, reason: str) -> BadInput:
        if reason == "memory":
            limit = self._limits.megabytes
            return BadInput("ingest.too_much_memory", file=self._label, limit=limit)
        if reason == "time":
            return BadInput("ingest.too_slow", file=self._label, limit=self._limits.seconds)
        return BadInput("ingest.reader_died", file=self._label)


_PACKED = (".xlsx", ".xlsm", ".xls", ".ods", ".zip")


class _Table:
    """A raw table (see ``tables.RawTable``) that lies in the reader."""

    def __init__(self, reading: Reading, index: int, found: dict[str, Any]) -> None:
        self.sheet: str = found["sheet"]
        self.head = [Line(row, tuple(cells), end) for row, cells, end in found["head"]]
        self.info: dict[str, Any] = found["info"]
        self.odd: list[Odd] = []
        self._reading, self._index = reading, index

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw the records after ``head[header]``."""
        order = {"header": header, "width": width, "wanted": list(wanted)}
        message, batch = self._reading.exchange({"do": "read", "table": self._index, **order})
        while message["more"]:
            if batch is not None:
                yield batch
            message, batch = self._reading.exchange(None)
        self._reading.verify()
        self.odd[:] = [Odd(*odd) for odd in message["odd"]]
        self.info = message["info"]


@dataclass
class _Server:
    """The process that forks readers, and what it says of those that ended."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    owner: int
    started: int = 0
    ended: dict[int, dict[str, Any]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def start(self, request: dict[str, Any], descriptor: int | None) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        with self.lock, theirs:
            self._hear(0)
            self.started += 1
            data = json.dumps({"number": self.started, **request}).encode()
            files = [] if descriptor is None else [descriptor]
            socket.send_fds(self.control, [data], [theirs.fileno(), *files])
            return self.started, ours

    def obituary(self, number: int) -> dict[str, Any]:
        """Return how a reader ended; empty when the server itself is gone."""
        with self.lock:
            while number not in self.ended:
                if not self._hear(_FAREWELL):
                    return {}
            return self.ended.pop(number)

    def _hear(self, seconds: float) -> bool:
        """Take in what the server has said; return whether it said anything within ``seconds``."""
        heard = False
        while select.select([self.control], [], [], 0 if heard else seconds)[0]:
            data = self.control.recv(65536)
            if not data:
                break
            found = json.loads(data)
            self.ended[found["number"]] = found
            heard = True
        while len(self.ended) > _REMEMBERED:
            del self.ended[next(iter(self.ended))]
        return heard


def _nothing() -> None:
    return None


def _descriptor(handle: BinaryIO) -> int | None:
    try:
        return handle.fileno()
    except (OSError, AttributeError):
        return None


_running: _Server | None = None
_guard = Lock()


def warm_up() -> None:
    """Start the server, so that the first file need not wait for it."""
    _server()


def _server() -> _Server:
    global _running
    with _guard:
        found = _running
        if found is None or found.owner != os.getpid() or found.process.poll() is not None:
            found = _running = _launch()
        return found


def _launch() -> _Server:
    if not Path("/proc/self/statm").exists():
        raise SetupProblem("ingest.no_proc")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = str(Path(safehands.__file__).resolve().parents[1])
    flags = ["-B"] if sys.dont_write_bytecode else []
    with theirs:
        process = subprocess.Popen(
            [sys.executable, *flags, "-m", "safehands.ingest.forkserver", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={**_ENVIRONMENT, "PYTHONPATH": root},
        )
    return _Server(process, ours, os.getpid())


@atexit.register
def _stop() -> None:
    found = _running
    if found is not None and found.owner == os.getpid():
        found.control.close()
        found.process.wait(_FAREWELL)
