"""One owner with twelve people and forty parcels, and recipients whose keys the test holds."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pyrage
import yaml
from sqlalchemy import text

from minimised import World, at, collected, preference
from nights import BUSINESS_DATE, NOW
from safehands import journal, sharing
from safehands.installation import Installation
from safehands.keys import RunKey, age
from safehands.keys.domain import open_domain
from safehands.night import Night
from safehands.pipeline import Head
from safehands.sharing.plan import Plan, Request, plan
from safehands.vault.access import OFFICER
from shareable import THREATS, shareable

PHONES = tuple(f"138000000{number:02d}" for number in range(12))
DISTRICTS = (440305, 440306)
WORDS = {"zh": "约定", "en": "agreed"}


def agreement(recipient: str, **changes: Any) -> dict[str, Any]:
    return {
        "owners": ["A"],
        "recipient": {"zh": "某平台", "en": "a platform"},
        "role": "processor",
        "dataset": "parcels",
        "model": "controlled",
        "purposes": ["operations"],
        "fields": ["ref", "district", "arrived_week", "status"],
        "from": "2026-01-01",
        "until": "2026-12-31",
        "method": WORDS,
        "measures": WORDS,
        "duties": WORDS,
        "region": "CN",
        "storage": ["CN"],
        "contact": "privacy@example.com",
        "age": recipient,
        "format": "csv",
        "file_digest": "ab" * 32,
        "approver": "li.ming",
        "approved_on": "2025-12-20",
        "threats": THREATS,
        **changes,
    }


@dataclass
class Office:
    """An installation with agreements in a policy folder of its own."""

    inst: Installation
    world: World
    people: dict[str, UUID]
    identity: Any = field(default_factory=pyrage.x25519.Identity.generate)

    def agree(self, **agreements: dict[str, Any]) -> sharing.ShareBook:
        """Write the agreements, codes with ``_`` for ``-``, and load the book.

        What the gate of sharing asks for is on record for each of them.
        """
        key = str(self.identity.to_public())
        made = {c.replace("_", "-"): agreement(key, **a) for c, a in agreements.items()}
        path = self.inst.settings.policy / "agreements.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "agreements": made}), encoding="utf-8")
        shareable(self.inst, "A", BUSINESS_DATE, *made)
        return sharing.load_share_book(self.inst.settings.policy, self.inst.policy)

    def plan(self, book: sharing.ShareBook, code: str, **changes: Any) -> Plan:
        owner = self.world.owner()
        domain = open_domain(self.inst.provider, "A", code, make=True)
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            wanted = self.request(book, code, **changes)
            return plan(connection, self.inst, book, wanted, owner, domain, BUSINESS_DATE)

    def give(
        self, book: sharing.ShareBook, code: str, reason: str = "", **changes: Any
    ) -> sharing.Disclosed:
        request = self.request(book, code, **changes)
        return sharing.disclose(self.inst, book, request, BUSINESS_DATE, "wang.li", reason)

    def request(self, book: sharing.ShareBook, code: str, **changes: Any) -> Request:
        purpose = book.agreements[code].purposes[0] if code in book.agreements else "operations"
        given = {"purpose": purpose, "since": date(2026, 11, 1), "until": BUSINESS_DATE, **changes}
        return Request(code, "A", **given)

    def opened(self, path: Path) -> list[dict[str, str]]:
        clear = self.clear(path).decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(clear)))

    def clear(self, path: Path) -> bytes:
        return age.decrypt(path.read_bytes(), str(self.identity))

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        owner = self.world.owner()
        with self.inst.store.begin(OFFICER, owner.id) as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def ledger(self) -> str:
        journal.sequence(self.inst.store, NOW)
        with self.inst.store.begin() as connection:
            return "\n".join(journal.entries(connection))


def open_office(inst: Installation, folder: Path) -> Office:
    shutil.copytree(inst.settings.policy, folder)
    inst.settings = replace(inst.settings, policy=folder)
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, RunKey(head.run, b"k" * 32))
    world = World(inst.store, night, NOW)
    parcels = [
        collected(
            f"W{i}",
            at(2026, 11, 3, hour=8 + i % 9),
            receiver_phone=PHONES[i % 12],
            receiver_name="=张伟" if i % 12 == 3 else "张伟",
            district=DISTRICTS[i % 12 >= 9],
        )
        for i in range(40)
    ]
    wishes = [
        preference(at(2026, 11, 2), receiver_phone=p, marketing=1, time_window=2) for p in PHONES
    ]
    world.load(parcels, preferences=wishes)
    phones = {row["record"]["phone"]: row["subject_id"] for row in world.people()}
    return Office(inst, world, phones)
