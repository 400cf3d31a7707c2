"""Somebody who is erased is gone, stays gone, and takes nobody along."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from erasure_world import Scene, after
from sqlalchemy import text

from minimised import PHONE, at, collected, customer, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands import erasure, journal
from safehands.certificates import certificate
from safehands.errors import BackupBroken, KeyProblem, PolicyError
from safehands.ledger import verify_document
from safehands.masking import mask_name
from safehands.store.digest import store_digest

OTHER = "13900000002"
TODAY = BUSINESS_DATE
NEXT = TODAY + timedelta(days=1)
CONTACT = {"receiver_address": "科技路1号"}
LOADED = ("subject", "parcel", "custody", "preference", "tombstone")


@pytest.fixture
def full(scene: Scene) -> Scene:
    """Two people with parcels, slips and preferences at owner A, and one of them at B as well."""
    world = scene.world
    for phone, number in ((PHONE, "1"), (OTHER, "2")):
        world.load(
            [
                parcel(f"W{number}", at(2026, 11, 20), receiver_phone=phone, **CONTACT),
                collected(f"C{number}", at(2026, 11, 1), receiver_phone=phone),
            ],
            preferences=[preference(at(2026, 11, 2), receiver_phone=phone)],
        )
    world.load([parcel("B1", at(2026, 11, 20))], stations=["B1"])
    return scene


def counted(scene: Scene) -> dict[str, int]:
    return {name: number for name, number in scene.world.census().items() if name in LOADED}


# What an erasure takes.


def test_everything_that_hangs_on_a_person_goes_and_nothing_else(full: Scene) -> None:
    before = counted(full)
    assert full.ask(PHONE)
    assert counted(full) == before
    assert full.apply().counts["erased"] == 1
    assert counted(full) == {
        "subject": before["subject"] - 1,
        "parcel": before["parcel"] - 2,
        "custody": before["custody"] - 1,
        "preference": before["preference"] - 1,
        "tombstone": 1,
    }
    assert [p["record"]["phone"] for p in full.world.people()] == [OTHER]
    assert [p["record"]["phone"] for p in full.world.people("B")] == [PHONE]


def test_a_rehearsal_counts_what_the_erasure_takes_and_takes_nothing(full: Scene) -> None:
    owner = full.world.owner()
    weighed = erasure.weigh(full.store, owner, [full.subject(PHONE)], TODAY)
    before = counted(full)
    assert counted(full) == before
    full.ask(PHONE)
    full.apply()
    taken = full.request().counts
    assert {name: number for name, number in weighed.items() if number} == taken
    assert taken == {"subject": 1, "parcel": 2, "waiting": 1, "custody": 1, "preference": 1}


def test_nobody_is_registered_for_an_unknown_number_or_something_else(full: Scene) -> None:
    for phone in ("13700000009", "", "138 0000 000", "98765"):
        with pytest.raises(PolicyError) as caught:
            full.ask(phone)
        assert phone == "" or phone not in str(caught.value)
    assert erasure.list_requests(full.store, [full.world.owner()]) == []


@pytest.mark.parametrize("spelling", ["+8613800000001", "138-0000-0001", " 138 0000 0001\n"])
def test_a_number_may_be_written_as_people_write_it(full: Scene, spelling: str) -> None:
    assert full.ask(spelling)


def test_a_request_is_registered_once(full: Scene) -> None:
    assert full.ask(PHONE)
    assert not full.ask(PHONE)
    full.apply()
    with pytest.raises(PolicyError):
        full.ask(PHONE, "R-2")


def test_a_request_says_nothing_of_the_person_in_clear(full: Scene) -> None:
    subject = full.subject(PHONE)
    (token,) = full.world.ring().tombstones("mobile", [PHONE]).tolist()
    full.ask(PHONE)
    (row,) = full.world.rows("SELECT * FROM erasure_subject")
    assert subject.bytes not in row["wrapped"]
    assert token not in row["wrapped"]
    full.apply()
    assert full.world.rows("SELECT * FROM erasure_subject") == []


def test_an_earlier_holder_of_a_number_is_another_person(scene: Scene) -> None:
    world = scene.world
    world.load([collected("W1", at(2024, 1, 1), receiver_name="李四")])
    world.load([collected("W2", at(2026, 11, 1), receiver_name="王五")])
    scene.ask(PHONE)
    scene.apply()
    assert [p["record"]["name"] for p in world.people()] == [mask_name("李四")]
    scene.ask(PHONE, "R-2", every_holder=True)
    scene.on(NEXT).apply()
    assert world.people() == []


def test_a_table_that_nobody_decided_about_stops_every_erasure(full: Scene) -> None:
    full.admin("CREATE TABLE diary (subject_id uuid)")
    full.ask(PHONE)
    with pytest.raises(PolicyError):
        full.apply()
    assert full.request().state == "requested"


# Holds and what law keeps.


def hold(scene: Scene, phone: str) -> None:
    scene.admin(
        "INSERT INTO legal_hold (controller_id, scope, subject_id, reason, owner, placed_at, until)"
        " VALUES (:c, 'subject', :s, 'dispute', 'officer', :at, '2027-12-31')",
        c=scene.world.owner().id,
        s=scene.subject(phone),
        at=NOW,
    )


def test_who_is_under_a_hold_is_stored_only_and_erased_when_it_ends(full: Scene) -> None:
    hold(full, PHONE)
    full.ask(PHONE)
    assert full.apply().counts == {"held": 1}
    assert full.request().state == "held"
    restricted = {p["record"]["phone"]: p["restricted"] for p in full.world.people()}
    assert restricted == {PHONE: True, OTHER: False}
    assert full.on(NEXT).apply().counts == {"held": 1}
    full.admin("UPDATE legal_hold SET ended_at = :at, ended_by = 'officer'", at=NOW)
    assert full.on(NEXT + timedelta(days=1)).apply().counts["erased"] == 1
    assert full.request().state == "erased"
    assert counted(full)["subject"] == 2


def test_a_hold_of_somebody_else_holds_nobody_up(full: Scene) -> None:
    hold(full, OTHER)
    full.ask(PHONE)
    full.ask(OTHER, "R-2")
    assert full.apply().counts["erased"] == 1
    assert (full.request().state, full.request("R-2").state) == ("erased", "held")


def test_a_parcel_within_its_limitation_period_loses_its_person_and_stays(full: Scene) -> None:
    full.admin(
        "WITH moved AS (DELETE FROM parcel WHERE subject_id = :s RETURNING *)"
        " INSERT INTO parcel_held SELECT *, 'limitation', :at,"
        " CASE WHEN collected_at IS NULL THEN date '2029-11-20' ELSE date '2026-11-22' END"
        " FROM moved",
        s=full.subject(PHONE),
        at=NOW,
    )
    full.ask(PHONE)
    full.apply()
    counts = full.request().counts
    assert (counts["cut"], counts["parcel_held"]) == (1, 1)
    with full.store.begin("safehands_backup") as connection:
        rows = connection.execute(text("SELECT subject_id FROM parcel_held")).scalars().all()
    assert rows == [None]


def test_a_lost_parcel_within_a_claims_time_is_stored_without_its_person(scene: Scene) -> None:
    """LAW: claims about lost and damaged parcels run three years (民法典 188)."""
    scene.world.load([parcel("W1", at(2026, 11, 1), status=4), collected("W2", at(2026, 11, 1))])
    owner, subject = scene.world.owner(), scene.subject(PHONE)
    weighed = erasure.weigh(scene.store, owner, [subject], TODAY)
    scene.ask(PHONE)
    scene.apply()
    assert scene.request().counts == {"subject": 1, "parcel": 1, "cut": 1}
    assert {name: n for name, n in weighed.items() if n} == scene.request().counts
    with scene.store.begin("safehands_backup") as connection:
        query = text("SELECT subject_id, why, until, held_at FROM parcel_held")
        (row,) = connection.execute(query).all()
    assert tuple(row) == (None, "limitation", TODAY + timedelta(days=1096), NOW)
    assert scene.world.parcels() == []
    assert scene.world.load([parcel("W1", at(2026, 11, 1), status=4)])["new"] == 0


# The epoch.


def test_a_night_with_erasures_opens_one_epoch_however_often_it_runs(full: Scene) -> None:
    lookups = {p["lookup"] for p in full.world.people()}
    salts = {p["wrapped_salt"] for p in full.world.people()}
    full.ask(PHONE)
    assert full.apply().counts == {"erased": 1, "epochs_opened": 1, "people_rewrapped": 1}
    people = full.world.people()
    assert {p["epoch"] for p in people} == {2}
    assert not {p["lookup"] for p in people} & lookups
    assert not {p["wrapped_salt"] for p in people} & salts
    assert full.world.people("B")[0]["epoch"] == 1
    assert full.apply().already
    full.ask(OTHER, "R-2")
    assert full.apply().counts == {"erased": 1}
    assert full.epochs() == ["epoch/A/1", "epoch/A/2"]


def test_a_night_without_erasures_opens_none(full: Scene) -> None:
    entries = full.world.census()["ledger_entry"]
    assert full.apply().already
    assert full.prove().already
    assert full.epochs() == ["epoch/A/1"]
    assert full.world.census()["ledger_entry"] == entries


def test_whose_number_is_masked_by_now_is_found_in_the_new_epoch(scene: Scene) -> None:
    world = scene.world
    world.load([collected("W1", at(2026, 9, 1))])
    world.load([parcel("W2", at(2026, 11, 20), receiver_phone=OTHER)])
    assert world.people()[0]["detail"] + world.people()[1]["detail"] == 1
    subject = scene.subject(PHONE)
    scene.ask(OTHER)
    scene.finish()
    assert scene.subject(PHONE) == subject
    assert world.load([parcel("W3", at(2026, 11, 21))])["new_people"] == 0


def test_no_second_epoch_before_the_key_before_is_gone(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    full.ask(OTHER, "R-2")
    tomorrow = full.on(NEXT)
    assert tomorrow.apply().counts == {"erased": 1}
    tomorrow.backup()
    tomorrow.prove()
    assert full.request("R-2").state == "erased"
    later = full.on(NEXT + timedelta(days=1))
    assert later.apply().counts["epochs_opened"] == 1
    later.backup()
    assert later.prove().counts["erased_final"] == 1
    assert full.epochs() == ["epoch/A/3"]


# The proof.


def test_the_old_key_goes_when_the_backup_has_come_back_without_it(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    full.backup()
    digest = store_digest(full.store)
    assert full.epochs() == ["epoch/A/1", "epoch/A/2"]
    done = full.prove()
    assert done.counts == {
        "epochs_closed": 1,
        "keys_destroyed": 1,
        "erased_final": 1,
        "certificates": 1,
    }
    assert full.epochs() == ["epoch/A/2"]
    provider = full.store.provider
    places = [provider.first, full.night.settings.keys_second]
    assert [(place / "epoch/A/1.key").exists() for place in places] == [False, False]
    assert [(place / "epoch/A/2.key").exists() for place in places] == [True, True]
    assert store_digest(full.store) == digest
    assert full.prove().already


def test_without_a_backup_of_the_new_epoch_nothing_is_destroyed(full: Scene) -> None:
    full.backup()
    full.ask(PHONE)
    full.apply()
    with pytest.raises((KeyProblem, BackupBroken)):
        full.prove()
    assert full.epochs() == ["epoch/A/1", "epoch/A/2"]
    assert full.request().state == "erased"
    full.backup()
    assert full.prove().counts["erased_final"] == 1


def test_what_came_after_the_backup_holds_the_proof_up(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    full.backup()
    full.world.load([parcel("W9", at(2026, 11, 22), receiver_phone="13700000003")])
    with pytest.raises(BackupBroken):
        full.prove()
    assert full.epochs() == ["epoch/A/1", "epoch/A/2"]
    full.backup()
    assert full.prove().counts["erased_final"] == 1


def test_without_the_identity_nothing_is_destroyed(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    full.backup()
    identity = full.store.provider.first / "backup-identity.key"
    identity.rename(identity.with_suffix(".away"))
    with pytest.raises(KeyProblem):
        full.prove()
    assert full.epochs() == ["epoch/A/1", "epoch/A/2"]
    identity.with_suffix(".away").rename(identity)
    assert full.prove().counts["erased_final"] == 1


def test_a_place_that_lost_the_new_key_is_given_it_back_first(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    full.backup()
    lost = full.store.provider.first / "epoch/A/2.key"
    kept = lost.read_bytes()
    lost.unlink()
    full.prove()
    assert lost.read_bytes() == kept


def test_two_owners_close_their_epochs_in_one_proof(full: Scene) -> None:
    full.ask(PHONE)
    full.ask(PHONE, "R-2", "B")
    assert full.finish().counts["epochs_closed"] == 2
    assert (full.epochs("A"), full.epochs("B")) == (["epoch/A/2"], ["epoch/B/2"])
    assert counted(full)["subject"] == 1


# The certificate.


def test_the_certificate_is_signed_proved_and_names_what_it_does_not_reach(full: Scene) -> None:
    full.ask(PHONE)
    full.finish()
    (path,) = (full.night.settings.reports / "certificates").iterdir()
    assert path.name == "erasure-R-1.json"
    assert path.stat().st_mode & 0o077 == 0
    found = verify_document(erasure.issue(full.store, full.request()), full.verifier)
    body = found.body
    assert found.kind == "erasure"
    assert body["request"] == "R-1"
    assert body["deleted"] == {"subject": 1, "parcel": 2, "custody": 1, "preference": 1}
    assert body["epoch"]["number"] == 2
    assert body["epoch"]["closed"] != body["epoch"]["opened"]
    assert body["proof"]["generation_digest"]
    named = {item["what"]: item.get("until") for item in body["not_reached"]}
    assert {"station_software", "downloads", "paper", "key_copies", "tombstone"} <= named.keys()
    assert named["waybill_tokens"] == "2026-12-28"
    assert "quarantine" not in named


def test_the_certificate_names_day_keys_with_the_date_they_end(full: Scene) -> None:
    row = {"_sheet": "", "_row": 2, "dataset": "parcels", "rule": "r", "column": "", "payload": "x"}
    full.world.load(quarantine=[row])
    full.ask(PHONE)
    full.finish()
    (item,) = [i for i in erasure.reach_of(full.request()) if i["what"] == "quarantine"]
    assert item == {"what": "quarantine", "keys": 1, "until": "2026-12-23"}


def test_a_certificate_can_be_issued_again_years_later(full: Scene) -> None:
    full.ask(PHONE)
    full.finish()
    early = certificate(full.store, "erasure", full.request().certificate or {})
    full.on(date(2029, 1, 1)).backup()
    journal.sequence(full.store, after(date(2029, 1, 1)))
    late = certificate(full.store, "erasure", full.request().certificate or {})
    assert early["checkpoint"] != late["checkpoint"]
    assert verify_document(late, full.verifier).body == verify_document(early, full.verifier).body


def test_no_certificate_before_it_is_final(full: Scene) -> None:
    full.ask(PHONE)
    full.apply()
    with pytest.raises(PolicyError):
        erasure.issue(full.store, full.request())


# Coming back.


def test_an_export_that_still_has_the_person_brings_nobody_back(full: Scene) -> None:
    full.ask(PHONE)
    full.finish()
    tomorrow = full.on(NEXT).world
    before = counted(full)
    rows = [
        parcel("W1", at(2026, 11, 20), **CONTACT),
        collected("C1", at(2026, 11, 1)),
        parcel("W2", at(2026, 11, 20), receiver_phone=OTHER, **CONTACT),
    ]
    counts = tomorrow.load(
        rows,
        customers=[customer(None), customer(after(NEXT, 1))],
        preferences=[preference(None), preference(after(NEXT, 1))],
    )
    assert counts["erased_before"] == 6
    assert counts["in"] == 7
    assert counts["new_people"] == counts["new"] == 0
    assert counted(full) == before
    assert tomorrow.rows("SELECT * FROM quarantine") == []


def test_a_parcel_that_arrived_later_opens_a_new_subject(full: Scene) -> None:
    gone = full.subject(PHONE)
    full.ask(PHONE)
    full.finish()
    tomorrow = full.on(NEXT).world
    rows = [parcel("W1", at(2026, 11, 20)), parcel("W8", after(NEXT, 1))]
    counts = tomorrow.load(rows, preferences=[preference(after(NEXT, 1))])
    assert (counts["erased_before"], counts["new_people"], counts["preferences"]) == (1, 1, 1)
    fresh = full.subject(PHONE)
    assert fresh != gone
    assert [str(row["subject_id"]) for row in tomorrow.parcels()].count(str(fresh)) == 1
    # From now on the lists of the station count again.
    assert tomorrow.load(preferences=[preference(after(NEXT, 1))])["erased_before"] == 0


def test_who_came_back_can_be_erased_again(full: Scene) -> None:
    full.ask(PHONE)
    full.finish()
    full.on(NEXT).world.load([parcel("W8", after(NEXT, 1))])
    later = full.on(NEXT + timedelta(days=1))
    later.ask(PHONE, "R-2")
    assert later.finish().counts["erased_final"] == 1
    assert later.world.load([parcel("W8", after(NEXT, 1))])["erased_before"] == 1
    assert [p["record"]["phone"] for p in later.world.people()] == [OTHER]
