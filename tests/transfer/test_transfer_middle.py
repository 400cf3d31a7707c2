"""What happens between approval and cut-over: the door, the freeze, the final delta, an abort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from transfer_world import CLASSES, PHONES, Deal, deal_of, people_of_a

from minimised import World, at, collected, parcel
from nights import NOW
from safehands import erasure
from safehands.errors import HandoverRefused
from safehands.handover.state import ABORTABLE, abort
from safehands.night import Night
from safehands.purge import purge
from safehands.store import Store
from safehands.transfer.cutover import end_keys
from safehands.transfer.freeze import frozen, last_load
from safehands.transfer.package import make_package
from safehands.transfer.receipt import accept_deletion, sign_deletion
from safehands.transfer.receive_delta import delete_received

Rows = dict[str, list[tuple[Any, ...]]]


def shown(world: World, code: str, phones: set[str] | None = None) -> Rows:
    """Return what an owner holds of people, by number: record and parcels, nothing of keys."""
    found: Rows = {}
    parcels = world.parcels(code)
    for row in world.people(code):
        record = row["record"]
        if row["detail"] or (phones is not None and record["phone"] not in phones):
            continue
        found[record["phone"]] = sorted(
            (p["arrived_at"], p["status"], str(p["collected_at"]), p["tags"], record["name"])
            for p in parcels
            if p["subject_id"] == row["subject_id"]
        )
    return found


def who(deal: Deal, phone: str) -> Any:
    return erasure.find_subjects(deal.world.store, deal.world.owner(), phone)[0]


def said(deal: Deal, phone: str, kind: str) -> None:
    """Record an answer in no campaign at all: a person who comes to the counter."""
    values = {"who": who(deal, phone)[0], "kind": kind, "now": deal.world.now}
    with deal.world.store.admin().begin() as connection:
        connection.execute(text(_SAID), values)


def asks_for_erasure(deal: Deal, phone: str) -> None:
    seller, now = deal.world.owner(), deal.world.now
    erasure.register(deal.world.store, seller, "R-A", who(deal, phone), "withdrawn", now)


OUT: dict[str, tuple[str, Callable[[Deal], None]]] = {
    "withdraws": ("refused", lambda d: said(d, PHONES[0], "withdrawn")),
    "asks for erasure": ("refused", lambda d: asks_for_erasure(d, PHONES[0])),
    "is stored only": ("restricted", lambda d: d.world.restrict(who(d, PHONES[0])[0])),
    "is held": ("kept_by_law", lambda d: d.world.hold(subject=who(d, PHONES[0])[0])),
    "never said yes": ("silent", lambda d: _forget(d)),
    "is masked": ("dormant", lambda d: _mask(d)),
}


def _forget(deal: Deal) -> None:
    with deal.world.store.admin().begin() as connection:
        values = {"who": who(deal, PHONES[0])[0]}
        connection.execute(text("DELETE FROM consent_event WHERE subject_id = :who"), values)


def _mask(deal: Deal) -> None:
    with deal.world.store.admin().begin() as connection:
        values = {"who": who(deal, PHONES[0])[0]}
        connection.execute(text("UPDATE subject SET detail = 1 WHERE subject_id = :who"), values)


@pytest.mark.parametrize("what", OUT)
def test_the_door_stops_whoever_may_not_leave_though_the_listing_says_so(
    deal: Deal, what: str
) -> None:
    name, change = OUT[what]
    change(deal)
    made = deal.package()
    assert made.taken_out == {name: 1}
    deal.receive()
    assert set(shown(deal.world, "B")) == {PHONES[5]}
    deal.accept()
    told = deal.reconcile()
    assert told["classes"]["subject"].get(name, 0) >= 1
    assert set(told["gone"].values()) == {0}


def test_nothing_is_packaged_before_evidence_of_closing(deal: Deal) -> None:
    with deal.world.store.admin().begin() as connection:
        connection.execute(text("DELETE FROM handover_event WHERE kind = 'paper'"))
    with pytest.raises(HandoverRefused, match="before closing is evidenced"):
        deal.package()
    assert deal.state() == "approved"


def test_parts_of_any_size_give_the_same_package(deal: Deal) -> None:
    order = replace(deal.order(), part_parcels=4)
    made = make_package(deal.world.store, order, deal.path, deal.world.now)
    assert made.counts == {"person": 2, "parcel": 9, "custody": 2, "preference": 2, "consent": 2}
    before = shown(deal.world, "A", {PHONES[0], PHONES[5]})
    body = deal.receive()
    assert {t: sum(c.values()) for t, c in body["received"].items()} == made.counts
    assert shown(deal.world, "B") == before


def test_what_changed_since_the_package_reaches_the_buyer_and_no_more(far: Deal) -> None:
    world = far.world
    far.package()
    far.receive()
    far.accept()
    # A parcel that waited is collected, a new one comes, a name is corrected, somebody withdraws.
    world.load([collected("WAIT-1", at(2026, 11, 20), receiver_phone=PHONES[5])])
    world.load([parcel("LATE-1", at(2026, 11, 22), receiver_phone=PHONES[5])])
    said(far, PHONES[0], "withdrawn")
    made = far.delta()
    assert made.taken_out == {"refused": 1}
    assert made.gone["person"] == 1
    assert far.delta() == made
    body = far.receive_delta()
    assert far.receive_delta() == body
    far.accept_delta()
    assert shown(far.buyer, "B") == shown(world, "A", {PHONES[5]})
    assert [slip["waybill"] for slip in far.buyer.slips("B")] == ["LATE-1", "WAIT-2"]
    far.reconcile()
    far.stock(deltas=1)
    far.bundle()
    cut = far.cut_alone()
    assert cut["left"]["subject"] == 2
    far.finish()


def test_a_delta_is_refused_out_of_order_and_for_another_package(deal: Deal) -> None:
    deal.package()
    deal.receive()
    with pytest.raises(HandoverRefused, match="no delta is made now"):
        deal.delta()
    deal.accept()
    deal.delta()
    with pytest.raises(HandoverRefused, match="receipt of delta 1"):
        deal.reconcile()
    with pytest.raises(HandoverRefused, match="receipt of delta 1"):
        deal.delta(2)
    deal.receive_delta()
    deal.accept_delta()
    file = deal.path.with_name("delta-1.age")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(HandoverRefused, match="is gone or is another file"):
        deal.delta()


def test_a_purge_in_the_middle_goes_to_the_buyer_too(deal: Deal) -> None:
    deal.package()
    deal.receive()
    deal.accept()
    later = deal.world.on(deal.world.night.business_date.replace(year=2027, month=1, day=10))
    purge(later.night, later.store, later.now, confirmed=later.night.business_date)
    deal.world.now = deal.buyer.now = later.now
    made = deal.delta()
    # A number is masked by then, and its person handed over no more; whose parcel waits is.
    assert made.taken_out == {"dormant": 1}
    assert made.gone["person"] == 1
    deal.receive_delta()
    deal.accept_delta()
    assert shown(deal.world, "B") == shown(deal.world, "A", {PHONES[5]})
    assert len(deal.world.people("B")) == 1
    deal.reconcile()


def test_an_imported_record_keeps_its_dates_so_that_the_buyers_purge_is_right(far: Deal) -> None:
    far.package()
    far.receive()
    names = {PHONES[0], PHONES[5]}
    seller = [row for row in far.world.people("A") if row["record"]["phone"] in names]
    buyer = far.buyer.people("B")
    span = ("first_seen", "last_seen")
    assert sorted([r[s] for s in span] for r in seller) == sorted(
        [r[s] for s in span] for r in buyer
    )
    day = far.world.night.business_date.replace(year=2027, month=11, day=4)
    for world in (far.world, far.buyer):
        on = world.on(day)
        purge(on.night, on.store, on.now, confirmed=day)
    mine = {row["subject_id"] for row in seller}
    left = [p["arrived_at"] for p in far.world.parcels("A") if p["subject_id"] in mine]
    there = [p["arrived_at"] for p in far.buyer.parcels("B") if p["subject_id"] is not None]
    assert sorted(left) == sorted(there)
    assert 0 < len(there) < 8


STATES = ["drafted", "assessed", "noticed", "answered", "approved"]
AFTER = ["packaged", "received", "reconciled"]


def test_every_state_before_the_cut_over_can_be_aborted() -> None:
    assert set(STATES) | set(AFTER) == set(ABORTABLE)


@pytest.mark.parametrize("state", [*STATES, *AFTER])
def test_an_abort_leaves_the_seller_as_before_and_the_buyer_deletes(
    store: Store, night: Night, tmp_path: Any, state: str
) -> None:
    world = World(store, night, NOW)
    people_of_a(world)
    own = [collected("B-1", at(2026, 11, 4), receiver_phone=PHONES[0])]
    world.load(own, stations=("B1",))
    held, there = shown(world, "A"), shown(world, "B")
    deal = deal_of(world, tmp_path / "package.age")
    deal.approved(CLASSES, until="approved" if state in AFTER else state)
    if state in AFTER:
        deal.package()
    if state in AFTER[1:]:
        deal.receive()
        deal.accept()
        deal.freeze()
        assert frozen(store) == {"A1"}
    if state == "reconciled":
        deal.reconcile()
    with store.begin() as connection:
        assert abort(connection, deal.id, "buyer refuses", "wang.li", NOW)
    end_keys(store, deal.id)
    assert frozen(store) == frozenset()
    if state in AFTER[1:]:
        sealed, how = deal.path.read_bytes(), deal.reception()
        body = delete_received(store, sealed, how, night.policy, NOW)
        assert delete_received(store, sealed, how, night.policy, NOW) == body
        document = sign_deletion(store, deal.world.owner("B"), str(deal.id), NOW)
        accept_deletion(store, world.owner(), deal.id, document, deal.verifier, NOW)
    assert shown(world, "A") == held
    assert shown(world, "B") == there
    assert world.store.provider.names("handover") == []
    again = deal_of(world, tmp_path / "second.age")
    again.approved(CLASSES)
    again.whole()
    assert set(shown(world, "B")) == {PHONES[0], PHONES[5]}


def test_an_abort_after_a_delta_is_undone_in_the_buyers_installation(far: Deal) -> None:
    own = [collected("B-1", at(2026, 11, 4), receiver_phone=PHONES[0])]
    far.buyer.load(own, stations=("B1",))
    held, there = shown(far.world, "A"), shown(far.buyer, "B")
    far.package()
    far.receive()
    far.accept()
    late = parcel("LATE-1", at(2026, 11, 22), receiver_phone=PHONES[5])
    far.world.load([late])
    assert far.delta().counts["parcel"] == 1
    far.receive_delta()
    far.accept_delta()
    assert len(shown(far.buyer, "B")[PHONES[5]]) == len(held[PHONES[5]]) + 1
    with far.world.store.begin() as connection:
        assert abort(connection, far.id, "buyer refuses", "wang.li", NOW)
    end_keys(far.world.store, far.id)
    buyers, policy = far.buyer.store, far.buyer.night.policy
    body = delete_received(buyers, far.path.read_bytes(), far.reception(), policy, NOW)
    assert body["removed"]["subject"] >= 1
    document = sign_deletion(buyers, far.buyer.owner("B"), str(far.id), NOW)
    seller = far.world.owner()
    accept_deletion(far.world.store, seller, far.id, document, far.buyers_verifier, NOW)
    assert shown(far.buyer, "B") == there
    assert shown(far.world, "A").keys() == held.keys()


def test_a_frozen_station_waits_for_the_last_load_and_lets_nothing_in_after(deal: Deal) -> None:
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    deal.freeze()
    assert frozen(store) == {"A1"}
    assert last_load(store, seller, deal.id, ("A1",), "wang.li", now)
    assert frozen(store) == frozenset()
    deal.whole()
    assert frozen(store) == {"A1"}
    with pytest.raises(HandoverRefused, match="state cut_over"):
        last_load(store, seller, deal.id, ("A1",), "wang.li", now)


def test_a_stock_take_that_differs_or_lacks_a_parcel_stops_the_cut_over(deal: Deal) -> None:
    deal.package()
    deal.receive()
    deal.accept()
    deal.reconcile()
    deal.freeze()
    deal.bundle()
    with pytest.raises(HandoverRefused, match="by the seller is missing"):
        deal.cut_alone()
    deal.stock(missing=1)
    with pytest.raises(HandoverRefused, match="1 parcels were not found"):
        deal.cut_alone()
    deal.stock()
    page = deal.path.with_name("stock-buyer.html").read_text("utf-8")
    assert "WAIT-1" in page
    assert "张*" in page
    assert PHONES[5][-4:] in page
    assert PHONES[5] not in page
    assert deal.cut_alone()["erased"] == 4


def test_an_objectors_parcel_is_collected_or_returned_first(deal: Deal) -> None:
    deal.world.load([parcel("WAIT-9", at(2026, 11, 21), receiver_phone=PHONES[1])])
    made = deal.package()
    assert made.counts["custody"] == 2
    deal.receive()
    deal.accept()
    deal.reconcile()
    deal.freeze()
    deal.stock()
    deal.bundle()
    with pytest.raises(HandoverRefused, match="refused 1"):
        deal.cut_alone()
    deal.ready()
    assert deal.cut_alone()["settled_parcels"] == {"refused": 1}


def test_two_stations_of_one_owner_go_in_one_hand_over(
    store: Store, night: Night, tmp_path: Any
) -> None:
    world = World(store, night, NOW)
    people_of_a(world)
    deal = deal_of(world, tmp_path / "package.age")
    deal.stations = ("A1", "A2")
    deal.approved({**CLASSES, PHONES[4]: "transferred"})
    before = shown(world, "A", {PHONES[0], PHONES[4], PHONES[5]})
    deal.whole()
    assert shown(world, "B") == before
    assert set(shown(world, "A")) <= {PHONES[3]}
    deal.finish()


_SAID = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, notice, terms,"
    " channel, evidence, guardian, campaign, at, recorded_at, by_whom, source)"
    " SELECT controller_id, subject_id, :kind, 'handover', true, 1, 'x', 'counter', 'form-2', '',"
    " '', CAST(:now AS timestamptz) + interval '1 second', :now, 'wang.li', '' FROM subject"
    " WHERE subject_id = :who"
)


def test_whoever_waits_for_an_answer_is_not_erased_before_it(deal: Deal) -> None:
    deal.package()
    deal.receive()
    deal.accept()
    deal.reconcile()
    deal.ready()
    ask = {"who": who(deal, PHONES[1])[0], "now": deal.world.now}
    with deal.world.store.admin().begin() as connection:
        connection.execute(text(_ASK), {**ask, "request": "R-1", "kind": "access"})
        # What the erasure does anyway waits for nothing.
        connection.execute(text(_ASK), {**ask, "request": "R-2", "kind": "delete"})
    before = deal.world.parcels("A")
    with pytest.raises(HandoverRefused, match="1 requests of people"):
        deal.cut_alone()
    assert deal.world.parcels("A") == before
    with deal.world.store.admin().begin() as connection:
        connection.execute(text("UPDATE subject_request SET state = 'done' WHERE request = 'R-1'"))
    assert deal.cut_alone()["erased"] > 0


_ASK = (
    "INSERT INTO subject_request (request, controller_id, kind, behalf, channel, subject_id, state,"
    " requested_at, target, latest, evidence, purpose, by_whom) SELECT :request, controller_id,"
    " :kind, 'self', 'counter', :who, 'identified', :now, current_date, current_date, '', '', 'a.b'"
    " FROM subject WHERE subject_id = :who"
)
