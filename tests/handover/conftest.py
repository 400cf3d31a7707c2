"""Fixtures of the hand-over's tests."""

from __future__ import annotations

import pytest
from deals import Deal, make_deal

from safehands.installation import Installation


@pytest.fixture
def deal(inst: Installation) -> Deal:
    return make_deal(inst)
