"""The four processes of a running Airflow, and the one that looks after them.

``airflow standalone`` is not used: its log servers listen on every address of the machine, and a
SIGTERM leaves its children behind. The keeper starts the components without log servers, starts
one that died again (a few times), and stops all of them when it is told to.

The keeper and all its children hold ``up.lock``: as long as one of them lives, Airflow counts as
running, and a process number is believed only while the lock is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

__all__ = ["COMPONENTS", "Running", "held", "keep", "read_running", "start_keeper", "stop_keeper"]

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

_RESTARTS_AN_HOUR = 5
_NOTE_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0

Running = dict[str, int]
"""``{"pid": the keeper, which leads the process group of all, "port": of the web page}``"""


def start_keeper(home: Path, environment: Mapping[str, str], port: int) -> int:
    """Start the keeper in the background and return its process number.

    ``BlockingIOError`` if Airflow is running already.
    """
    lock = _open(home / "up.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (home / "logs" / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "safehands_airflow.components", str(home), str(lock)],
                env=dict(environment),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
            )
        _write(home, {"pid": keeper.pid, "port": port})
    finally:
        os.close(lock)
    return keeper.pid


def held(home: Path) -> bool:
    """Say whether any process of a running Airflow lives."""
    lock = _open(home / "up.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def read_running(home: Path) -> Running | None:
    """Return what runs, or None."""
    if not home.is_dir() or not held(home):
        return None
    note = home / "up.json"
    deadline = time.monotonic() + _NOTE_SECONDS
    # Between taking the lock and writing the note lies a moment.
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    found: Running = json.loads(note.read_text(encoding="utf-8"))
    return found


def stop_keeper(home: Path, seconds: float = 60.0) -> bool:
    """Stop the keeper and its children; return whether none is left after ``seconds``.

    First the keeper is asked, which asks the components. When it is dead, or they don't listen,
    the whole process group is ended.
    """
    running = read_running(home)
    if running is None:
        return True
    with suppress(ProcessLookupError):
        os.kill(running["pid"], signal.SIGTERM)
    if not _await_release(home, seconds / 2):
        with suppress(ProcessLookupError):
            os.killpg(running["pid"], signal.SIGKILL)
    if not _await_release(home, seconds / 2):
        return False
    (home / "up.json").unlink(missing_ok=True)
    return True


def keep(home: Path, lock: int) -> None:
    """Start the components and look after them until a SIGTERM or SIGINT."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    children = {name: _start(home, name, lock) for name in COMPONENTS}
    restarts: list[float] = []
    try:
        while len(restarts) <= _RESTARTS_AN_HOUR:
            time.sleep(1.0)
            for name in [n for n, child in children.items() if child.poll() is not None]:
                restarts = [t for t in restarts if t > time.monotonic() - 3600] + [time.monotonic()]
                children[name] = _start(home, name, lock)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _stop_all(list(children.values()))


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0 if number == signal.SIGTERM else 130)


def _start(home: Path, name: str, lock: int) -> subprocess.Popen[bytes]:
    with (home / "logs" / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *COMPONENTS[name]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
        )


def _stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await_release(home: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while held(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _write(home: Path, running: Running) -> None:
    draft = home / ".up.json"
    draft.write_text(json.dumps(running), encoding="utf-8")
    os.replace(draft, home / "up.json")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
