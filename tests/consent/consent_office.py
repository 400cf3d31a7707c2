"""One owner with people who said they like messages, and a notice in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from minimised import World, at, collected, declared, preference
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.consent import Answer, basis, record, standing
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.notices import (
    ConsentBook,
    compose,
    load_consent_book,
    load_notice_book,
    publish,
    versions,
)
from safehands.notices.book import Sensitive
from safehands.pipeline import Head
from safehands.vault.access import OFFICER

PHONES = ("13800000001", "13800000002", "13800000003")
FIRST = date(2026, 11, 1)
SAID = at(2026, 11, 10)


@dataclass
class Office:
    """An installation, its people by phone, and the few things an officer does here."""

    inst: Installation
    world: World
    book: ConsentBook
    people: dict[str, UUID]

    def document(
        self, sensitive: dict[str, Sensitive] | None = None, **changes: Any
    ) -> dict[str, Any]:
        controller = (
            declared().controllers[0].model_copy(update={"contact": "0755-0000", **changes})
        )
        folder = self.inst.settings.policy
        notice = load_notice_book(folder, self.inst.policy)
        notice = notice.model_copy(update={"sensitive": sensitive or notice.sensitive})
        return compose(self.inst.policy, self.book, notice, controller)

    def answer(self, kind: Any, phone: str = PHONES[0], **changes: Any) -> Answer:
        given = {
            "purpose": "marketing",
            "channel": "counter",
            "evidence": "form 12",
            "at": SAID,
            "notice": 1,
            **changes,
        }
        return Answer(self.people[phone], kind, **given)

    def record(self, *given: Answer) -> int:
        owner = self.world.owner()
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            notices = versions(connection, owner.id)
            return record(
                connection, self.inst.policy, self.book, owner, notices, given, "wang.li", NOW
            )

    def allowed(self, purpose: str = "marketing", day: date = BUSINESS_DATE) -> set[UUID]:
        owner = self.world.owner()
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            return set(basis(connection, self.inst.policy, self.book, purpose, day))

    def standing(self, phone: str = PHONES[0], day: date = BUSINESS_DATE) -> str:
        owner = self.world.owner()
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            who = self.people[phone]
            found = standing(connection, self.inst.policy, self.book, who, "marketing", day)
        return found.kind

    def wishes(self) -> list[tuple[int, int]]:
        rows = self.world.rows("SELECT marketing, time_window FROM preference", storage=True)
        return sorted((row["marketing"], row["time_window"]) for row in rows)

    def export(self, hours: int = 0) -> dict[str, int]:
        """The station's software exports the same wishes again."""
        again = [
            preference(
                SAID + timedelta(hours=hours), receiver_phone=phone, marketing=1, time_window=2
            )
            for phone in PHONES
        ]
        return self.world.load([], preferences=again)

    def ledger(self) -> list[str]:
        journal.sequence(self.inst.store, NOW)
        with self.inst.store.begin() as connection:
            return list(journal.entries(connection))


def open_office(inst: Installation) -> Office:
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, RunKey(head.run, b"k" * 32))
    world = World(inst.store, night, NOW)
    parcels = [
        collected(f"W{i}", at(2026, 11, 2 + i), receiver_phone=phone, receiver_name="张伟")
        for i, phone in enumerate(PHONES)
    ]
    wishes = [
        preference(SAID - timedelta(days=3), receiver_phone=phone, marketing=1, time_window=2)
        for phone in PHONES
    ]
    world.load(parcels, preferences=wishes)
    phones = {row["record"]["phone"]: row["subject_id"] for row in world.people()}
    book = load_consent_book(inst.settings.policy, inst.policy)
    made = Office(inst, world, book, phones)
    publish(inst.store, made.document(), FIRST, "wang.li", NOW)
    return made
