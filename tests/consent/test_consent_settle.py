"""What rests on a consent that ended goes with the next run; a refusal outlasts its person."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from consent_office import PHONES, SAID, Office

from minimised import at, collected, preference
from nights import BUSINESS_DATE, NOW
from safehands import consent, erasure, pipeline
from safehands.installation import Installation
from safehands.notices import versions
from safehands.pipeline import Head
from safehands.policy import load_policy
from safehands.purge import purge
from safehands.vault.access import OFFICER, officer_ring

FIRST, SECOND, THIRD = PHONES


def settled(office: Office, inst: Installation | None = None, day: date = BUSINESS_DATE) -> int:
    return consent.settle(inst or office.inst, day, "night", NOW)


def changed_policy(office: Office, folder: Path, **methods: Any) -> Installation:
    """The same installation under a policy that handles marketing in another way."""
    source = office.inst.settings.policy
    for path in source.rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    consents = yaml.safe_load((source / "consent.yaml").read_text(encoding="utf-8"))
    consents["purposes"]["marketing"] |= methods
    (folder / "consent.yaml").write_text(yaml.safe_dump(consents, allow_unicode=True), "utf-8")
    settings = replace(office.inst.settings, policy=folder)
    return replace(office.inst, settings=settings, policy=load_policy(folder, settings.mappings))


def test_a_consent_to_other_methods_ends_with_the_next_run(office: Office, tmp_path: Path) -> None:
    office.record(office.answer("granted"), office.answer("granted", SECOND))
    assert settled(office) == 0
    assert office.wishes() == [(1, 2), (1, 2), (1, 2)]
    inst = changed_policy(office, tmp_path / "policy", methods=["store", "message", "provide"])
    assert settled(office, inst) == 2
    # The third never answered: what a station says of them is no consent that could end.
    assert office.wishes() == [(0, 0), (0, 0), (1, 2)]
    before = len(office.ledger())
    assert settled(office, inst) == 0
    assert len(office.ledger()) == before


def test_a_consent_past_its_time_ends_in_a_night_without_exports(office: Office) -> None:
    last = BUSINESS_DATE + timedelta(days=1)
    office.record(office.answer("granted", valid_until=last))
    head = Head.of(last + timedelta(days=1))
    assert office.wishes()[0] == (1, 2)
    inst = replace(office.inst, clock=lambda: NOW + timedelta(days=1))
    pipeline.purge(inst, head, confirmed=head.business_date)
    assert office.wishes() == [(0, 0), (1, 2), (1, 2)]


def erase(office: Office, phone: str) -> None:
    owner, who = office.world.owner(), office.people[phone]
    erasure.register(office.inst.store, owner, "E-1", [who], "withdrawn", NOW)
    erasure.erase_due(
        office.inst.store, owner, office.inst.policy, "night", BUSINESS_DATE, NOW, "E-1"
    )


def back(office: Office, phone: str) -> Any:
    """The number comes back with a later parcel and a yes of the station; return who it is now."""
    later = NOW + timedelta(days=2)
    world = office.world.on(BUSINESS_DATE + timedelta(days=3))
    world.load(
        [collected("W9", later, receiver_phone=phone, receiver_name="张伟")],
        preferences=[preference(later, receiver_phone=phone, marketing=1, time_window=2)],
    )
    [who] = [row["subject_id"] for row in world.people() if row["record"]["phone"] == phone]
    assert who != office.people[phone]
    return who


def askable(office: Office, who: Any, purpose: str, campaign: str, day: date) -> bool:
    owner = office.world.owner()
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, office.inst.store.provider, owner)
        return bool(consent.may_ask(connection, ring, office.book, [who], purpose, campaign, day))


@pytest.mark.parametrize("kind", ["refused", "withdrawn"])
def test_who_refused_and_was_erased_is_not_asked_again(office: Office, kind: str) -> None:
    office.record(office.answer(kind, campaign="autumn"))
    erase(office, FIRST)
    who = back(office, FIRST)
    day = BUSINESS_DATE + timedelta(days=3)
    later = SAID.date() + timedelta(days=office.book.pause_days)
    assert not askable(office, who, "marketing", "winter", day)
    assert askable(office, who, "marketing", "winter", later)
    assert not askable(office, who, "marketing", "autumn", later)
    assert askable(office, who, "service", "winter", day)
    # What the station exports for them does not count either; their own answer does.
    assert settled(office, day=day) == 1
    assert settled(office, day=day) == 0
    owner = office.world.owner()
    fresh = replace(office.answer("granted", at=NOW), subject=who)
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        notices = versions(connection, owner.id)
        consent.record(
            connection, office.inst.policy, office.book, owner, notices, [fresh], "wang.li", NOW
        )
    office.world.load(
        [],
        preferences=[
            preference(NOW + timedelta(days=4), receiver_phone=FIRST, marketing=1, time_window=2)
        ],
    )
    assert settled(office, day=day) == 0


def test_others_and_those_who_agreed_are_asked(office: Office) -> None:
    office.record(
        office.answer("refused", campaign="autumn"),
        office.answer("granted", at=SAID + timedelta(hours=1)),
        office.answer("refused", THIRD),
    )
    erase(office, FIRST)
    day = BUSINESS_DATE + timedelta(days=3)
    # The last answer was a yes: nothing is kept of it.
    assert office.world.rows("SELECT * FROM suppression") == []
    assert askable(office, back(office, FIRST), "marketing", "winter", day)
    assert askable(office, office.people[SECOND], "marketing", "winter", day)


def test_a_refusal_outlasts_a_person_whose_time_is_over(office: Office) -> None:
    office.record(office.answer("refused"))
    day = at(2028, 1, 5).date()
    later = office.world.on(day)
    purge(later.night, later.store, later.now, confirmed=day)
    assert office.world.rows("SELECT purpose FROM suppression") == [{"purpose": "marketing"}]
    assert office.people[FIRST] not in {row["subject_id"] for row in office.world.people()}


def test_what_is_kept_of_a_refusal_names_nobody(office: Office) -> None:
    office.record(office.answer("refused", campaign="autumn"))
    erase(office, FIRST)
    [row] = office.world.rows("SELECT * FROM suppression")
    assert row["refused_on"] == SAID.date()
    ring = office.world.ring()
    assert row["token"].bytes not in {
        ring.tombstones("mobile", [FIRST]).tolist()[0],
        ring.lookups("mobile", [FIRST]).tolist()[0],
    }
    assert FIRST not in str(row)
