"""One owner with evidence, as the rule book's tests have it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rulebook"))

import pytest
from rulebook_home import OWNER, Home

from nights import BUSINESS_DATE
from safehands.installation import Installation
from safehands.rulebook import open_books
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store.register import register


@pytest.fixture
def home(inst: Installation) -> Home:
    """One registered owner, handler of everything, without any evidence."""
    sets = {name: RecordSet(role="handler") for name in inst.policy.datasets}
    station = Station(code="S1", name="一号站", folder="S1")
    owner = Controller(code=OWNER, name="甲", kind="company", record_sets=sets, stations=(station,))
    register(inst.store, Register(controllers=(owner,)), BUSINESS_DATE)
    return Home(inst, open_books(inst))
