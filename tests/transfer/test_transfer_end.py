"""The end: certificate, three years of proof, and a workbook for a buyer without Safehands."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from openpyxl import load_workbook
from sqlalchemy import text
from transfer_world import BUYER_KEY, PHONES, Deal

from minimised import at, parcel
from safehands.errors import HandoverRefused, KeyProblem
from safehands.handover.classify import campaign
from safehands.handover.reported import identity_of
from safehands.handover.state import events
from safehands.keys import age
from safehands.ledger import verify_document
from safehands.transfer.certificate import BY_HAND, Declaration, certify
from safehands.transfer.delta import make_delta
from safehands.transfer.evidence_bundle import end_bundle, look_up
from safehands.transfer.form import Filled, read_form
from safehands.transfer.package import form_path, make_package
from safehands.transfer.receipt import accept_form
from safehands.transfer.revocation import OPENS, Access, Checklist, revoke
from safehands.transfer.stocktake import Sheet, accept_sheet, sellers_stock, sheet_path


def accounts() -> Checklist:
    """A checklist of one account for each thing that staff can open."""
    day = date(2026, 11, 24)
    return Checklist(
        accounts=tuple(
            Access(
                opens=what,
                account="zhao.lei",
                done="revoked",
                by="wang.li",
                day=day,
                evidence="cd" * 32,
            )
            for what in OPENS
        )
    )


DECLARED = {what: Declaration("wang.li", date(2026, 11, 24), "erased") for what in BY_HAND}


def test_the_certificate_says_proved_and_declared_apart(deal: Deal) -> None:
    deal.whole()
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    with pytest.raises(HandoverRefused, match="not final"):
        certify(store, seller, deal.id, DECLARED, now)
    deal.finish()
    some = {what: one for what, one in DECLARED.items() if what != "cctv"}
    with pytest.raises(HandoverRefused, match="cctv"):
        certify(store, seller, deal.id, some, now)
    with pytest.raises(HandoverRefused, match="checklist of staff access"):
        certify(store, seller, deal.id, DECLARED, now)
    revoke(store, seller, deal.id, accounts(), now)
    document = certify(store, seller, deal.id, DECLARED, now)
    found = verify_document(document, deal.verifier)
    proved, declared = found.body["proved"], found.body["declared"]
    assert isinstance(proved, dict)
    assert isinstance(declared, dict)
    assert set(declared) == set(BY_HAND)
    assert proved["people"] == 4
    assert deal.state() == "certified"
    assert certify(store, seller, deal.id, DECLARED, now)["body"] == document["body"]


def test_the_bundle_proves_one_answer_from_the_number_until_its_keys_end(deal: Deal) -> None:
    store, seller = deal.world.store, deal.world.owner()
    with store.admin().begin() as connection:
        values = {"id": deal.id, "campaign": campaign(deal.id), "now": deal.world.now}
        connection.execute(text(_REFUSED), values)
    deal.whole()
    sealed = deal.path.with_suffix(".evidence").read_bytes()
    found = look_up(store, seller, deal.id, sealed, PHONES[1])
    assert [(row["class"], row["kind"], row["channel"]) for row in found] == [
        ("refused", "refused", "paper")
    ]
    assert look_up(store, seller, deal.id, sealed, PHONES[2])[0]["kind"] is None
    assert look_up(store, seller, deal.id, sealed, PHONES[50]) == []
    assert end_bundle(store, deal.id)
    with pytest.raises(KeyProblem):
        look_up(store, seller, deal.id, sealed, PHONES[1])


def test_a_buyer_without_safehands_gets_the_same_as_text(deal: Deal) -> None:
    order = replace(deal.order(), form="xlsx")
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    made = make_package(store, order, deal.path, now)
    plain = age.decrypt(deal.path.read_bytes(), age.identity(store.provider, BUYER_KEY))
    book = load_workbook(io.BytesIO(plain))
    assert [sheet.max_row - 1 for sheet in book.worksheets[1:]] == list(made.counts.values())
    assert {row[2] for row in book["person"].iter_rows(values_only=True)} == {
        "phone",
        PHONES[0],
        PHONES[5],
    }
    kinds = {c.data_type for sheet in book.worksheets for row in sheet.iter_rows() for c in row}
    assert "f" not in kinds
    form = deal.path.with_name(f"{deal.path.name}.receipt.xlsx")
    assert not any(phone.encode() in form.read_bytes() for phone in PHONES)
    with pytest.raises(HandoverRefused, match="person"):
        read_form(form)
    with pytest.raises(HandoverRefused, match="differs"):
        accept_form(
            store, seller, deal.id, filled(form, {**made.counts, "parcel": 1}), "wang.li", now
        )
    accept_form(store, seller, deal.id, filled(form, made.counts), "wang.li", now)
    assert deal.state() == "received"


def test_a_buyer_without_safehands_is_served_to_the_end(deal: Deal) -> None:
    """Workbook, a parcel that came after it as a second workbook, a stock-take signed by hand."""
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    order = replace(deal.order(), form="xlsx")
    made = make_package(store, order, deal.path, now)
    accept_form(store, seller, deal.id, filled(form_path(deal.path), made.counts), "wang.li", now)
    told = deal.reconcile()
    assert fixed(deal) == told["classes"]
    deal.world.load([parcel("WAIT-3", at(2026, 11, 21), receiver_phone=PHONES[0])])
    deal.freeze()
    second = deal.path.with_name("delta.age")
    delta = make_delta(store, order, deal.path, second, now)
    assert make_delta(store, order, deal.path, second, now) == delta
    # What was reconciled is no longer all: a report counts anew until the cut-over fixes it.
    assert fixed(deal) is None
    plain = age.decrypt(second.read_bytes(), age.identity(store.provider, BUYER_KEY))
    book = load_workbook(io.BytesIO(plain))
    assert [sheet.title for sheet in book.worksheets[1:]] == [*delta.counts, "gone"]
    numbers = {row[3] for row in book["custody"].iter_rows(values_only=True)}
    assert numbers == {"number", "WAIT-3"}
    blank, counts = form_path(second), {**delta.counts, "gone": 0}
    assert not any(phone.encode() in blank.read_bytes() for phone in PHONES)
    wrong = filled(blank, {**counts, "gone": 1})
    with pytest.raises(HandoverRefused, match="differs"):
        accept_form(store, seller, deal.id, wrong, "wang.li", now)
    with pytest.raises(HandoverRefused, match="receipt of delta 1"):
        deal.reconcile()
    accept_form(store, seller, deal.id, filled(blank, counts), "wang.li", now)
    deal.bundle()
    listed = deal.path.with_name("stock.html")
    taken = sellers_stock(store, order, "wang.li", 0, listed, now)
    parcels = taken["body"]["parcels"]  # type: ignore[index, call-overload]
    assert parcels == made.counts["custody"] + 1
    page = sheet_path(listed).read_text(encoding="utf-8")
    assert str(taken["body"]["list"]) in page  # type: ignore[index, call-overload]
    assert "WAIT" not in page
    with pytest.raises(HandoverRefused, match="stock-take of waiting parcels by the buyer"):
        deal.cut_alone()
    day = deal.world.night.business_date
    other = Sheet("ef" * 32, day, 1, 0)
    with pytest.raises(HandoverRefused, match="another sum"):
        accept_sheet(store, seller, deal.id, other, "wang.li", now)
    accept_sheet(store, seller, deal.id, Sheet("ef" * 32, day, parcels - 1, 1), "wang.li", now)
    with pytest.raises(HandoverRefused, match="not found"):
        deal.cut_alone()
    accept_sheet(store, seller, deal.id, Sheet("ef" * 32, day, parcels, 0), "wang.li", now)
    cut = deal.cut_alone()
    assert cut["erased"]
    last = fixed(deal)
    assert last == cut["held_before"]
    assert last is not None
    assert last["custody"]["transferred"] == told["classes"]["custody"]["transferred"] + 1


def fixed(deal: Deal) -> dict[str, dict[str, int]] | None:
    """Return the identity that a report shows without counting."""
    with deal.world.store.begin() as connection:
        return identity_of(events(connection, deal.id))


def test_who_received_with_safehands_signs_with_it(deal: Deal) -> None:
    deal.package()
    deal.receive()
    deal.accept()
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    sheet = Sheet("ef" * 32, deal.world.night.business_date, 2, 0)
    with pytest.raises(HandoverRefused, match="received with Safehands"):
        accept_sheet(store, seller, deal.id, sheet, "wang.li", now)


def filled(path: Path, counts: dict[str, int]) -> Filled:
    """Fill a form in by hand and read it back."""
    book = load_workbook(path)
    for row in book.active.iter_rows():
        if row[0].value in counts:
            row[3].value = counts[row[0].value]
    back = path.with_name("back.xlsx")
    book.save(back)
    return read_form(back)


_REFUSED = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, terms, channel,"
    " evidence, guardian, campaign, at, recorded_at, by_whom, source)"
    " SELECT controller_id, subject_id, 'refused', 'handover', true, '', 'paper', 'sheet-1', '',"
    " :campaign, :now, :now, 'wang.li', '' FROM handover_subject"
    " WHERE handover_id = :id AND class = 'refused'"
)
