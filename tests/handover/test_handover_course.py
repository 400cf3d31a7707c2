"""A hand-over from the request to both approvals, in each mode, as far as no data moves."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from deals import CLOSING, PHONES, PROOF, Deal
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.errors import AccessRefused, GateClosed, HandoverRefused
from safehands.handover.answers import close_window, read_answers, read_delivery
from safehands.handover.approvals import decide
from safehands.handover.notify import notify, window_end
from safehands.handover.opening import Asked
from safehands.handover.pages import folder_of
from safehands.handover.plan import assess, gate, measure, plan
from safehands.handover.planpage import plan_page
from safehands.handover.report import external, write_report
from safehands.handover.reported import figures_of
from safehands.handover.state import PATHS, Mode, load, note
from safehands.handover.status import status
from safehands.handover.tick import tick
from safehands.messages import say
from safehands.play.office import assess_for, equip
from safehands.transfer.papers import bring
from safehands.verification import verifier_from, verify_file

DAY = timedelta(days=1)
LATER = BUSINESS_DATE + 31 * DAY


def state_of(deal: Deal, asked: Asked) -> str:
    with deal.inst.store.begin() as connection:
        return load(connection, asked.id).state


def assessed(deal: Deal, mode: str = "asset_deal", **changes: Any) -> Asked:
    if mode == "share_deal":
        deal.admin("UPDATE controller SET kind = 'company' WHERE code = 'A'")
    asked = deal.ask(mode, **changes)
    assess(deal.inst, asked, "wang.li", BUSINESS_DATE, NOW)
    return asked


def noticed(deal: Deal, mode: str = "asset_deal", **changes: Any) -> Asked:
    asked = assessed(deal, mode, **changes)
    notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    return asked


def sheet(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("手机号", "答复", "时间", "证据编号"))
        for i, (name, said) in enumerate(rows):
            lines.writerow((PHONES[name], said, BUSINESS_DATE.isoformat(), f"S-{i}"))
    return path


def hang(deal: Deal, asked: Asked) -> None:
    bring(
        deal.inst.store, asked.seller, asked.id, "poster_hung", PROOF, BUSINESS_DATE, "wang.li", NOW
    )


def prepared(deal: Deal, asked: Asked, day: Any = LATER) -> None:
    """Bring what the gate asks for, each piece on its own way: nothing of it is stubbed."""
    before = day - DAY
    hang(deal, asked)
    equip(deal.inst, "A", deal.inst.settings.home / "papers", before)
    assess_for(deal.inst, "A", "handover", str(asked.id), before)


@pytest.mark.parametrize("mode", PATHS)
def test_each_mode_goes_from_request_to_approval(deal: Deal, mode: Mode) -> None:
    asked = noticed(deal, mode)
    # Nobody was written to, and a request for a poster is no poster on the wall.
    assert told(deal, asked) == 0.0
    prepared(deal, asked)
    tells(deal, asked)
    assert asked.mode == mode
    if "answered" in PATHS[mode]:
        assert close_window(deal.inst, asked.id, LATER, NOW)
        assert not close_window(deal.inst, asked.id, LATER, NOW)
    done = decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    if mode != "closure":
        assert not done
        done = decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", LATER, NOW)
    assert done
    assert told(deal, asked) == 1.0
    assert state_of(deal, asked) == "approved"
    (found,) = status(deal.inst, asked.id)
    assert found["next"] == PATHS[mode][PATHS[mode].index("approved") + 1]
    sheet_page = (folder_of(deal.inst, asked.id) / "agreement-sheet.html").read_text("utf-8")
    assert str(journal.signing_key(deal.inst.store.provider).verifier).split("+")[0] in sheet_page
    journal.verify(deal.inst.store, journal.signing_key(deal.inst.store.provider).verifier)


SAID = {
    "share_deal": ("股东变更", "the shareholders of"),
    "statutory_succession": ("承继", "takes over"),
    "asset_deal": ("不回复视为不同意", "no answer is a no"),
    "entrusted_processor_change": ("快递企业或平台负责", "courier or platform is responsible"),
    "closure": ("停止经营", "closes on"),
}


def tells(deal: Deal, asked: Asked) -> None:
    """The notice says what this mode does, and nothing that only another one does."""
    document = json.loads((folder_of(deal.inst, asked.id) / "notice.json").read_text("utf-8"))
    poster = (folder_of(deal.inst, asked.id) / "poster.html").read_text("utf-8")
    assert set(document["sms"]) == {asked.mode}
    for place, lang in enumerate(("zh", "en")):
        sms = document["sms"][asked.mode][lang]
        assert SAID[asked.mode][place] in sms["text"]
        assert not any(words[place] in sms["text"] for m, words in SAID.items() if m != asked.mode)
        buyer = asked.mode in ("statutory_succession", "asset_deal")
        assert ("0755-0001" in sms["text"]) is buyer
        assert sms["length"] == len(sms["text"])
        assert sms["messages"] == (1 if sms["length"] <= 70 else -(-sms["length"] // 67))
        # What waits on the shelf passes to the buyer with notice, where anything passes.
        shelf = say("handover.notice.custody", lang, **document[lang])
        assert (shelf in poster) is buyer
    assert document["sms"][asked.mode]["zh"]["messages"] <= 2


def told(deal: Deal, asked: Asked) -> float:
    """Return the newest share of people told that the rule book can read."""
    with deal.inst.store.begin(controller=asked.seller.id) as connection:
        return float(figures_of(connection, asked.id)["notice.coverage"])


def test_a_rehearsal_plans_and_opens_nothing(deal: Deal) -> None:
    made = plan(deal.inst, deal.ask(dry_run=True), BUSINESS_DATE)
    assert sum(one["people"] for one in made["classes"]) == 8
    assert status(deal.inst) == []
    assert made["calendar"]["earliest"] == (BUSINESS_DATE + 33 * DAY).isoformat()
    assert made["calendar"]["possible"] is (made["calendar"]["earliest"] <= CLOSING.isoformat())
    lacks = {"closing_evidence", "gateway_agreement", "buyer_key", "impact_assessment"}
    assert set(made["missing"]) == lacks
    # Eight people are no number a buyer may see before closing.
    assert made["due_diligence"]["people"] == "<50"
    assert made["due_diligence"]["consents"] == 0
    assert made["due_diligence"]["open_requests"] == 0
    assert not set(PHONES.values()) & set(json.dumps(made).split('"'))
    # Its page is for a shop's owner: what is stored has a name there, and no name of a column.
    shown = plan_page(made).decode()
    for table, one in made["columns"].items():
        assert f">{table}<" not in shown
        assert not [name for name in one["columns"] if "_" in name and name in shown]
    assert "首次出现" in shown
    assert "first seen" in shown


def test_what_is_open_is_counted_and_missing_until_it_is_done(deal: Deal) -> None:
    owner = deal.world.owner()
    for number, state in enumerate(("requested", "held", "erased")):
        deal.admin(
            "INSERT INTO erasure (request, controller_id, state, reason, requested_at, erased_at)"
            " VALUES (:r, :c, :s, 'ended', :at, CASE WHEN :s = 'erased' THEN :at END)",
            r=f"R-{number}",
            c=owner.id,
            s=state,
            at=NOW,
        )
    for number, state in enumerate(("granted", "registered", "identified", "done")):
        deal.admin(
            "INSERT INTO subject_request (request, controller_id, kind, behalf, channel, state,"
            " requested_at, target, latest, evidence, purpose, by_whom) VALUES"
            " (:r, :c, 'delete', 'self', 'counter', :s, :at, :day, :day, '', '', 'wang.li')",
            r=f"Q-{number}",
            c=owner.id,
            s=state,
            at=NOW,
            day=BUSINESS_DATE,
        )
    short = CLOSING + timedelta(days=1095)
    asked = deal.ask(agreement_until=short, dry_run=True)
    deal.answer(asked, yes="granted", both="granted", no="refused")
    made = plan(deal.inst, asked, BUSINESS_DATE)
    # Two erasures and three requests are not done.
    assert made["due_diligence"]["open_requests"] == 5
    assert made["due_diligence"]["consents"] == "<50"
    assert {"open_requests", "agreement_until"} <= set(made["missing"])
    assert "agreement_until" in plan(deal.inst, deal.ask(agreement_until=None), LATER)["missing"]


def test_a_calendar_that_is_too_early_says_so(deal: Deal) -> None:
    asked = deal.ask(effective_on=BUSINESS_DATE + 5 * DAY, dry_run=True)
    made = plan(deal.inst, asked, BUSINESS_DATE)["calendar"]
    assert not made["possible"]
    assert made["closing"] == made["earliest"]
    assert {one["party"] for one in made["duties"]} == {"seller", "buyer", "both"}


def test_without_a_gateways_agreement_there_is_no_send_file(deal: Deal) -> None:
    asked = noticed(deal)
    files = {path.name for path in folder_of(deal.inst, asked.id).iterdir()}
    # The buyer's page is the rounded block and nothing of the plan beside it.
    assert {"due-diligence.html", "due-diligence.json"} <= files
    shown = (folder_of(deal.inst, asked.id) / "due-diligence.html").read_text("utf-8")
    assert "尽职调查" in shown
    assert "谁的信息会怎样" not in shown
    assert {"poster.html", "slips.html", "tick-sheet.csv", "notice.json", "plan.html"} <= files
    assert "send.csv.age" not in files
    poster = (folder_of(deal.inst, asked.id) / "poster.html").read_text("utf-8")
    for item in (
        "乙驿站有限公司",
        "0755-0001",
        "处理目的",
        "处理方式",
        "信息种类",
        "不答复视为不同意",
    ):
        assert item in poster


def test_the_send_file_opens_for_the_gateway_alone_and_skips_who_refused(
    deal: Deal, tmp_path: Path
) -> None:
    gateway = pyrage.x25519.Identity.generate()
    papers = equip(deal.inst, "A", deal.inst.settings.home / "papers", BUSINESS_DATE)
    agreement = papers["processor_agreement"]
    asked = assessed(deal, gateway_agreement=agreement, gateway_key=str(gateway.to_public()))
    assess_for(deal.inst, "A", "entrusting", agreement[:16], BUSINESS_DATE)
    deal.answer(asked, no="refused")
    done = notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    assert notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW) == done
    sealed = (folder_of(deal.inst, asked.id) / "send.csv.age").read_bytes()
    rows = list(csv.DictReader(pyrage.decrypt(sealed, [gateway]).decode().splitlines()))
    phones = {row["phone"] for row in rows}
    assert PHONES["silent"] in phones
    # Who refused is not asked again; who is stored only or must stay is not either.
    assert not phones & {PHONES[name] for name in ("no", "held", "stored", "other")}
    assert all("0755-0001" in row["text"] for row in rows)
    assert told(deal, asked) == pytest.approx(len(rows) / done["people"])
    log = tmp_path / "delivery.csv"
    failed = next(row["ref"] for row in rows if row["phone"] == PHONES["silent"])
    log.write_text(f"ref,state\n{failed},failed\n", encoding="utf-8")
    assert read_delivery(deal.inst, asked.id, log, NOW) == 1
    assert read_delivery(deal.inst, asked.id, log, NOW) == 0
    # Who was not reached was not told, until the poster is registered as hanging.
    assert told(deal, asked) == pytest.approx((len(rows) - 1) / done["people"])
    hang(deal, asked)
    close_window(deal.inst, asked.id, LATER, NOW)
    assert told(deal, asked) == 1.0
    made = write_report(deal.inst, asked.id, NOW)
    assert made["identity"]["subject"]["classes"]["unreachable"] == 1
    assert made["notices"]["lines"] == len(rows)
    assert made["notices"]["not_delivered"] == 1
    assert made["notices"]["poster_hung"] == BUSINESS_DATE.isoformat()


def test_of_whom_nothing_can_move_is_asked_nothing(deal: Deal) -> None:
    deal.admin(
        "UPDATE record_set SET role = 'entrusted', by_whom = 'courier' WHERE dataset = 'parcels'"
    )
    gateway = pyrage.x25519.Identity.generate()
    papers = equip(deal.inst, "A", deal.inst.settings.home / "papers", BUSINESS_DATE)
    agreement = papers["processor_agreement"]
    asked = assessed(deal, gateway_agreement=agreement, gateway_key=str(gateway.to_public()))
    assess_for(deal.inst, "A", "entrusting", agreement[:16], BUSINESS_DATE)
    deal.answer(asked, no="refused")
    notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    folder = folder_of(deal.inst, asked.id)
    sealed = (folder / "send.csv.age").read_bytes()
    rows = csv.DictReader(pyrage.decrypt(sealed, [gateway]).decode().splitlines())
    texts = {row["phone"]: row["text"] for row in rows}
    # A wish is the seller's own, so its person is asked; the others' parcels are the courier's.
    assert "不回复视为不同意" in texts[PHONES["yes"]]
    assert "快递企业或平台负责" in texts[PHONES["silent"]]
    assert "不同意" not in texts[PHONES["silent"]]
    poster = (folder / "poster.html").read_text("utf-8")
    assert "由快递企业或平台负责" in poster
    assert "货架" not in poster


@pytest.mark.parametrize("lacks", ["agreement", "assessment"])
def test_a_digest_alone_makes_no_send_file(deal: Deal, lacks: str) -> None:
    gateway = str(pyrage.x25519.Identity.generate().to_public())
    papers = equip(deal.inst, "A", deal.inst.settings.home / "papers", BUSINESS_DATE)
    agreement = PROOF if lacks == "agreement" else papers["processor_agreement"]
    if lacks == "agreement":
        assess_for(deal.inst, "A", "entrusting", agreement[:16], BUSINESS_DATE)
    asked = deal.ask(gateway_agreement=agreement, gateway_key=gateway)
    made = assess(deal.inst, asked, "wang.li", BUSINESS_DATE, NOW)
    assert "gateway_in_force" in made["missing"]
    done = notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    assert (done["file"], done["lines"]) == ("", 0)
    assert not (folder_of(deal.inst, asked.id) / "send.csv.age").exists()


def test_answers_are_read_once_refusals_block_at_once_and_silence_is_no(
    deal: Deal, tmp_path: Path
) -> None:
    asked = noticed(deal)
    given = sheet(tmp_path / "a.csv", [("yes", "同意"), ("both", "同意"), ("no", "不同意")])
    assert read_answers(deal.inst, asked.id, given, "paper", "wang.li", NOW)["recorded"] == 3
    assert read_answers(deal.inst, asked.id, given, "paper", "wang.li", NOW)["again"] == 1
    with deal.inst.store.begin(controller=asked.seller.id) as connection:
        query = text("SELECT class FROM handover_subject WHERE subject_id = :who")
        said = connection.execute(query, {"who": deal.people["no"]}).scalar_one()
    assert said == "refused"
    assert window_end(deal.inst, asked.id) == BUSINESS_DATE + 30 * DAY
    with pytest.raises(HandoverRefused, match="open until"):
        close_window(deal.inst, asked.id, BUSINESS_DATE + 30 * DAY, NOW)
    assert tick(deal.inst, BUSINESS_DATE, NOW) == {"moved": 0, "waiting": 1, "blocked": 0}
    assert tick(deal.inst, LATER, NOW) == {"moved": 1, "waiting": 0, "blocked": 0}
    made = write_report(deal.inst, asked.id, NOW)
    subject = made["identity"]["subject"]
    assert subject["classes"] == {
        "transferred": 2,
        "refused": 1,
        "silent": 2,
        "expired": 1,
        "restricted": 1,
        "kept_by_law": 1,
    }
    for one in made["identity"].values():
        assert one["held"] == sum(one["classes"].values())


def test_a_yes_after_the_window_counts_no_more_but_a_no_does(deal: Deal, tmp_path: Path) -> None:
    asked = noticed(deal)
    with deal.inst.store.begin() as connection:
        connection.execute(text("SELECT 1"))
    deal.admin(
        "UPDATE handover_event SET facts = jsonb_set(facts, '{until}', '\"2026-11-20\"')"
        " WHERE key = 'noticed'"
    )
    close_window(deal.inst, asked.id, BUSINESS_DATE, NOW)
    given = sheet(tmp_path / "late.csv", [("yes", "同意"), ("silent", "不同意")])
    read_answers(deal.inst, asked.id, given, "paper", "wang.li", NOW)
    with deal.inst.store.begin(controller=asked.seller.id) as connection:
        rows = connection.execute(text("SELECT subject_id, class FROM handover_subject")).all()
    found = {row[0]: row[1] for row in rows}
    assert found[deal.people["yes"]] == "silent"
    assert found[deal.people["silent"]] == "refused"


def test_two_different_named_people_approve_and_may_refuse_or_withdraw(deal: Deal) -> None:
    asked = noticed(deal)
    prepared(deal, asked)
    with pytest.raises(HandoverRefused, match="cannot go"):
        decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    close_window(deal.inst, asked.id, LATER, NOW)
    for who in ("chen.fang", "zhao.lei"):
        with pytest.raises(HandoverRefused, match="named"):
            decide(deal.inst, asked.id, "seller", "approve", who, LATER, NOW)
    with pytest.raises(AccessRefused):
        decide(deal.inst, asked.id, "seller", "approve", "13800000001", LATER, NOW)
    assert not decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    assert not decide(deal.inst, asked.id, "buyer", "refuse", "chen.fang", LATER, NOW)
    assert not decide(deal.inst, asked.id, "seller", "withdraw", "wang.li", LATER, NOW)
    assert not decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", LATER, NOW)
    # An approval lapses: 31 days later the other one is no longer enough.
    late = LATER + 31 * DAY
    prepared(deal, asked, late)
    assert not decide(deal.inst, asked.id, "seller", "approve", "wang.li", late, NOW)
    assert decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", late, NOW)
    assert decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", late, NOW)


def test_a_blocking_rule_cannot_be_approved_away(deal: Deal) -> None:
    asked = noticed(deal)
    close_window(deal.inst, asked.id, LATER, NOW)
    decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    # No impact assessment, no evidence of the organisation: the gate is shut.
    with pytest.raises(GateClosed, match="PIA-01"):
        decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", LATER, NOW)
    assert state_of(deal, asked) == "answered"
    assert tick(deal.inst, LATER, NOW)["blocked"] == 1


def test_figures_are_counted_from_answers_not_from_classes(deal: Deal) -> None:
    asked = noticed(deal)
    deal.answer(asked, yes="granted", no="refused")
    close_window(deal.inst, asked.id, LATER, NOW)
    prepared(deal, asked)
    decide(deal.inst, asked.id, "seller", "approve", "wang.li", LATER, NOW)
    found = measure(deal.inst, asked, LATER)
    assert found.pop("notice.coverage") == 1
    assert set(found.values()) == {0}
    # Somebody writes people into the class that moves, past every step that decides it.
    deal.admin(
        "UPDATE handover_subject SET class = 'transferred' WHERE subject_id = ANY (:who)",
        who=[deal.people[name] for name in ("silent", "no", "dormant")],
    )
    deal.admin(
        "UPDATE subject SET last_seen = last_seen - interval '500 days' WHERE subject_id = :who",
        who=deal.people["dormant"],
    )
    found = measure(deal.inst, asked, LATER)
    assert found["transfer.without_basis"] == 3
    assert found["transfer.silent_included"] == 2
    assert found["transfer.dormant_included"] == 1
    with pytest.raises(GateClosed, match="TRF-02, TRF-06"):
        decide(deal.inst, asked.id, "buyer", "approve", "chen.fang", LATER, NOW)


def test_a_purpose_that_nobody_was_told_of_is_new(deal: Deal) -> None:
    deal.admin(
        "UPDATE notice_version SET document = jsonb_set(document, '{purposes}',"
        " (SELECT jsonb_agg(p) FROM jsonb_array_elements(document -> 'purposes') p"
        " WHERE p ->> 'id' <> 'service'))"
    )
    assert measure(deal.inst, assessed(deal), BUSINESS_DATE)["transfer.new_purposes"] == 1


def test_entrusted_parcels_are_a_residue_until_their_handler_confirms(deal: Deal) -> None:
    deal.admin(
        "UPDATE record_set SET role = 'entrusted', by_whom = 'courier' WHERE dataset = 'parcels'"
    )
    asked = assessed(deal)
    rows = measure(deal.inst, asked, BUSINESS_DATE)["transfer.entrusted_residue"]
    assert rows == 7
    assert "TRF-10" in {item.id for item in gate(deal.inst, asked, BUSINESS_DATE).blockers}
    deal.admin("UPDATE handover SET state = 'aborted'")
    asked = assessed(deal, handler_confirmation=PROOF)
    assert measure(deal.inst, asked, BUSINESS_DATE)["transfer.entrusted_residue"] == 0
    assert "TRF-10" not in {item.id for item in gate(deal.inst, asked, BUSINESS_DATE).blockers}


def test_a_notice_without_the_buyers_contact_does_not_go_out(deal: Deal) -> None:
    asked = assessed(deal, buyer_contact="")
    with pytest.raises(HandoverRefused, match="contact"):
        notify(deal.inst, asked.id, "wang.li", BUSINESS_DATE, NOW)
    assert state_of(deal, asked) == "assessed"


def test_the_report_verifies_offline_and_outsiders_see_no_small_number(deal: Deal) -> None:
    asked = noticed(deal)
    made = write_report(deal.inst, asked.id, NOW)
    verifier = verifier_from(None, deal.inst.settings.home / "ledger.pub")
    for name in ("report", "report-external"):
        verify_file(folder_of(deal.inst, asked.id) / f"{name}.json", verifier, "en")
    shown = external(made)["identity"]["subject"]
    assert shown["held"] == 0
    assert set(shown["classes"].values()) == {"<10"}
    # Why somebody stays and until when is told by sums; outsiders get no day and no small sum.
    until = (NOW + 30 * DAY).date().isoformat()
    assert made["kept"] == [
        {"class": "kept_by_law", "reason": "dispute", "until": until, "people": 1},
        {"class": "restricted", "reason": "request", "until": None, "people": 1},
    ]
    outside = external(made)
    assert {one["people"] for one in outside["kept"]} == {"<10"}
    # One person's event, its minute and the hash of what can be guessed stay inside.
    assert "assessed.plan" in made["digests"]
    assert "assessed.plan" not in outside["digests"]
    assert outside["digests"]["noticed.notice"] == made["digests"]["noticed.notice"]
    with deal.inst.store.begin(controller=asked.seller.id) as connection:
        note(connection, asked.id, "forwarded", "1", {"kind": "access"}, NOW)
    made = write_report(deal.inst, asked.id, NOW)
    line = external(made)["timeline"]
    assert [one["key"] for one in line] == ["assessed", "noticed"]
    assert {len(one["at"]) for one in line} == {10}
    assert not any("sha256" in one for one in line)
    assert "forwarded" in {one["kind"] for one in made["timeline"]}
    page = (folder_of(deal.inst, asked.id) / "report.html").read_text("utf-8")
    assert until in page
    assert not any(phone in page for phone in PHONES.values())


def test_a_purge_or_an_erasure_in_the_middle_leaves_the_identity_whole(deal: Deal) -> None:
    asked = noticed(deal)
    deal.admin("DELETE FROM parcel WHERE subject_id = :who", who=deal.people["silent"])
    deal.admin("DELETE FROM subject WHERE subject_id = :who", who=deal.people["silent"])
    assert close_window(deal.inst, asked.id, LATER, NOW)
    made = write_report(deal.inst, asked.id, NOW)
    assert made["identity"]["subject"]["held"] == 7
