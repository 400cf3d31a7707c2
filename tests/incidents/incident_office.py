"""Twelve people, forty parcels, and the few things an officer does in an incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from minimised import World, at, collected
from nights import BUSINESS_DATE, NOW
from safehands import incidents, journal
from safehands.incidents import Affected, Case, IncidentBook, Scope
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.pipeline import Head
from safehands.vault.access import OFFICER

PHONES = tuple(f"138000000{number:02d}" for number in range(12))
BY = "wang.li"


@dataclass
class Office:
    """An installation and what policy says of incidents."""

    inst: Installation
    world: World
    people: dict[str, UUID]
    book: IncidentBook

    def open(self, began: datetime | None = None, kind: str = "leak", **scope: Any) -> int:
        owner = self.world.owner()
        times = (NOW - timedelta(hours=2), began or at(2026, 11, 1), NOW - timedelta(hours=3))
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            wanted = Scope(**scope)
            return incidents.open_case(
                connection, self.book, owner, kind, times, "customer", wanted, BY, NOW
            )

    def case(self, number: int) -> Case:
        with self.inst.store.begin(OFFICER, self.world.owner().id) as connection:
            return incidents.case(connection, number)

    def affected(self, number: int) -> Affected:
        with self.inst.store.begin(OFFICER, self.world.owner().id) as connection:
            found = incidents.case(connection, number)
            return incidents.affected(connection, self.inst.policy, self.book, found)

    def admin(self, statement: str, **values: Any) -> None:
        with self.inst.store.admin().begin() as connection:
            connection.execute(text(statement), values)

    def ledger(self) -> str:
        journal.sequence(self.inst.store, NOW)
        with self.inst.store.begin() as connection:
            return "\n".join(journal.entries(connection))


def open_office(inst: Installation) -> Office:
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, RunKey(head.run, b"k" * 32))
    world = World(inst.store, night, NOW)
    parcels = [
        collected(f"W{i}", at(2026, 11, 3 + i % 12), receiver_phone=PHONES[i % 12])
        for i in range(40)
    ]
    world.load(parcels)
    phones = {row["record"]["phone"]: row["subject_id"] for row in world.people()}
    return Office(inst, world, phones, incidents.load_incident_book(inst.settings.policy))
