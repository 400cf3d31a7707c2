"""Fixtures: a filled store, and one with three generations."""

from __future__ import annotations  # noqa: I001

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backup_home import GROWTH, Home, make_home

from safehands.policy import Policy


@pytest.fixture
def home(cluster: Any, database: str, policy: Policy, tmp_path: Path) -> Iterator[Home]:
    """A filled store without a backup."""
    made = make_home(database, cluster.keys / "root.key", policy, tmp_path / "home")
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def grown(cluster: Any, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A store with three generations and two key segments; tests leave it as it is."""
    made = make_home(
        cluster.clone(),
        cluster.keys / "root.key",
        policy,
        tmp_path_factory.mktemp("grown") / "home",
    )
    for day, change in enumerate(GROWTH):
        made.admin(change)
        made.backup(day)
    yield made
    made.store.close()
