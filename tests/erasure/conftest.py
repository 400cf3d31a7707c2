"""Fixtures of the tests of erasure."""

from __future__ import annotations

import pytest
from erasure_world import Scene, scene_of

from minimised import World
from nights import NOW
from safehands.night import Night
from safehands.store import Store


@pytest.fixture
def scene(store: Store, night: Night) -> Scene:
    return scene_of(World(store, night, NOW))
