"""The process that forks a limited reader for every file, and ends those that cost too much.

It is started once per worker with an empty environment, imports the readers and nothing that holds
a key or a connection, and then forks: a fresh reader costs milliseconds. It watches its children
from outside, because a reader that is stuck in a library cannot watch itself. Linux only: memory is
read from ``/proc``, and ``RLIMIT_DATA`` (counting private memory since Linux 4.7) stops at once
what grows faster than the watch looks.

Run as ``python -m safehands.ingest.forkserver DESCRIPTOR``.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from typing import Any

from safehands.ingest.serve import Progress, serve, warm_up

__all__ = ["main"]

_TICK = 0.01
_PAGE = resource.getpagesize()
_CLOCK = os.sysconf("SC_CLK_TCK")
_MARK = struct.Struct("d")


class _WithoutPandas(MetaPathFinder):
    """Arrow looks for pandas in every reader anew, which costs each a sixth of a second."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


@dataclass
class _Watched:
    """A reading child: what it may use and what it used; memory in bytes, times in seconds."""

    number: int
    memory: int
    seconds: float
    baseline: int
    mark: mmap.mmap
    begun: float
    peak: int = 0
    reason: str = ""


def main(descriptor: int) -> None:
    """Serve until the other end of ``descriptor`` is closed; then end all children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, _WithoutPandas())
    warm_up()
    control = socket.socket(fileno=descriptor)
    children: dict[int, _Watched] = {}
    while True:
        ready, _, _ = select.select([control], [], [], _TICK if children else None)
        if ready and not _start(control, children):
            break
        for pid in list(children):
            _look_after(pid, children, control)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _start(control: socket.socket, children: dict[int, _Watched]) -> bool:
    try:
        data, descriptors, _, _ = socket.recv_fds(control, 65536, 2)
    except ConnectionResetError:
        return False
    if not data:
        return False
    request: dict[str, Any] = json.loads(data)
    mark = mmap.mmap(-1, _MARK.size)
    pid = os.fork()
    if pid == 0:
        control.close()
        _become_reader(request, descriptors, mark)
    for each in descriptors:
        os.close(each)
    children[pid] = _Watched(
        request["number"],
        request["memory"],
        request["seconds"],
        _resident(pid),
        mark,
        time.monotonic(),
    )
    return True


def _become_reader(request: dict[str, Any], descriptors: list[int], mark: mmap.mmap) -> None:
    """Read one file and end, whatever happens: never return into the server's loop."""
    code = 1
    try:
        _limit(request["memory"])
        channel, *source = descriptors
        serve(request, source, socket.socket(fileno=channel), Progress(mark))
        code = 0
    finally:
        os._exit(code)


def _limit(memory: int) -> None:
    limit = _data_size() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _data_size() -> int:
    with open("/proc/self/statm", "rb") as stat:
        return int(stat.read().split()[5]) * _PAGE


def _look_after(pid: int, children: dict[int, _Watched], control: socket.socket) -> None:
    child = children[pid]
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    if ended:
        del children[pid]
        child.peak = max(child.peak, usage.ru_maxrss * 1024 - child.baseline)
        with suppress(BrokenPipeError, ConnectionResetError):
            control.send(json.dumps(_obituary(child, status)).encode())
        child.mark.close()
        return
    child.peak = max(child.peak, _resident(pid) - child.baseline)
    if child.peak > child.memory:
        child.reason = "memory"
    elif _processor(pid) - _MARK.unpack(child.mark[:])[0] > child.seconds:
        child.reason = "time"
    if child.reason:
        os.kill(pid, signal.SIGKILL)


def _obituary(child: _Watched, status: int) -> dict[str, Any]:
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    # A Rust or C++ library that is refused memory aborts.
    reason = child.reason or {0: "", signal.SIGABRT: "memory"}.get(killed, "died")
    return {
        "number": child.number,
        "reason": reason or ("died" if status else ""),
        "peak": child.peak,
        "seconds": round(time.monotonic() - child.begun, 3),
    }


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as stat:
            return int(stat.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _processor(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _CLOCK


if __name__ == "__main__":
    main(int(sys.argv[1]))
