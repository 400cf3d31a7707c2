"""Fixtures of notices and consent."""

from __future__ import annotations

import pytest
from consent_office import Office, open_office

from safehands.installation import Installation


@pytest.fixture
def office(inst: Installation) -> Office:
    return open_office(inst)
