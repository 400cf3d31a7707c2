"""A landing folder per test."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_door import Door, make_door

from safehands.policy import Policy, load_policy
from safehands.settings import Settings


@pytest.fixture(scope="session")
def door_policy() -> Policy:
    return load_policy(Settings.read({}).policy)


@pytest.fixture
def door(tmp_path: Path, door_policy: Policy) -> Door:
    return make_door(tmp_path, door_policy)
