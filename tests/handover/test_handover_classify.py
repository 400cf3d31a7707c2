"""Everybody has one class, and what must not move is decided before what may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from deals import PROOF, Deal
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands.errors import HandoverRefused, PolicyError
from safehands.handover.classify import classify, counts, preview, reconciled
from safehands.handover.opening import Asked, ask, asked_of, open_handover
from safehands.handover.state import load
from safehands.handover.transferpolicy import check_known, load_transfer_policy


def classes(deal: Deal, asked: Asked, **changes: Any) -> dict[str, str]:
    rules = load_transfer_policy(deal.inst.settings.policy)
    scope = deal.scope(asked, **changes)
    with deal.inst.store.begin(controller=asked.seller.id, storage=True) as connection:
        before = preview(connection, scope, deal.inst.policy, rules)
        found = classify(connection, scope, deal.inst.policy, rules)
        assert before == found
        assert classify(connection, scope, deal.inst.policy, rules) == found
        rows = connection.execute(
            text("SELECT subject_id, class FROM handover_subject WHERE handover_id = :id"),
            {"id": asked.id},
        ).all()
        per_table = counts(connection, scope)
        held = {
            "subject": len(rows),
            **{
                table: connection.execute(text(query), {"s": list(scope.stations)}).scalar_one()
                for table, query in HELD.items()
            },
        }
    assert (
        reconciled(
            per_table,
            {**held, **{t: sum(per_table[t].values()) for t in ("preference", "parcel_held")}},
        )
        == []
    )
    assert {name: n for name, n in found.items() if n} == {
        name: n for name, n in per_table["subject"].items() if n
    }
    names = {who: name for name, who in deal.people.items()}
    return {names[who]: kind for who, kind in rows}


HELD = {
    "parcel": "SELECT count(*) FROM parcel WHERE station_id = ANY (:s)",
    "custody": (
        "SELECT count(*) FROM custody c JOIN parcel p USING (controller_id, waybill)"
        " WHERE p.station_id = ANY (:s)"
    ),
}

EVERYBODY = {"yes", "no", "silent", "both", "dormant", "waiting", "held", "stored"}


def test_an_asset_deal_moves_nobody_who_did_not_say_yes(deal: Deal) -> None:
    asked = deal.open()
    before = classes(deal, asked)
    assert set(before) == EVERYBODY
    assert "transferred" not in before.values()
    deal.answer(asked, yes="granted", no="refused", both="granted")
    found = classes(deal, asked)
    assert found == {
        "yes": "transferred",
        "both": "transferred",
        "no": "refused",
        "silent": "silent",
        "waiting": "silent",
        "dormant": "dormant",
        "held": "kept_by_law",
        "stored": "restricted",
    }
    deal.answer(asked, yes="withdrawn")
    assert classes(deal, asked)["yes"] == "refused"


def test_who_is_served_at_a_station_that_stays_stays_unless_they_say_yes(deal: Deal) -> None:
    assert classes(deal, deal.open())["both"] == "served_elsewhere"


def test_dormant_and_expired_people_do_not_move_even_with_a_yes(deal: Deal) -> None:
    asked = deal.open()
    deal.answer(asked, dormant="granted", waiting="granted")
    late = BUSINESS_DATE + timedelta(days=330)
    found = classes(deal, asked, day=late)
    assert found["dormant"] in ("expired", "dormant")
    assert found["waiting"] == "transferred"


def test_a_child_moves_with_a_guardians_yes_alone(deal: Deal) -> None:
    asked = deal.open()
    # A guardian answered for them once: so they are known as a child.
    deal.answer(asked, within="last-year", guardian="form G1", yes="granted")
    assert classes(deal, asked)["yes"] == "minors"
    deal.answer(asked, yes="granted", silent="granted")
    found = classes(deal, asked)
    assert (found["yes"], found["silent"]) == ("minors", "transferred")
    deal.answer(asked, guardian="form G2", yes="granted")
    assert classes(deal, asked)["yes"] == "transferred"


def test_a_succession_moves_everybody_who_is_told_unless_the_purpose_changes(deal: Deal) -> None:
    asked = deal.open("statutory_succession")
    found = classes(deal, asked)
    assert {n for n, kind in found.items() if kind == "transferred"} == {
        "yes",
        "no",
        "silent",
        "both",
        "waiting",
    }
    # Whose number is masked by now could neither be recognised nor answered by the successor.
    assert found["dormant"] == "dormant"
    deal.answer(asked, no="refused")
    assert classes(deal, asked)["no"] == "refused"


def test_entrusted_data_moves_nowhere(deal: Deal) -> None:
    found = classes(deal, deal.open("entrusted_processor_change"))
    assert set(found.values()) == {"entrusted", "kept_by_law", "restricted"}


def test_entrusted_parcels_in_an_asset_deal_stay_whatever_people_say(deal: Deal) -> None:
    deal.admin(
        "UPDATE record_set SET role = 'entrusted', by_whom = '顺丰' WHERE dataset = 'parcels'"
    )
    asked = deal.open()
    deal.answer(asked, yes="granted", silent="granted")
    found = classes(deal, asked)
    # A preference is the seller's own, and its person said yes; parcels are the courier's.
    assert found["yes"] == "transferred"
    assert found["silent"] == "entrusted"
    with deal.inst.store.begin(controller=asked.seller.id, storage=True) as connection:
        table = counts(connection, deal.scope(asked))
    assert table["parcel"]["transferred"] == table["custody"]["transferred"] == 0


def test_a_closure_moves_nothing_and_keeps_who_is_served_elsewhere(deal: Deal) -> None:
    found = classes(deal, deal.open("closure"))
    assert found["both"] == "served_elsewhere"
    assert set(found.values()) == {"expired", "served_elsewhere", "kept_by_law", "restricted"}


def test_custody_moves_with_the_contract_but_not_of_who_refused(deal: Deal) -> None:
    asked = deal.open()
    classes(deal, asked)
    with deal.inst.store.begin(controller=asked.seller.id, storage=True) as connection:
        assert counts(connection, deal.scope(asked))["custody"]["transferred"] == 1
    deal.answer(asked, waiting="refused")
    classes(deal, asked)
    with deal.inst.store.begin(controller=asked.seller.id, storage=True) as connection:
        found = counts(connection, deal.scope(asked))["custody"]
    assert (found["transferred"], found["refused"]) == (0, 1)


def test_a_hold_on_everything_keeps_everybody(deal: Deal) -> None:
    deal.world.hold()
    assert set(classes(deal, deal.open()).values()) == {"kept_by_law", "restricted"}


def test_all_stations_of_an_owner_bring_everybody(deal: Deal) -> None:
    found = classes(deal, deal.open(stations=("A1", "A2")))
    assert set(found) == EVERYBODY | {"other"}
    assert "served_elsewhere" not in found.values()


def test_a_lane_cannot_be_chosen_without_proof(deal: Deal) -> None:
    assert deal.ask("share_deal").mode == "asset_deal"
    deal.admin("UPDATE controller SET kind = 'company' WHERE code = 'A'")
    assert deal.ask("share_deal").mode == "share_deal"
    for changes in ({"proof": "none"}, {"proof_digest": ""}, {"proof": "merger_registration"}):
        asked = deal.ask("share_deal", **changes)
        assert (asked.mode, asked.why) == ("asset_deal", "handover.lane.unproved")
    deal.admin("UPDATE controller SET kind = 'sole_trader' WHERE code = 'A'")
    asked = deal.ask("share_deal")
    assert (asked.mode, asked.why) == ("asset_deal", "handover.lane.no_shares")
    assert deal.ask("statutory_succession").mode == "statutory_succession"
    assert deal.ask("statutory_succession", proof_digest="").mode == "asset_deal"


def test_the_same_request_is_the_same_handover_and_a_second_one_waits(deal: Deal) -> None:
    asked = deal.open()
    assert deal.open().id == asked.id
    with deal.inst.store.begin() as connection:
        kept = load(connection, asked.id)
    assert asked_of(deal.inst, kept).request == asked.request
    with pytest.raises(HandoverRefused, match="still open"):
        deal.open(effective_on="2027-01-31")
    with pytest.raises(HandoverRefused, match="rehearsal"):
        open_handover(deal.inst, deal.ask(dry_run=True), "wang.li", NOW)


def test_stations_owners_and_unknown_roles_are_refused(deal: Deal) -> None:
    for changes in ({"stations": ("B1",)}, {"seller": "Z"}, {"buyer": "Z"}):
        with pytest.raises(HandoverRefused):
            deal.ask(**changes)
    deal.admin("UPDATE record_set SET role = 'unknown' WHERE dataset = 'parcels'")
    with pytest.raises(HandoverRefused, match="parcels"):
        ask(deal.inst, deal.request())


def test_an_unknown_table_or_column_stops_the_plan(deal: Deal) -> None:
    rules = load_transfer_policy(deal.inst.settings.policy)
    with deal.inst.store.begin() as connection:
        check_known(connection, rules)
    deal.admin("ALTER TABLE preference ADD COLUMN fresh text")
    with deal.inst.store.begin() as connection, pytest.raises(PolicyError, match="fresh"):
        check_known(connection, rules)
    deal.admin("ALTER TABLE preference DROP COLUMN fresh")
    deal.admin("CREATE TABLE notes (subject_id uuid)")
    with deal.inst.store.begin() as connection, pytest.raises(PolicyError, match="notes"):
        check_known(connection, rules)


def test_a_request_holds_no_persons_number() -> None:
    assert PROOF
    for field, value in (("buyer_contact", "13800000001"), ("seller_approver", "a13800000001")):
        with pytest.raises(ValueError, match="number"):
            Deal.request(None, **{field: value})  # type: ignore[arg-type]
