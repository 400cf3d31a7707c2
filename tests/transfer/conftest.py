"""Fixtures of the tests of transfer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The course up to approval is the hand-over's own; its people are these tests' too.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "handover"))

from transfer_world import CLASSES, Deal, deal_of, people_of_a

from minimised import World
from nights import BUSINESS_DATE, NOW
from safehands import embedded
from safehands.keys import FileProvider, RunKey
from safehands.night import Night
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.store import Store, prepare_store


@pytest.fixture
def deal(store: Store, night: Night, tmp_path: Path) -> Deal:
    """Both owners in one installation, approved."""
    world = World(store, night, NOW)
    people_of_a(world)
    made = deal_of(world, tmp_path / "package.age")
    made.approved(CLASSES)
    return made


@pytest.fixture(scope="session")
def other_server() -> Iterator[Callable[[], tuple[str, Path]]]:
    """A second server with keys of its own: another installation."""
    import shutil
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="sh-other-"))
    place = embedded.Place(home)
    server: Any = embedded.start(place, durable=False)
    made: list[int] = []

    def give() -> tuple[str, Path]:
        made.append(1)
        return server.url(f"other_{len(made)}"), home / "root-keys"

    yield give
    embedded.remove(place)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def far(deal: Deal, other_server: Any, policy: Policy, tmp_path: Path) -> Iterator[Deal]:
    """The same deal, the buyer in an installation of their own."""
    url, keys = other_server()
    settings = Settings.read({}, home=str(tmp_path / "other"), lang="en", workers="1")
    theirs = Store(url, FileProvider(keys, tmp_path / "other-second"))
    prepare_store(theirs)
    night = Night("nightly-b", BUSINESS_DATE, settings, policy, RunKey("t", b"k" * 32))
    yield Deal(deal.world, World(theirs, night, NOW), deal.path, deal.id)
    theirs.close()
