"""A filled store with its key folders, to start from as often as needed, and children to kill."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from minimised import World, at, collected, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands import embedded
from safehands.keys import FileProvider, RunKey
from safehands.keys.provider import KeyProvider
from safehands.night import Night
from safehands.policy import load_policy
from safehands.settings import Settings
from safehands.store import Store, prepare_store

__all__ = ["KILLED", "Home", "Scene", "files_of", "fill", "night_of", "sampled"]

PROMISES = Path(__file__).resolve().parents[1] / "promises"
Open = Callable[[Path], KeyProvider]


def files_of(home: Path) -> FileProvider:
    """Return the file provider of a home."""
    return FileProvider(home / "keys", home / "second")


def fill(store: Store, night: Night) -> World:
    """Load people of two owners: in custody and not, masked and not, one parcel of nobody."""
    world = World(store, night, NOW)
    for station in ("A1", "B1"):
        long_ago = at(2026, 1, 5)
        rows = [
            parcel("W1", NOW),
            collected("W2", at(2026, 11, 20), receiver_phone="13800000002", receiver_name="李娜"),
            collected("W3", long_ago, receiver_phone="13800000003", receiver_name="王芳"),
            parcel("W4", NOW, receiver_phone=None, receiver_name=None),
        ]
        world.load(rows, preferences=[preference(NOW)], stations=[station])
    return world


@dataclass
class Home:
    """One copy: key folders and a database of its own."""

    folder: Path
    url: str
    opened: list[Store] = field(default_factory=list)

    def store(self, provider: KeyProvider | None = None, *, start: bool = True) -> Store:
        """Open the store as the installation does: with the key check, and tidied."""
        made = Store(self.url, provider or files_of(self.folder))
        self.opened.append(made)
        if start:
            prepare_store(made)
            made.provider.tidy()
        return made

    def close(self) -> None:
        for store in self.opened:
            store.close()
        self.opened.clear()

    def killed(
        self, work: Callable[[], object], die_at: int | None, how: str = "killed"
    ) -> tuple[int, int]:
        """Do ``work`` in a child that is killed at a point; return how it ended and the points.

        ``how``: ``killed``, or ``eio`` and ``full``: there the call fails, and the child ends with
        0 whatever the work made of it.
        """
        self.close()
        with tempfile.NamedTemporaryFile() as seen:
            child = os.fork()
            if child == 0:
                _in_child(work, die_at, seen.name, how)
            _, status = os.waitpid(child, 0)
            text = Path(seen.name).read_text() or "0"
        return (os.waitstatus_to_exitcode(status), int(text))


def _in_child(work: Callable[[], object], die_at: int | None, result: str, how: str) -> None:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        kinds = _points()
        points = kinds.Points(die_at) if how == "killed" else kinds.Faults(die_at, how)
        points.install()
        with nullcontext() if how == "killed" else suppress(Exception):
            work()
        points.close()
        Path(result).write_text(str(points.seen))
        code = 0
    finally:
        os._exit(code)


def _points() -> Any:
    spec = importlib.util.spec_from_file_location("promise_points", PROMISES / "promise_points.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Scene:
    """A server with one filled database, and copies of it."""

    def __init__(self, folder: Path, make: Open = files_of) -> None:
        self.folder, self.make, self.made = folder, make, 0
        self.place = embedded.Place(folder / "server")
        self.server = embedded.start(self.place, durable=False)
        self.base = folder / "base"
        provider = make(self.base)
        store = Store(self.server.url("sh_keys_base"), provider)
        prepare_store(store)
        night = night_of(folder)
        fill(store, night)
        store.close()

    def fresh(self) -> Home:
        """Return a copy of the filled store with its keys."""
        self.made += 1
        home = self.folder / f"home-{self.made}"
        shutil.copytree(self.base, home)
        name = f"sh_keys_{self.made}"
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            statement = f"CREATE DATABASE {name} TEMPLATE sh_keys_base STRATEGY FILE_COPY"
            connection.execute(statement.encode())
        return Home(home, self.server.url(name))

    def drop(self, home: Home) -> None:
        """Remove a copy."""
        home.close()
        shutil.rmtree(home.folder)
        name = home.url.split("?")[0].rpartition("/")[2]
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def end(self) -> None:
        embedded.remove(self.place)


def night_of(folder: Path) -> Night:
    """Return a night whose artifacts lie below ``folder``."""
    settings = Settings.read({}, home=str(folder / "night"), lang="en", workers="1")
    policy = load_policy(settings.policy)
    return Night("nightly-test", BUSINESS_DATE, settings, policy, RunKey("t", b"k" * 32))


def sampled(points: int, wanted: int) -> Iterator[int]:
    """Yield ``wanted`` of the points, or all of them where ``SAFEHANDS_TORTURE`` says so."""
    if os.environ.get("SAFEHANDS_TORTURE") == "1" or points <= wanted:
        yield from range(1, points + 1)
    else:
        yield from sorted({round(1 + i * (points - 1) / (wanted - 1)) for i in range(wanted)})


KILLED = -signal.SIGKILL
