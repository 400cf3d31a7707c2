"""A night without a database: policy, the shipped suites, a work folder and a run key."""

from __future__ import annotations

from pathlib import Path

import pytest
from validate_tables import DAY

from safehands.keys import RunKey
from safehands.night import Night
from safehands.policy import Policy, load_policy
from safehands.settings import Settings


@pytest.fixture(scope="session")
def shipped_policy() -> Policy:
    return load_policy(Settings.read({}).policy)


@pytest.fixture
def night(tmp_path: Path, shipped_policy: Policy) -> Night:
    settings = Settings.read({}, home=str(tmp_path))
    return Night("night", DAY, settings, shipped_policy, RunKey("night", bytes(range(32))))


@pytest.fixture(scope="module")
def calm_night(tmp_path_factory: pytest.TempPathFactory, shipped_policy: Policy) -> Night:
    """The same for tests with many examples, which may share one work folder."""
    settings = Settings.read({}, home=str(tmp_path_factory.mktemp("night")))
    return Night("night", DAY, settings, shipped_policy, RunKey("night", bytes(range(32))))
