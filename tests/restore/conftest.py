"""Fixtures: a filled store with its repository, and empty databases beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backup_home import Home, make_home
from safehands.policy import Policy
from safehands.store import Store


@pytest.fixture
def home(cluster: Any, database: str, policy: Policy, tmp_path: Path) -> Iterator[Home]:
    """A filled store without a backup."""
    made = make_home(database, cluster.keys / "root.key", policy, tmp_path / "home")
    yield made
    made.store.close()


@pytest.fixture
def fresh(cluster: Any, home: Home) -> Iterator[Callable[[], Store]]:
    """A function that gives a store whose database does not exist yet."""
    made: list[Store] = []

    def another() -> Store:
        cluster.made += 1
        url = cluster.server.url(f"sh_test_{cluster.made}")
        made.append(Store(url, home.provider))
        return made[-1]

    yield another
    for store in made:
        store.close()
