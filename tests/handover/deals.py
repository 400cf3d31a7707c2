"""One seller with two stations and people of every kind, and requests for each mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from minimised import World, at, collected, declared, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.consent import Answer, record
from safehands.handover.classify import campaign
from safehands.handover.opening import Asked, ask, open_handover, scope_of
from safehands.handover.request import HandoverRequest
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.notices import compose, load_consent_book, load_notice_book, publish, versions
from safehands.pipeline import Head
from safehands.vault.access import OFFICER

__all__ = ["CLOSING", "PHONES", "PROOF", "Deal", "make_deal"]

CLOSING = date(2026, 12, 31)
PROOF = "ab" * 32
NAMES = ("yes", "no", "silent", "both", "dormant", "waiting", "held", "stored", "other")
PHONES = {name: f"1380000{i:04d}" for i, name in enumerate(NAMES, start=1)}
ARRIVED = at(2026, 11, 10)
MODES: dict[str, dict[str, Any]] = {
    "asset_deal": {},
    "share_deal": {"proof": "share_transfer_registration", "proof_digest": PROOF},
    "statutory_succession": {"proof": "merger_registration", "proof_digest": PROOF},
    "entrusted_processor_change": {"proof": "entrustment_end", "proof_digest": PROOF},
    "closure": {"buyer": "", "buyer_approver": ""},
}


@dataclass
class Deal:
    """An installation in which owner A sells station A1 and keeps A2."""

    inst: Installation
    world: World
    people: dict[str, UUID]

    def request(self, mode: str = "asset_deal", **changes: Any) -> HandoverRequest:
        given = {
            "stations": ("A1",),
            "seller": "A",
            "buyer": "B",
            "buyer_name": "乙驿站有限公司",
            "buyer_contact": "0755-0001",
            "transfer_mode": mode,
            "effective_on": CLOSING,
            "channels": ("sms", "poster", "counter"),
            "seller_approver": "wang.li",
            "buyer_approver": "chen.fang",
            "agreement": PROOF,
            "agreement_terms": ("purpose", "method", "scope", "term", "measures", "duties"),
            "agreement_until": CLOSING + timedelta(days=1096),
            "dry_run": False,
            **MODES[mode],
            **changes,
        }
        return HandoverRequest.model_validate(given)

    def ask(self, mode: str = "asset_deal", **changes: Any) -> Asked:
        return ask(self.inst, self.request(mode, **changes))

    def open(self, mode: str = "asset_deal", **changes: Any) -> Asked:
        asked = self.ask(mode, **changes)
        open_handover(self.inst, asked, "wang.li", NOW)
        return asked

    def scope(self, asked: Asked, day: date = BUSINESS_DATE) -> Any:
        return scope_of(asked, self.inst, day)

    def answer(self, asked: Asked, *, guardian: str = "", within: str = "", **kinds: Any) -> None:
        """Record answers in the hand-over's campaign (or ``within`` another): ``yes="granted"``."""
        owner = self.world.owner()
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            given = [
                Answer(
                    self.people[name],
                    kind,
                    "handover",
                    "counter",
                    "form 1",
                    NOW - timedelta(hours=1),
                    1,
                    True,
                    campaign=within or campaign(asked.id),
                    guardian=guardian,
                )
                for name, kind in kinds.items()
            ]
            book = load_consent_book(self.inst.settings.policy, self.inst.policy)
            notices = versions(connection, owner.id)
            record(connection, self.inst.policy, book, owner, notices, given, "wang.li", NOW)

    def admin(self, statement: str, **values: Any) -> None:
        with self.inst.store.admin().begin() as connection:
            connection.execute(text(statement), values)


def make_deal(inst: Installation) -> Deal:
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, RunKey(head.run, b"k" * 32))
    world = World(inst.store, night, NOW)
    here = [n for n in NAMES if n not in ("other", "waiting", "dormant")]
    rows = [
        collected(f"H{i}", ARRIVED, receiver_phone=PHONES[name], receiver_name="张伟")
        for i, name in enumerate(here)
    ]
    rows.append(parcel("W1", ARRIVED, receiver_phone=PHONES["waiting"], receiver_name="李娜"))
    rows.append(
        collected("D1", at(2025, 12, 1), receiver_phone=PHONES["dormant"], receiver_name="王芳")
    )
    wishes = [preference(ARRIVED, receiver_phone=PHONES["yes"], marketing=0, time_window=0)]
    world.load(rows, preferences=wishes)
    away = [
        collected(f"E{i}", ARRIVED, receiver_phone=PHONES[name], receiver_name="张伟", _file=0)
        for i, name in enumerate(("both", "other"))
    ]
    world.load(away, stations=("A2",))
    world.load([collected("B1", ARRIVED, receiver_phone=PHONES["silent"])], stations=("B1",))
    # What is old is masked already: the last four digits are left.
    phones = {row["record"]["phone"][-4:]: row["subject_id"] for row in world.people()}
    people = {name: phones[phone[-4:]] for name, phone in PHONES.items()}
    world.hold(subject=people["held"])
    world.restrict(people["stored"])
    book = load_consent_book(inst.settings.policy, inst.policy)
    seller = declared().controllers[0].model_copy(update={"contact": "0755-0000"})
    notices = load_notice_book(inst.settings.policy, inst.policy)
    document = compose(inst.policy, book, notices, seller)
    publish(inst.store, document, date(2026, 11, 1), "wang.li", NOW)
    return Deal(inst, world, people)
