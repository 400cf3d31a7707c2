"""What the tests of promises share: a host of prepared processes, and a search for values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from safehands.sample.canaries import CANARIES, search_forms

__all__ = ["Cluster", "Host", "Run", "Search", "clean_environment", "files_below"]

HERE = Path(__file__).resolve().parent


class Cluster(Protocol):
    """The shared server of ``tests/conftest.py``, as far as these tests use it."""

    keys: Path

    def clone(self) -> str:
        """Return the administrator's URL of a fresh copy of the template."""
        ...


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment with nothing of the caller's in it but the path of programs."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


@dataclass(frozen=True)
class Run:
    """How a child ended: ``code`` (negative: killed by that signal), its output, its result."""

    code: int
    out: str
    err: str
    result: Any


class Host:
    """Runs jobs in forked children of one prepared process (``promise_host``)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "promise_host.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(folder, PYTHONPATH=str(HERE)),
        )

    def run(self, task: str, **arguments: Any) -> Run:
        """Do one job and wait for its end."""
        files = {name: self._folder / name for name in ("out", "err", "result")}
        for path in files.values():
            path.unlink(missing_ok=True)
        job = {"task": task, "arguments": arguments, **{k: str(v) for k, v in files.items()}}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        out, err = (_text(files[name]) for name in ("out", "err"))
        text = _text(files["result"])
        return Run(code, out, err, json.loads(text) if text else None)

    def close(self) -> None:
        """End the prepared process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, whatever their names."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


class Search:
    """Looks for every planted value in every form, in time that hardly grows with their number.

    A table says for each four bytes whether a form begins so; only there is compared.
    """

    _BITS = 20

    def __init__(self) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str]]] = {}
        for number, canary in enumerate(CANARIES):
            for kind, value in vars(canary).items():
                for form in search_forms(value):
                    known = self._by_head.setdefault(form[:4], [])
                    known.append((form, f"{kind} of canary {number}"))
        self._likely = np.zeros(1 << self._BITS, dtype=bool)
        heads = np.array([int.from_bytes(head, "little") for head in self._by_head], np.uint32)
        self._likely[self._hash(heads)] = True

    def in_bytes(self, data: bytes) -> set[str]:
        """Return which values are in ``data``, named by kind and person."""
        found: set[str] = set()
        for shift in range(4):
            usable = (len(data) - shift) // 4 * 4
            if usable <= 0:
                continue
            words = np.frombuffer(data, "<u4", usable // 4, shift)
            for place in np.flatnonzero(self._likely[self._hash(words)]).tolist():
                at = shift + place * 4
                for form, name in self._by_head.get(data[at : at + 4], ()):
                    if name not in found and data.startswith(form, at):
                        found.add(name)
        return found

    def in_text(self, text: str) -> set[str]:
        """Return which values are in ``text``."""
        return self.in_bytes(text.encode("utf-8", "surrogateescape"))

    def in_file(self, path: Path) -> set[str]:
        """Return which values are in a file's content or in its name."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            # A running server drops files of its own between the listing and the look.
            content = b""
        return self.in_bytes(content) | self.in_text(str(path))

    def _hash(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        mixed: npt.NDArray[np.uint32] = words * np.uint32(2_654_435_761)
        return mixed >> np.uint32(32 - self._BITS)
