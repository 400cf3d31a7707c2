"""Fixtures of sharing: an owner with people, and recipients."""

from __future__ import annotations

from pathlib import Path

import pytest
from sharing_office import Office, open_office

from safehands.installation import Installation


@pytest.fixture
def office(inst: Installation, tmp_path: Path) -> Office:
    return open_office(inst, tmp_path / "policy")
