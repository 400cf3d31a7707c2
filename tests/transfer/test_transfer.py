"""A station changes hands: to the row, once, and nothing of the seller opens at the buyer."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from transfer_world import BUYER_KEY, CLASSES, PHONES, Deal

from minimised import World, at, collected, parcel
from safehands import erasure, journal
from safehands.errors import HandoverRefused, KeyProblem, LedgerBroken, PolicyError
from safehands.handover.transferpolicy import TransferPolicy, load_transfer_policy
from safehands.keys import age
from safehands.ledger import sign
from safehands.ledger.note import SigningKey
from safehands.transfer.container import note_text
from safehands.transfer.contents import FATE
from safehands.transfer.cutover import request_of
from safehands.transfer.order import check_policy
from safehands.transfer.receipt import sign_receipt
from safehands.transfer.receive import receive_package

POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"


def phones_of(world: World, code: str) -> list[str]:
    return sorted(row["record"]["phone"] for row in world.people(code) if not row["detail"])


def test_what_moves_is_at_the_buyer_and_nowhere_else(deal: Deal) -> None:
    before = {row["record"]["phone"]: row["record"] for row in deal.world.people("A")}
    made = deal.package()
    assert made.counts == {"person": 2, "parcel": 9, "custody": 2, "preference": 2, "consent": 2}
    body = deal.receive()
    assert body["received"]["parcel"] == {"new": 9, "joined": 0, "kept_out": 0}
    there = {row["record"]["phone"]: row["record"] for row in deal.world.people("B")}
    assert there == {phone: before[phone] for phone in (PHONES[0], PHONES[5])}
    slips = deal.world.slips("B")
    assert [slip["waybill"] for slip in slips] == ["WAIT-1", "WAIT-2"]
    deal.accept()
    told = deal.reconcile()
    assert told["held"] == {
        "subject": 6,
        "parcel": 24,
        "parcel_held": 0,
        "custody": 2,
        "preference": 6,
    }
    assert told["classes"]["parcel"] == {
        "transferred": 9,
        "refused": 2,
        "silent": 3,
        "kept_by_law": 4,
        "served_elsewhere": 5,
        "unreachable": 1,
    }
    assert set(told["gone"].values()) == {0}
    cut = deal.cut()
    assert (cut["erased"], cut["restricted"]) == (4, 1)
    assert phones_of(deal.world, "A") == [PHONES[3], PHONES[4]]
    (left,) = deal.world.parcels("A")
    assert left["station_id"] == deal.world.owner().stations["A2"]
    assert deal.state() == "cut_over"


def test_the_erasure_becomes_final_with_epoch_backup_and_proof(deal: Deal) -> None:
    deal.whole()
    deal.finish()
    (request,) = erasure.list_requests(deal.world.store, [deal.world.owner()], request_of(deal.id))
    assert request.state == "final"
    assert deal.world.store.provider.names("epoch/A") == ["epoch/A/2"]
    left = [f"handover/{deal.id}-evidence"]
    assert deal.world.store.provider.names("handover") == left
    journal.verify(deal.world.store, deal.verifier)


def test_between_two_installations_through_the_sealed_file_alone(far: Deal) -> None:
    far.whole()
    assert phones_of(far.buyer, "B") == [PHONES[0], PHONES[5]]
    assert phones_of(far.world, "B") == []
    assert phones_of(far.world, "A") == [PHONES[3], PHONES[4]]
    assert far.state() == "cut_over"


def test_no_token_in_common_and_the_sellers_keys_open_nothing(deal: Deal) -> None:
    seller = [*deal.world.people("A"), *deal.world.parcels("A")]
    deal.package()
    deal.receive()
    buyer = [*deal.world.people("B"), *deal.world.parcels("B")]
    names = ("subject_id", "lookup", "waybill", "wrapped_salt", "sealed")
    for name in names:
        one = {row[name] for row in seller if row.get(name)}
        other = {row[name] for row in buyer if row.get(name)}
        assert one
        assert other
        assert not one & other, name
    ring = deal.world.ring("A")
    for row in deal.world.people("B"):
        who = [row["subject_id"].bytes]
        with pytest.raises(KeyProblem):
            ring.unwrap_salts(who, [bytes(row["wrapped_salt"])])
        with pytest.raises(KeyProblem):
            ring.unseal("person", who, [b"\0" * 16], [bytes(row["sealed"])])


def test_each_step_done_again_is_done_once(deal: Deal) -> None:
    steps = (deal.package, deal.receive, deal.reconcile, deal.cut)
    for step in steps:
        if step == deal.reconcile:
            deal.accept()
        first: Any = step()
        census = deal.world.census()
        assert step() == first
        assert deal.world.census() == census


def test_the_same_document_accepted_twice_is_one(deal: Deal) -> None:
    deal.package()
    deal.receive()
    assert deal.accept() == deal.accept()


def test_a_package_for_somebody_else_does_not_open(deal: Deal) -> None:
    deal.package()
    provider = deal.world.store.provider
    age.make_identity(provider, "transfer-identity/C")
    wrong = deal.reception(identity=age.identity(provider, "transfer-identity/C"))
    census = deal.world.census()
    with pytest.raises(KeyProblem):
        receive_package(deal.world.store, deal.path.read_bytes(), wrong, deal.world.now)
    assert deal.world.census() == census


def test_one_changed_byte_anywhere_is_noticed(deal: Deal) -> None:
    deal.package()
    sealed = deal.path.read_bytes()
    for place in range(0, len(sealed), max(1, len(sealed) // 60)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises((KeyProblem, HandoverRefused, LedgerBroken)):
            receive_package(deal.world.store, changed, deal.reception(), deal.world.now)
    assert phones_of(deal.world, "B") == []


def altered(deal: Deal, part: str, data: bytes, key: SigningKey | None = None) -> bytes:
    """Seal the package anew with one part replaced; with ``key`` its manifest is signed again."""
    identity = age.identity(deal.world.store.provider, BUYER_KEY)
    plain = age.decrypt(deal.path.read_bytes(), identity)
    with zipfile.ZipFile(io.BytesIO(plain)) as box:
        files = {name: box.read(name) for name in box.namelist()}
    files[part] = data
    if key is not None:
        files["manifest.note"] = sign(note_text(files["manifest.json"]), key).encode()
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as box:
        for name, content in files.items():
            box.writestr(name, content)
    return age.encrypt(sink.getvalue(), [deal.recipient()])


def test_who_knows_the_buyers_public_key_can_not_forge_a_package(deal: Deal) -> None:
    deal.package()
    table = pa.table({"person": pa.array([b"x" * 16], pa.binary(16)), "id_card": ["x"]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    forged = altered(deal, "person.parquet", sink.getvalue())
    with pytest.raises(HandoverRefused, match="not what the signed manifest says"):
        receive_package(deal.world.store, forged, deal.reception(), deal.world.now)
    other = SigningKey.generate("safehands/ledger")
    mine = altered(deal, "manifest.json", json.dumps({"format": "x"}).encode(), other)
    with pytest.raises(LedgerBroken):
        receive_package(deal.world.store, mine, deal.reception(), deal.world.now)


def test_a_column_out_of_scope_is_refused_though_the_seller_signed_it(
    deal: Deal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safehands.transfer import container, package

    wider = container.SCHEMAS["person"].append(pa.field("id_card", pa.string()))
    monkeypatch.setattr(container, "SCHEMAS", {**container.SCHEMAS, "person": wider})
    real = package.read_part

    def more(*given: Any) -> Any:
        tables = real(*given)
        person = tables["person"]
        extra = pa.array(["x"] * person.num_rows)
        return {**tables, "person": person.append_column("id_card", extra)}

    monkeypatch.setattr(package, "read_part", more)
    deal.package()
    with pytest.raises(HandoverRefused, match="out of scope"):
        deal.receive()
    assert phones_of(deal.world, "B") == []


def test_whom_the_buyer_knows_stays_who_they_are_there(deal: Deal) -> None:
    own = [collected("B-1", at(2026, 11, 4), receiver_phone=PHONES[0])]
    deal.world.load(own, stations=("B1",))
    (before,) = deal.world.people("B")
    deal.package()
    body = deal.receive()
    assert body["received"]["person"] == {"new": 1, "joined": 1, "kept_out": 0}
    after = [r for r in deal.world.people("B") if r["record"]["phone"] == PHONES[0]]
    assert [row["subject_id"] for row in after] == [before["subject_id"]]
    theirs = [p for p in deal.world.parcels("B") if p["subject_id"] == before["subject_id"]]
    assert len(theirs) == 2
    deal.accept()


def test_who_had_themselves_erased_at_the_buyer_does_not_come_back(deal: Deal) -> None:
    own = [collected("B-1", at(2026, 11, 4), receiver_phone=PHONES[0])]
    deal.world.load(own, stations=("B1",))
    store, buyer, now = deal.world.store, deal.world.owner("B"), deal.world.now
    who, _ = erasure.find_subjects(store, buyer, PHONES[0])
    erasure.register(store, buyer, "R-B", who, "withdrawn", now)
    night = deal.world.night
    erasure.erase_due(store, buyer, night.policy, night.run, night.business_date, now)
    deal.package()
    body = deal.receive()
    assert body["received"]["person"] == {"new": 1, "joined": 0, "kept_out": 1}
    assert phones_of(deal.world, "B") == [PHONES[5]]
    deal.accept()


def test_an_erasure_in_the_middle_is_counted_and_a_new_row_stops(deal: Deal) -> None:
    deal.package()
    deal.receive()
    deal.accept()
    store, seller, now = deal.world.store, deal.world.owner(), deal.world.now
    who, _ = erasure.find_subjects(store, seller, PHONES[0])
    erasure.register(store, seller, "R-A", who, "withdrawn", now)
    night = deal.world.night
    erasure.erase_due(store, seller, night.policy, night.run, night.business_date, now)
    assert deal.reconcile()["gone"]["subject"] == 1
    late = [parcel(f"LATE-{n}", at(2026, 11, 21), receiver_phone=PHONES[5]) for n in range(3)]
    deal.ready()
    with pytest.raises(HandoverRefused, match="Make the final delta first"):
        deal.cut_alone()
    deal.world.load(late)
    with pytest.raises(HandoverRefused, match="came into"):
        deal.cut_alone()
    assert deal.state() == "reconciled"


def test_a_lost_or_exchanged_file_is_not_taken_for_the_package(deal: Deal) -> None:
    deal.package()
    deal.path.write_bytes(deal.path.read_bytes() + b"x")
    with pytest.raises(HandoverRefused, match="is gone or is another file"):
        deal.package()


def test_a_receipt_of_another_key_or_with_other_counts_is_refused(deal: Deal) -> None:
    deal.package()
    deal.receive()
    store, buyer = deal.world.store, deal.world.owner("B")
    document = sign_receipt(store, buyer, str(deal.id), deal.world.now)
    from safehands.transfer.receipt import accept_receipt

    seller, now = deal.world.owner(), deal.world.now
    stranger = SigningKey.generate("safehands/ledger").verifier
    with pytest.raises(LedgerBroken):
        accept_receipt(store, seller, deal.id, document, stranger, now)
    changed = json.loads(json.dumps(document))
    changed["body"]["received"]["parcel"]["new"] -= 1
    with pytest.raises(LedgerBroken):
        accept_receipt(store, seller, deal.id, changed, deal.buyers_verifier, now)
    assert deal.state() == "packaged"


def test_a_person_in_no_class_stops_the_package(deal: Deal) -> None:
    late = [collected("NEW-1", at(2026, 11, 21), receiver_phone=PHONES[9])]
    deal.world.load(late)
    with pytest.raises(HandoverRefused, match="in no class"):
        deal.package()
    assert not deal.path.exists()


def test_old_exports_bring_nobody_back(deal: Deal) -> None:
    deal.whole()
    old = [collected("A0-0", at(2026, 11, 1), receiver_phone=PHONES[0])]
    deal.world.load(old)
    assert PHONES[0] not in phones_of(deal.world, "A")


def test_every_column_of_people_has_a_fate(deal: Deal) -> None:
    query = text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name = :name"
    )
    with deal.world.store.admin().begin() as connection:
        for table, fates in FATE.items():
            found = set(connection.execute(query, {"name": table}).scalars())
            assert found == set(fates), table


def test_policy_says_what_a_package_does() -> None:
    rules = load_transfer_policy(POLICY)
    check_policy(rules)
    for table, columns in FATE.items():
        for column in columns:
            other = rules.model_dump(mode="json")
            said = other["moves"][table]["columns"]
            said[column] = "never" if said[column] != "never" else "move"
            with pytest.raises(PolicyError) as differs:
                check_policy(TransferPolicy.model_validate(other))
            assert differs.value.params == {"table": table, "column": column}


def test_the_documents_and_the_ledger_hold_no_value(deal: Deal) -> None:
    deal.whole()
    store, buyer = deal.world.store, deal.world.owner("B")
    document = sign_receipt(store, buyer, str(deal.id), deal.world.now)
    with store.begin("safehands_backup") as connection:
        bodies = connection.execute(text("SELECT body FROM ledger_entry")).scalars().all()
        facts = connection.execute(text("SELECT result::text FROM effect")).scalars().all()
    everything = json.dumps(document, ensure_ascii=False) + "".join((*bodies, *facts))
    assert not any(phone in everything for phone in CLASSES)
    assert "张伟" not in everything
    assert replace(deal, id=deal.id) == deal
