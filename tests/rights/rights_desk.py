"""A desk that takes requests: one owner, people who share names and numbers, a notice in force."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pyrage

from minimised import World, at, collected, declared, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.notices import compose, load_consent_book, load_notice_book, publish
from safehands.pipeline import Head
from safehands.rights.book import RightsBook, load_rights_book
from safehands.rights.carry import Done, Given, carry_out
from safehands.rights.decide import decide
from safehands.rights.identity import confirm
from safehands.rights.requests import Request, find, register

ANNA, TWIN, LATER = "13800000001", "13800000002", "13800000003"
BY = "wang.li"


@dataclass
class Desk:
    """An installation and the steps of a request; ``people``: name and number → subject."""

    inst: Installation
    world: World
    book: RightsBook
    people: dict[tuple[str, str], UUID]
    folder: Path
    drawn: int = 0

    def register(self, kind: str, who: tuple[str, str] = ("张伟", ANNA), **more: Any) -> str:
        self.drawn += 1
        number = self.drawn.to_bytes(4, "big")
        subject = self.people[who]
        request, _ = register(
            self.inst.store, self.book, "A", kind, subject, BY, NOW, number, **more
        )
        return request

    def confirm(self, request: str) -> None:
        confirm(self.inst, self.book, request, "in_person", "", BY)

    def grant(self, request: str, **more: Any) -> None:
        decide(self.inst, self.book, request, BY, NOW, grant=True, **more)

    def carry_out(self, request: str, **more: Any) -> Done:
        return carry_out(
            self.inst, request, BY, NOW, Given(b"0123456789abcdef", self.folder, **more)
        )

    def whole(self, kind: str, who: tuple[str, str] = ("张伟", ANNA), **more: Any) -> Done:
        """Register, confirm, grant and carry out."""
        purpose = {"purpose": "marketing"} if kind == "withdraw" else {}
        request = self.register(kind, who, **purpose)
        self.confirm(request)
        four = tuple(self.book.conditions) if kind == "copy" else ()
        self.grant(request, conditions=four)
        return self.carry_out(request, **more)

    def state(self, request: str) -> Request:
        return find(self.inst.store, request)

    def ledger(self) -> list[str]:
        journal.sequence(self.inst.store, NOW)
        with self.inst.store.begin() as connection:
            return list(journal.entries(connection))


def opened(done: Done) -> dict[str, bytes]:
    """Return the members of an answer by name, opened with its passphrase."""
    assert done.file is not None
    packed = pyrage.passphrase.decrypt(done.file.read_bytes(), done.passphrase)
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def held(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(opened(done)["data.json"])["held"]
    return found


def open_desk(inst: Installation, folder: Path) -> Desk:
    """Two of one name, and a number that was given to somebody else a year later."""
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, RunKey(head.run, b"k" * 32))
    world = World(inst.store, night, NOW)
    first = at(2026, 11, 3)
    old = at(2026, 1, 5)
    world.load([collected("W9", old, receiver_phone=LATER, receiver_name="李芳")])
    world.load(
        [
            collected("W1", first, receiver_phone=ANNA),
            collected("W2", first + timedelta(days=4), receiver_phone=ANNA),
            parcel("W3", first + timedelta(days=9), receiver_phone=ANNA, pickup_code="=1+1"),
            collected("W4", first, receiver_phone=TWIN),
            collected("W5", first, receiver_phone=LATER, receiver_name="王小明"),
        ],
        preferences=[
            preference(first, receiver_phone=ANNA, marketing=1, time_window=2),
            preference(first, receiver_phone=TWIN, marketing=1, time_window=2),
        ],
    )
    people = {
        (row["record"]["name"], row["record"]["phone"]): row["subject_id"] for row in world.people()
    }
    controller = declared().controllers[0].model_copy(update={"contact": "0755-0000"})
    folder_of = inst.settings.policy
    consent = load_consent_book(folder_of, inst.policy)
    notice = load_notice_book(folder_of, inst.policy)
    document = compose(inst.policy, consent, notice, controller)
    publish(inst.store, document, at(2026, 1, 1).date(), BY, NOW)
    return Desk(inst, world, load_rights_book(folder_of), people, folder)
