"""Two registered owners without any evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands.installation import Installation
from safehands.organisation import Organisation, load_organisation
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store.register import register


@dataclass
class Register2:
    """An installation with the owners ``jia`` and ``yi``, and its organisation policy."""

    inst: Installation
    organisation: Organisation

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.inst.store.admin().connect() as connection:
            return list(connection.execute(text(query), values))

    def run(self, statement: str, **values: Any) -> None:
        with self.inst.store.admin().begin() as connection:
            connection.execute(text(statement), values)


@pytest.fixture
def office(inst: Installation) -> Register2:
    declared = []
    for code in ("jia", "yi"):
        sets = {name: RecordSet(role="handler") for name in inst.policy.datasets}
        sets["parcels"] = RecordSet(role="entrusted", by="某快递")
        station = Station(code=f"{code}-1", name="站", folder=code)
        declared.append(
            Controller(code=code, name=code, kind="company", record_sets=sets, stations=(station,))
        )
    register(inst.store, Register(controllers=tuple(declared)), BUSINESS_DATE)
    return Register2(inst, load_organisation(inst.settings.policy))
