"""What a request brings: everything of this person and nothing of anybody else, or the change."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pyrage
import pytest
from rights_desk import ANNA, BY, LATER, TWIN, Desk, held, opened
from sqlalchemy import text

from minimised import at, collected
from nights import NOW
from safehands.errors import AccessRefused
from safehands.rights.locate import locate
from safehands.vault.access import OFFICER, officer_ring
from safehands.vault.contacts import contacts

WHO = ("张伟", ANNA)


def test_an_answer_holds_every_record_of_that_person(desk: Desk) -> None:
    found = held(desk.whole("access"))
    assert found["person"]["phone"] == ANNA
    assert len(found["parcels"]) == 3
    (slip,) = found["waiting"]
    assert slip["waybill"] == "W3"
    assert [wish["marketing"] for wish in found["preferences"]] == [1]
    assert [use["action"] for use in found["uses"]] == ["reveal", "reveal"]
    assert [one["kind"] for one in found["requests"]] == ["access"]


@pytest.mark.parametrize("who", [("张伟", TWIN), ("王小明", LATER)])
def test_and_none_of_anothers(desk: Desk, who: tuple[str, str]) -> None:
    """A namesake, and the later holder of a number that was somebody else's."""
    done = desk.whole("access", who)
    found = held(done)
    assert (found["person"]["name"], found["person"]["phone"]) == who
    assert len(found["parcels"]) == 1
    assert found["waiting"] == []
    for name, phone in desk.people:
        if phone != who[1]:
            assert all(phone.encode() not in part for part in opened(done).values())
        if name != who[0]:
            assert all(name.encode() not in part for part in opened(done).values())


def test_the_earlier_holder_of_a_number_gets_only_the_earlier_parcels(desk: Desk) -> None:
    (name,) = {name for name, phone in desk.people if phone.endswith("0003") and name != "王小明"}
    earlier = next(who for who in desk.people if who[0] == name)
    found = held(desk.whole("access", earlier))
    assert [one["arrived_at"][:7] for one in found["parcels"]] == ["2026-01"]


def test_two_who_use_one_number_are_one_record_and_no_earlier_name_is_told(desk: Desk) -> None:
    """Parcels keep no name: the answer has what the number's record has, under its last name."""
    desk.world.load(
        [collected("W7", at(2026, 11, 20), receiver_phone=ANNA, receiver_name="李四光")]
    )
    done = desk.whole("access")
    assert held(done)["person"]["name"] == "李四光"
    assert len(held(done)["parcels"]) == 4
    for part in opened(done).values():
        assert "张伟".encode() not in part


def test_the_page_speaks_both_languages_and_sheets_run_nothing(desk: Desk) -> None:
    parts = opened(desk.whole("access"))
    page = parts["index.html"].decode()
    for words in ("您的个人信息", "Your personal information", "0755-0000", "W3"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")
    # Nobody has to read codes: times, yes and no, and what was done are said in words.
    assert "2026-11-03 12:00" in page
    for code in ("T12:00", ">False<", ">reveal<"):
        assert code not in page
    assert "查看" in page
    assert b"'=1+1" in parts["waiting.csv"]
    assert {"index.html", "data.json", "person.csv", "parcels.csv"} <= parts.keys()


def test_the_stock_tool_opens_an_answer(desk: Desk, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    done = desk.whole("access", recipient=str(identity.to_public()))
    assert done.passphrase == ""
    assert done.file is not None
    assert done.file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").write_text(str(identity), encoding="utf-8")
    tool = shutil.which("age")
    assert tool, "the tests need the tool age"
    command = [tool, "-d", "-i", tmp_path / "key", "-o", tmp_path / "a.zip", done.file]
    subprocess.run(command, check=True)
    assert (tmp_path / "a.zip").read_bytes()[:2] == b"PK"


def test_an_explanation_holds_nothing_of_the_person(desk: Desk) -> None:
    parts = opened(desk.whole("explain"))
    assert set(parts) == {"index.html", "data.json"}
    assert all(ANNA.encode() not in part for part in parts.values())
    assert "营销信息" in parts["index.html"].decode()


def test_a_second_try_does_nothing_again(desk: Desk) -> None:
    request = desk.register("access")
    desk.confirm(request)
    desk.grant(request)
    first = desk.carry_out(request)
    assert first.file is not None
    before = first.file.read_bytes()
    assert desk.carry_out(request).counts == {"already": 1}
    assert first.file.read_bytes() == before


def test_a_correction_stands_against_the_next_export(desk: Desk) -> None:
    assert desk.whole("correct", field_name="name", value="张玮").counts == {"corrected": 1}
    from safehands.rights.requests import find

    desk.world.load([collected("W1", NOW, receiver_phone=ANNA)])
    names = {row["record"]["phone"]: row["record"]["name"] for row in desk.world.people()}
    assert names[ANNA] == "张玮"
    assert find(desk.inst.store, "R-20261124-00000001").outcome == {"corrected": 1}


def test_a_corrected_number_is_what_others_get_from_now_on(desk: Desk) -> None:
    fresh = "13800000009"
    desk.whole("correct", field_name="phone", value=fresh)
    desk.world.load([collected("W2", NOW, receiver_phone=ANNA)])
    who, owner = desk.people[WHO], desk.world.owner()
    with desk.inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, desk.inst.store.provider, owner)
        assert contacts(connection, ring, [who])[who]["phone"] == fresh
    assert held(desk.whole("access"))["person"]["phone"] == fresh
    assert fresh in {row["record"]["phone"] for row in desk.world.people()}
    assert ANNA not in {row["record"]["phone"] for row in desk.world.people()}


def test_a_correction_without_a_value_stays_open(desk: Desk) -> None:
    with pytest.raises(AccessRefused) as problem:
        desk.whole("correct")
    assert problem.value.key == "rights.value_missing"
    assert desk.state("R-20261124-00000001").state == "granted"


def test_a_deletion_takes_everything_and_the_record_of_it_names_nobody(desk: Desk) -> None:
    who = desk.people[WHO]
    desk.whole("access")
    done = desk.whole("delete")
    assert done.counts["erased"] == 1
    assert who not in {row["subject_id"] for row in desk.world.people()}
    request = desk.state("R-20261124-00000002")
    assert (request.state, request.subject) == ("done", None)
    assert desk.state("R-20261124-00000001").subject is None
    assert desk.people["张伟", TWIN] in {row["subject_id"] for row in desk.world.people()}


@pytest.mark.parametrize("kind", ["restrict", "object"])
def test_a_restriction_hides_the_person(desk: Desk, kind: str) -> None:
    assert desk.whole(kind).counts == {"restricted": 1}
    visible = desk.world.rows("SELECT subject_id FROM subject")
    assert desk.people[WHO] not in {row["subject_id"] for row in visible}


def test_a_withdrawal_takes_what_rested_on_consent(desk: Desk) -> None:
    assert desk.whole("withdraw").counts == {"withdrawn": 1, "stopped": 1}
    wishes = desk.world.rows("SELECT marketing FROM preference ORDER BY marketing")
    assert [row["marketing"] for row in wishes] == [0, 1]


def test_the_ledger_has_every_step_and_nobody(desk: Desk) -> None:
    desk.whole("access")
    entries = [entry for entry in desk.ledger() if '"event":"request"' in entry]
    states = ("registered", "identified", "granted", "done")
    for entry, state in zip(entries, states, strict=True):
        assert f'"state":"{state}"' in entry
        assert ANNA not in entry
        assert str(desk.people[WHO]) not in entry


def places(desk: Desk, who: tuple[str, str] = WHO) -> dict[str, Any]:
    owner = desk.world.owner()
    return {one.name: one for one in locate(desk.inst, owner, desk.people[who], BY, NOW)}


def test_where_somebody_is(desk: Desk) -> None:
    desk.register("access")
    found = places(desk)
    assert {name: one.rows for name, one in found.items() if one.certain} == {
        "subject": 1,
        "parcel": 3,
        "custody": 1,
        "preference": 1,
        "subject_request": 1,
    }
    assert found["parcel"].until is not None
    assert not found["landing"].certain


def test_what_others_got_and_hand_overs_are_places_and_in_the_answer(desk: Desk) -> None:
    who, owner = desk.people[WHO], desk.world.owner().id
    give(desk, who, owner)
    found = places(desk)
    assert found["disclosure"].rows == 1
    assert str(found["disclosure"].until) == "2026-12-31"
    assert found["handover"].rows == 1
    assert "disclosure" not in places(desk, ("张伟", TWIN))
    told = held(desk.whole("access"))
    [given], [moved] = told["given"], told["handovers"]
    assert (given["recipient"], given["state"]) == ("某平台", "given")
    assert (moved["mode"], moved["class"]) == ("asset_deal", "silent")
    other = held(desk.whole("access", ("张伟", TWIN)))
    assert (other["given"], other["handovers"]) == ([], [])


def give(desk: Desk, who: Any, owner: int) -> None:
    """A disclosure and a hand-over with this person in them, as their register holds them."""
    facts = {"recipient": {"zh": "某平台", "en": "a platform"}, "destroy_by": "2026-12-31"}
    with desk.inst.store.admin().begin() as connection:
        number = connection.execute(
            text(
                "INSERT INTO disclosure (controller_id, agreement, agreement_digest, purpose,"
                " basis, business_date, made_at, by_whom, reason, abroad, people, rows,"
                " file_digest, facts)"
                " VALUES (:owner, 'x', 'd', 'operations', 2, '2026-11-20', :now, 'wang.li', '',"
                " false, 1, 1, 'f', CAST(:facts AS jsonb)) RETURNING id"
            ),
            {"owner": owner, "now": NOW, "facts": json.dumps(facts)},
        ).scalar_one()
        connection.execute(
            text(
                "INSERT INTO disclosure_subject (disclosure_id, controller_id, subject_id, state,"
                " changed_at) VALUES (:number, :owner, :who, 'given', :now)"
            ),
            {"number": number, "owner": owner, "who": who, "now": NOW},
        )
        values = {"id": UUID(int=7), "owner": owner, "who": who, "now": NOW}
        connection.execute(
            text(
                "INSERT INTO handover (handover_id, controller_id, mode, state, request, digest,"
                " opened_at, changed_at) VALUES (:id, :owner, 'asset_deal', 'noticed', '{}', 'd',"
                " :now, :now)"
            ),
            values,
        )
        connection.execute(
            text(
                "INSERT INTO handover_subject (handover_id, controller_id, subject_id, class)"
                " VALUES (:id, :owner, :who, 'silent')"
            ),
            values,
        )


def test_who_is_stored_only_is_found_too(desk: Desk) -> None:
    desk.world.restrict(desk.people[WHO])
    found = places(desk)
    assert found["restriction"].rows == 1
    assert found["parcel_held"].rows == 3
    assert "parcel" not in found


def test_nobody_is_nowhere(desk: Desk) -> None:
    who = desk.people[WHO]
    desk.whole("delete")
    with pytest.raises(AccessRefused) as problem:
        locate(desk.inst, desk.world.owner(), who, BY, NOW)
    assert problem.value.key == "vault.nobody"
