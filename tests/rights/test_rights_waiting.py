"""Rows in quarantine belong to somebody too: found, handed out and erased with their person."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from rights_desk import ANNA, BY, LATER, TWIN, Desk, held

from nights import BUSINESS_DATE, NOW
from safehands.erasure import destroy_station_days
from safehands.errors import AccessRefused, PolicyError
from safehands.rights.locate import Place, locate, locate_number
from safehands.rights.tidy import remove_answers

WHO = ("张伟", ANNA)
ROWS = (
    ("phone_format", {"receiver_phone": ANNA, "receiver_name": "张伟", "shelf": "A-7"}),
    ("time_order", {"note": f"电话 {ANNA[:3]}-{ANNA[3:7]}-{ANNA[7:]} 本人取"}),
    ("time_order", {"receiver_phone": ANNA, "receiver_name": "李四光"}),
    ("minor_without_guardian", {"receiver_phone": ANNA, "receiver_name": "张伟"}),
    ("time_order", {"receiver_phone": TWIN, "receiver_name": "张伟"}),
    ("phone_masked", {"receiver_phone": "138****0001", "receiver_name": "张伟"}),
)


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk with rows that wait: four with Anna's number, one with a namesake's, one with none."""
    rows = [
        {
            "_file": 0,
            "_sheet": "",
            "_row": number,
            "dataset": "parcels",
            "rule": rule,
            "column": "x",
            "payload": json.dumps(cells, ensure_ascii=False),
        }
        for number, (rule, cells) in enumerate(ROWS, start=2)
    ]
    desk.world.load(quarantine=rows)
    return desk


def by_name(places: list[Place]) -> dict[str, Place]:
    return {one.name: one for one in places}


def located(desk: Desk, who: tuple[str, str] = WHO) -> dict[str, Place]:
    owner = desk.world.owner()
    return by_name(locate(desk.inst, owner, desk.people[who], BY, NOW))


def waiting(desk: Desk) -> int:
    return len(desk.world.rows("SELECT id FROM quarantine"))


def test_rows_that_show_the_number_are_opened_and_counted(full: Desk) -> None:
    found = located(full)
    days = full.inst.policy.keep_days("quarantine")
    assert (found["quarantine"].rows, found["quarantine"].certain) == (3, True)
    assert found["quarantine"].until == BUSINESS_DATE + timedelta(days=days)
    young = found["quarantined_minor"]
    assert (young.rows, young.until) == (1, BUSINESS_DATE + timedelta(days=15))
    # One row shows no whole number: it may be anybody's.
    silent = found["quarantine_silent"]
    assert (silent.rows, silent.certain) == (1, False)
    assert located(full, ("张伟", TWIN))["quarantine"].rows == 1
    entry = next(one for one in reversed(full.ledger()) if "rows_opened" in one)
    assert '"rows_opened":6' in entry
    assert ANNA not in entry


def test_a_key_that_is_gone_leaves_nothing_to_be_found(full: Desk) -> None:
    destroy_station_days(full.inst.store, full.inst.settings.archive, "A1", "end", NOW)
    assert not located(full).keys() & {"quarantine", "quarantined_minor", "quarantine_silent"}


def test_an_answer_holds_the_rows_of_that_person_alone(full: Desk) -> None:
    rows = [row["row"] for row in held(full.whole("access"))["quarantine"]]
    assert len(rows) == 3
    assert any("A-7" in row for row in rows)
    # The same number under another name may be somebody else's.
    assert not any("李四光" in row for row in rows)
    assert not any(TWIN in row for row in rows)
    twin = held(full.whole("access", ("张伟", TWIN)))["quarantine"]
    assert [ANNA in row["row"] for row in twin] == [False]
    assert held(full.whole("access", ("王小明", LATER)))["quarantine"] == []


def test_a_deletion_takes_the_rows_of_that_person_alone(full: Desk) -> None:
    assert full.whole("delete").counts["quarantine"] == 3
    assert waiting(full) == len(ROWS) - 3
    assert located(full, ("张伟", TWIN))["quarantine"].rows == 1


def test_a_number_of_somebody_who_was_erased_leads_to_what_is_left(full: Desk) -> None:
    owner = full.world.owner()
    places, holders = locate_number(full.inst, owner, f"+86 {ANNA}", BY, NOW)
    assert holders == 1
    assert by_name(places).keys() == located(full).keys()
    full.whole("withdraw")
    full.whole("delete")
    places, holders = locate_number(full.inst, owner, ANNA, BY, NOW)
    found = by_name(places)
    assert holders == 0
    assert found["tombstone"].first == NOW.date()
    assert found["suppression"].rows == 1
    # Under another name, so it was not erased with the person.
    assert found["quarantine"].rows == 1
    assert "subject" not in found


def test_a_re_issued_number_leads_to_its_present_holder(desk: Desk) -> None:
    owner = desk.world.owner()
    places, holders = locate_number(desk.inst, owner, LATER, BY, NOW)
    assert holders == 2
    assert by_name(places)["parcel"].rows == 1


@pytest.mark.parametrize(
    ("phone", "error"), [("13899999999", AccessRefused), ("1380000", PolicyError)]
)
def test_a_number_that_leads_nowhere(full: Desk, phone: str, error: Any) -> None:
    with pytest.raises(error):
        locate_number(full.inst, full.world.owner(), phone, BY, NOW)


def test_answers_go_after_their_days(desk: Desk) -> None:
    folder = desk.inst.settings.home / "answers"
    desk.folder = folder
    done = desk.whole("access")
    assert done.file is not None
    keep = timedelta(days=desk.book.answer_days)
    place = located(desk)["answer"]
    assert (place.rows, place.until) == (1, NOW.date() + keep)
    assert remove_answers(desk.inst, NOW + keep) == 0
    assert remove_answers(desk.inst, NOW + keep + timedelta(seconds=1)) == 1
    assert not done.file.exists()
    assert "answer" not in located(desk)
