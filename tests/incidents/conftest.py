"""Fixtures of incidents: an owner with people whose parcels came in one month."""

from __future__ import annotations

import pytest
from incident_office import Office, open_office

from safehands.installation import Installation


@pytest.fixture
def office(inst: Installation) -> Office:
    return open_office(inst)
