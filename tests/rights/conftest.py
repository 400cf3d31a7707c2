"""Fixtures of people's rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from rights_desk import Desk, open_desk

from safehands.installation import Installation


@pytest.fixture
def desk(inst: Installation, tmp_path: Path) -> Desk:
    return open_desk(inst, tmp_path / "answers")
