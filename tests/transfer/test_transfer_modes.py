"""Every transfer mode from drafted to certified, in one installation and between two.

The course up to approval meets the real gate: papers, declarations, a signed impact assessment.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deals import CLOSING, PHONES, PROOF, make_deal
from deals import Deal as Course
from test_transfer_end import DECLARED, accounts
from test_transfer_middle import shown
from transfer_world import BUYER_KEY, Deal, deal_of

from minimised import World
from nights import BUSINESS_DATE, NOW
from safehands import erasure, journal
from safehands.errors import HandoverRefused
from safehands.handover.answers import close_window, read_answers
from safehands.handover.approvals import decide
from safehands.handover.approvals import sheet as sheet_of
from safehands.handover.exchange import accept_answer, answer_offer, make_offer
from safehands.handover.notify import notify
from safehands.handover.pages import folder_of
from safehands.handover.plan import assess
from safehands.handover.report import write_report
from safehands.handover.state import PATHS, Mode
from safehands.handover.status import status
from safehands.installation import Installation
from safehands.keys import age
from safehands.ledger import verify_document
from safehands.play.office import assess_for, equip
from safehands.transfer.certificate import certify
from safehands.transfer.cutover import request_of
from safehands.transfer.order import check_signer
from safehands.transfer.papers import bring
from safehands.transfer.revocation import revoke
from safehands.transfer.run import transfer_run

LATER = BUSINESS_DATE + timedelta(days=31)
THEN = NOW + timedelta(days=31)
YES = ("yes", "both", "waiting")


@pytest.fixture
def course(inst: Installation) -> Course:
    return make_deal(inst)


@pytest.fixture(params=["one installation", "two installations"])
def buyer(
    request: pytest.FixtureRequest, course: Course, other_server: Any, tmp_path: Path
) -> Iterator[World]:
    """Who takes over: an owner of the same installation, or of another."""
    if request.param == "one installation":
        yield course.world
        return
    made = another(other_server, course, tmp_path)
    yield made
    made.store.close()


def another(other_server: Any, course: Course, tmp_path: Path) -> World:
    """Return the owner B in an installation of its own, who knows one person of A's already."""
    from minimised import collected
    from safehands.keys import FileProvider, RunKey
    from safehands.night import Night
    from safehands.settings import Settings
    from safehands.store import Store, prepare_store

    url, keys = other_server()
    settings = Settings.read({}, home=str(tmp_path / "other"), lang="en", workers="1")
    theirs = Store(url, FileProvider(keys, tmp_path / "other-second"))
    prepare_store(theirs)
    night = Night("nightly-b", BUSINESS_DATE, settings, course.inst.policy, RunKey("t", b"k" * 32))
    world = World(theirs, night, NOW)
    arrived = NOW - timedelta(days=9)
    world.load([collected("B1", arrived, receiver_phone=PHONES["silent"])], stations=("B1",))
    return world


def approved(course: Course, other: World, mode: Mode, tmp_path: Path, **changes: Any) -> Any:
    """Go from the request to both approvals, past the real gate."""
    if mode == "share_deal":
        course.admin("UPDATE controller SET kind = 'company' WHERE code = 'A'")
    asked = course.ask(
        mode,
        handler_confirmation=PROOF if mode.startswith("entrusted") else "",
        buyer_key=age.make_identity(other.store.provider, BUYER_KEY),
        **changes,
    )
    inst = course.inst
    assess(inst, asked, "wang.li", BUSINESS_DATE, NOW)
    notify(inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    bring(inst.store, asked.seller, asked.id, "poster_hung", PROOF, BUSINESS_DATE, "wang.li", NOW)
    if "answered" in PATHS[mode]:
        given = [*((name, "同意") for name in YES), ("no", "不同意")]
        read_answers(inst, asked.id, sheet(tmp_path / "a.csv", given), "paper", "wang.li", NOW)
        close_window(inst, asked.id, LATER, NOW)
    before = LATER - timedelta(days=1)
    equip(inst, "A", inst.settings.home / "papers", before)
    assess_for(inst, "A", "handover", str(asked.id), before)
    decide(inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    if mode != "closure":
        decide(inst, asked.id, "buyer", "approve", "chen.fang", LATER, NOW)
    return asked


def sheet(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("手机号", "答复", "时间", "证据编号"))
        for i, (name, said) in enumerate(rows):
            lines.writerow((PHONES[name], said, BUSINESS_DATE.isoformat(), f"S-{i}"))
    return path


def moved(course: Course, buyer: World, mode: Mode, tmp_path: Path) -> Deal:
    """Approve, and go on to the state before the cut-over."""
    asked = approved(course, buyer, mode, tmp_path)
    deal_of(course.world, tmp_path / "package.age", buyer)
    deal = Deal(course.world, buyer, tmp_path / "package.age", asked.id, mode, day=CLOSING)
    if deal.moves:
        store, seller = course.inst.store, course.world.owner()
        bring(store, seller, deal.id, "closing_evidence", PROOF, LATER, "wang.li", THEN)
        deal.package()
        deal.receive()
        deal.accept()
        deal.reconcile()
    return deal


def ended(course: Course, deal: Deal) -> dict[str, Any]:
    """Prove, revoke, certify; return the certificate's body, verified."""
    store, seller = course.inst.store, course.world.owner()
    deal.finish()
    revoke(store, seller, deal.id, accounts(), NOW)
    document = certify(store, seller, deal.id, DECLARED, NOW)
    assert certify(store, seller, deal.id, DECLARED, NOW)["body"] == document["body"]
    write_report(course.inst, deal.id, NOW)
    journal.verify(store, deal.verifier)
    assert status(course.inst, deal.id)[0]["state"] == "certified"
    return dict(verify_document(document, deal.verifier).body)


@pytest.mark.parametrize(
    ("mode", "moves"),
    [
        ("asset_deal", {"yes", "both", "waiting"}),
        ("statutory_succession", {"yes", "both", "waiting", "silent"}),
    ],
)
def test_a_mode_that_moves_records(
    course: Course, buyer: World, mode: Mode, moves: set[str], tmp_path: Path
) -> None:
    phones = {PHONES[name] for name in moves}
    at_station = {p["subject_id"] for p in course.world.parcels("A")}
    assert at_station
    before = shown(course.world, "A", phones)
    known = shown(buyer, "B")
    deal = moved(course, buyer, mode, tmp_path)
    there = shown(buyer, "B")
    assert set(there) == phones | set(known)
    for phone in phones - {PHONES["both"]} - set(known):
        assert there[phone] == before[phone]
    # Who is served at A2 too moved with the parcels of A1 alone.
    assert len(there[PHONES["both"]]) == len(before[PHONES["both"]]) - 1
    for phone in set(known) & phones:
        assert len(there[phone]) == len(known[phone]) + len(before[phone])
    deal.cut()
    body = ended(course, deal)
    assert body["kept"]["restricted"] == 1
    left = shown(course.world, "A")
    assert PHONES["other"] in left
    assert PHONES["both"] in left
    assert not set(left) & {PHONES[n] for n in ("yes", "waiting", "silent", "no")}
    request = erasure.list_requests(course.inst.store, [course.world.owner()], request_of(deal.id))
    assert request[0].state == "final"


def test_a_share_deal_moves_and_erases_nothing(
    course: Course, buyer: World, tmp_path: Path
) -> None:
    held, known = shown(course.world, "A"), shown(buyer, "B")
    deal = moved(course, buyer, "share_deal", tmp_path)
    body = ended(course, deal)
    assert (body["moved"], body["erased"]) == (0, 0)
    assert shown(course.world, "A") == held
    assert shown(buyer, "B") == known


@pytest.mark.parametrize("mode", ["entrusted_processor_change", "closure"])
def test_a_mode_that_moves_nothing_erases_at_the_seller(
    course: Course, buyer: World, mode: Mode, tmp_path: Path
) -> None:
    known = shown(buyer, "B")
    deal = moved(course, buyer, mode, tmp_path)
    assert not deal.path.exists()
    if mode == "closure":
        deal.freeze()
        deal.bundle()
        with pytest.raises(HandoverRefused, match="still wait"):
            deal.cut_alone()
    deal.cut()
    body = ended(course, deal)
    assert body["package"] == ""
    left = set(shown(course.world, "A"))
    assert {PHONES["both"], PHONES["other"]} <= left
    assert not left & {PHONES[name] for name in ("yes", "no", "silent", "waiting")}
    assert shown(buyer, "B") == known


def test_what_is_entrusted_waits_for_the_couriers_word(course: Course, tmp_path: Path) -> None:
    deal = moved(course, course.world, "entrusted_processor_change", tmp_path)
    course.admin(
        "UPDATE handover SET request = request - 'handler_confirmation' WHERE handover_id = :id",
        id=deal.id,
    )
    deal.ready()
    with pytest.raises(HandoverRefused, match="written confirmation"):
        deal.cut_alone()
    store, seller = course.inst.store, course.world.owner()
    bring(store, seller, deal.id, "handler_confirmation", PROOF, LATER, "wang.li", THEN)
    assert deal.cut_alone()["erased"] > 0


def test_a_buyer_elsewhere_is_who_signed_the_answer(
    course: Course, other_server: Any, tmp_path: Path
) -> None:
    """The request names no owner of this installation; only the signed answer says who it is."""
    buyer, inst = another(other_server, course, tmp_path), course.inst
    there = replace(inst, store=buyer.store, provider=buyer.store.provider)
    deal_of(course.world, tmp_path / "p.age", buyer)
    # Approved at the seller's desk, as by a buyer without Safehands.
    asked = approved(course, buyer, "statutory_succession", tmp_path, buyer="")
    ours = journal.signing_key(inst.provider).verifier
    theirs = journal.signing_key(buyer.store.provider).verifier
    assert str(theirs) not in sheet_of(inst, asked).decode()
    bring(inst.store, asked.seller, asked.id, "closing_evidence", PROOF, LATER, "wang.li", THEN)
    run = transfer_run(inst, asked.id, CLOSING)
    assert not run.buyer_here()
    with pytest.raises(HandoverRefused, match="signed answer"):
        run.shards()
    offer = make_offer(inst, asked.id, NOW)
    answer = answer_offer(there, buyer.owner("B"), offer, ours, "approve", "chen.fang", LATER, NOW)
    accept_answer(inst, asked.id, answer, theirs, LATER, THEN)
    assert str(theirs) in sheet_of(inst, asked).decode()
    with pytest.raises(HandoverRefused, match="2026-12-31"):
        transfer_run(inst, asked.id, LATER).shards()
    made, used = run.package([run.rekey(one) for one in run.shards()])
    assert used == 1
    path = folder_of(inst, asked.id) / "package.age"
    deal = Deal(course.world, buyer, path, asked.id, "statutory_succession", day=CLOSING)
    assert sum(deal.receive()["received"]["person"].values()) == made.counts["person"] > 0
    with inst.store.begin() as connection, pytest.raises(HandoverRefused, match="approval"):
        check_signer(connection, asked.id, ours)
    deal.accept()
    deal.reconcile()
    buyer.store.close()
