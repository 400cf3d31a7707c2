"""Approval by signed files, and what comes after the cut-over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deals import PHONES, Deal
from sqlalchemy import text
from test_handover_course import DAY, LATER, noticed, prepared, state_of

from minimised import collected
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.errors import HandoverRefused, LedgerBroken
from safehands.handover.aftercare import added_purposes, forward, forwarded, take_forwarded
from safehands.handover.answers import close_window
from safehands.handover.approvals import decide, decisions
from safehands.handover.exchange import accept_answer, answer_offer, make_offer
from safehands.handover.opening import Asked
from safehands.handover.pages import folder_of
from safehands.handover.report import report
from safehands.handover.tick import unapproved
from safehands.keys import FileProvider, age
from safehands.ledger import SigningKey
from safehands.notices import compose, load_consent_book, load_notice_book, publish
from safehands.rights.requests import find
from safehands.store.register import owners
from safehands.transfer.expiry import expire, kept_until


def due(deal: Deal, **changes: Any) -> Asked:
    asked = noticed(deal, "statutory_succession", **changes)
    prepared(deal, asked)
    close_window(deal.inst, asked.id, LATER, NOW)
    decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    return asked


def test_a_buyer_elsewhere_approves_by_a_signed_file(deal: Deal) -> None:
    inst, asked = deal.inst, due(deal)
    buyer, key = owners(inst.store)["B"], journal.signing_key(inst.provider).verifier
    offer = make_offer(inst, asked.id, NOW)
    assert make_offer(inst, asked.id, NOW)["body"] == offer["body"]
    with pytest.raises(HandoverRefused, match="named"):
        answer_offer(inst, buyer, offer, key, "approve", "zhao.lei", LATER, NOW)
    answer = answer_offer(inst, buyer, offer, key, "approve", "chen.fang", LATER, NOW)
    assert accept_answer(inst, asked.id, answer, key, LATER, NOW)
    assert state_of(deal, asked) == "approved"
    said = decisions(inst, asked.id, LATER)["buyer"]
    assert said["by"] == "chen.fang"
    kept = (folder_of(inst, asked.id) / "checkpoint-buyer.txt").read_text("utf-8")
    assert kept == answer["body"]["checkpoint"] != ""  # type: ignore[index]
    page = (folder_of(inst, asked.id) / "agreement-sheet.html").read_text("utf-8")
    assert said["plan"] in page


def test_an_answer_to_something_else_is_no_approval(deal: Deal, tmp_path: Path) -> None:
    inst, asked = deal.inst, due(deal)
    buyer, key = owners(inst.store)["B"], journal.signing_key(inst.provider).verifier
    offer = make_offer(inst, asked.id, NOW)
    answer = answer_offer(inst, buyer, offer, key, "approve", "chen.fang", LATER, NOW)
    changed = {**answer, "body": {**answer["body"], "decision": "refuse"}}  # type: ignore[dict-item]
    with pytest.raises(LedgerBroken):
        accept_answer(inst, asked.id, changed, key, LATER, NOW)
    other: SigningKey = journal.signing_key(FileProvider(tmp_path / "k", tmp_path / "s"))
    with pytest.raises(LedgerBroken):
        accept_answer(inst, asked.id, answer, other.verifier, LATER, NOW)
    # An offer is no answer, and an answer of tomorrow is none today.
    with pytest.raises(HandoverRefused, match="another offer"):
        accept_answer(inst, asked.id, offer, key, LATER, NOW)
    with pytest.raises(HandoverRefused, match="another offer"):
        accept_answer(inst, asked.id, answer, key, LATER - DAY, NOW)
    assert state_of(deal, asked) == "answered"
    assert unapproved(inst, LATER) == [asked.id]
    no = answer_offer(inst, buyer, offer, key, "refuse", "chen.fang", LATER, NOW)
    assert not accept_answer(inst, asked.id, no, key, LATER, NOW)
    assert decisions(inst, asked.id, LATER)["buyer"]["decision"] == "refuse"
    # Who said no is asked again when the answer has lapsed, and not every week.
    assert unapproved(inst, LATER) == []
    assert unapproved(inst, LATER + 31 * DAY) == [asked.id]


def test_a_request_that_comes_too_late_goes_on_to_the_buyer_alone(deal: Deal) -> None:
    inst = deal.inst
    key = age.make_identity(inst.provider, "transfer-identity/B")
    asked = due(deal, buyer_key=key)
    with pytest.raises(HandoverRefused, match="passed on"):
        forward(inst, asked.id, "access", PHONES["yes"], "wang.li", LATER, NOW)
    deal.admin("UPDATE handover SET state = 'cut_over'")
    deal.admin(
        "INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at)"
        " SELECT handover_id, controller_id, 'state', 'cut_over', '{}', :at FROM handover",
        at=NOW,
    )
    made = forward(inst, asked.id, "access", PHONES["yes"], "wang.li", BUSINESS_DATE + DAY, NOW)
    again = BUSINESS_DATE + timedelta(days=100)
    assert not made.late
    assert forward(inst, asked.id, "access", PHONES["no"], "wang.li", again, NOW).late
    with inst.store.begin(controller=asked.seller.id) as connection:
        kept = forwarded(connection, asked.id)
    assert [one["kind"] for one in kept] == ["access", "access"]
    assert PHONES["yes"] not in str(kept)
    assert PHONES["yes"].encode() not in made.path.read_bytes()
    assert report(inst, asked.id, NOW)["forwarded"] == 2
    # At the buyer it is a request like any other, of somebody who is known there.
    buyer = owners(inst.store)["B"]
    with pytest.raises(HandoverRefused, match="nobody"):
        take_forwarded(inst, buyer, made.path.read_bytes(), "chen.fang", NOW, b"1234")
    row = collected("B2", NOW - timedelta(days=3), receiver_phone=PHONES["yes"])
    deal.world.load([row], stations=("B1",))
    sealed = made.path.read_bytes()
    request = take_forwarded(inst, buyer, sealed, "chen.fang", NOW, b"1234")
    assert take_forwarded(inst, buyer, sealed, "chen.fang", NOW, b"9999") == request
    assert find(inst.store, request).kind == "access"


def test_a_purpose_that_the_buyer_adds_is_asked_for_afresh(deal: Deal) -> None:
    inst, asked = deal.inst, due(deal)
    buyer = owners(inst.store)["B"]
    assert added_purposes(inst, asked.id, buyer, BUSINESS_DATE) == []
    consent = load_consent_book(inst.settings.policy, inst.policy)
    notice = load_notice_book(inst.settings.policy, inst.policy)
    from minimised import declared

    theirs = declared().controllers[1].model_copy(update={"contact": "0755-0001"})
    publish(inst.store, compose(inst.policy, consent, notice, theirs), BUSINESS_DATE, "a.b", NOW)
    assert "marketing" in added_purposes(inst, asked.id, buyer, BUSINESS_DATE)


def test_records_stay_for_three_years_and_then_go(deal: Deal) -> None:
    inst, asked = deal.inst, due(deal)
    assert kept_until(inst, asked.id) is None
    deal.admin("UPDATE handover SET state = 'certified'")
    deal.admin(
        "INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at)"
        " SELECT handover_id, controller_id, 'state', 'certified', '{}', :at FROM handover",
        at=NOW,
    )
    until = kept_until(inst, asked.id)
    assert until is not None
    assert until.year == NOW.year + 3
    folder = folder_of(inst, asked.id)
    assert expire(inst, until, NOW) == 0
    assert (folder / "plan.html").exists()
    assert expire(inst, until + DAY, NOW) == 1
    assert not folder.exists()
    assert expire(inst, until + DAY, NOW) == 0
    with inst.store.begin() as connection:
        left = connection.execute(text("SELECT count(*) FROM handover_event")).scalar_one()
    assert left > 3
