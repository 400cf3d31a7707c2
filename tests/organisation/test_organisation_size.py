"""Size tiers to the person, inventory and record of processing against policy and store."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nights import BUSINESS_DATE
from safehands.organisation import (
    Row,
    Size,
    inventory,
    load_organisation,
    record,
    record_of_processing,
    sizes,
    tiers_of,
    together,
)
from safehands.settings import Settings

ORGANISATION = load_organisation(Settings.read({}).policy)
PERSON = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen) SELECT c.id, gen_random_uuid(),"
    " gen_random_uuid(), 0, 1, '', 1, '', 0, now(), now() FROM controller c,"
    " generate_series(1, :n) WHERE c.code = 'jia'"
)


def held(people: int, day: date = BUSINESS_DATE) -> set[str]:
    return {tier.name for tier in tiers_of(ORGANISATION, people, day)}


@pytest.mark.parametrize(
    ("people", "tiers"),
    [
        (0, {"small", "general"}),
        (99_999, {"small", "general"}),
        (100_000, {"general"}),
        (999_999, {"general"}),
        (1_000_000, {"general", "officer"}),
        (9_999_999, {"general", "officer"}),
        (10_000_000, {"general", "officer", "important"}),
        (10_000_001, {"general", "officer", "important", "biennial_audit"}),
    ],
)
def test_the_lines_are_where_the_texts_put_them(people: int, tiers: set[str]) -> None:
    assert held(people) == tiers


def test_the_small_line_begins_with_its_rule_and_is_not_settled() -> None:
    assert "small" not in held(10, date(2026, 8, 31))
    assert "small" in held(10, date(2026, 9, 1))
    (small,) = [tier for tier in ORGANISATION.tiers if tier.name == "small"]
    assert small.confidence == "secondary"


@given(st.integers(0, 20_000_000), st.integers(0, 20_000_000))
def test_a_merge_is_looked_at_before_closing(seller: int, buyer: int) -> None:
    parts = (Size("a", seller, None, ()), Size("b", 0, buyer, ()))
    found = together(ORGANISATION, *parts, BUSINESS_DATE)
    assert {tier.name for tier in found} == held(seller + buyer)


def test_people_here_and_people_declared_are_added(office: Any) -> None:
    office.run(PERSON, n=3)
    jia, yi = sorted(sizes(office.inst, ORGANISATION, BUSINESS_DATE), key=lambda s: s.owner)
    assert (jia.here, jia.elsewhere, jia.total, yi.total) == (3, None, 3, 0)
    declared = Row(
        *("jia", "declaration", "people_elsewhere", BUSINESS_DATE, date(2027, 1, 1)),
        *(99_997.0, "owner", "", ""),
    )
    record(office.inst, [declared], BUSINESS_DATE)
    (jia,) = [s for s in sizes(office.inst, ORGANISATION, BUSINESS_DATE) if s.owner == "jia"]
    assert (jia.elsewhere, jia.total) == (99_997, 100_000)
    assert {tier.name for tier in jia.tiers} == {"general"}
    later = sizes(office.inst, ORGANISATION, date(2027, 1, 2))
    assert next(s for s in later if s.owner == "jia").elsewhere is None


def test_storage_only_people_are_people(office: Any) -> None:
    office.run(PERSON, n=2)
    office.run("UPDATE subject SET restricted = true WHERE ctid = (SELECT min(ctid) FROM subject)")
    office.run(
        "INSERT INTO restriction (controller_id, subject_id, reason, restricted_at, by_whom)"
        " SELECT controller_id, subject_id, 'request', now(), 'officer' FROM subject"
        " WHERE restricted"
    )
    (jia,) = [s for s in sizes(office.inst, ORGANISATION, BUSINESS_DATE) if s.owner == "jia"]
    assert jia.here == 2


def test_the_inventory_is_what_policy_keeps_and_the_store_holds(office: Any) -> None:
    office.run(PERSON, n=3)
    jia, yi = sorted(inventory(office.inst), key=lambda part: part["owner"])
    assert (jia["held"]["subject"], yi["held"]["subject"]) == (3, 0)
    assert jia["datasets"]["parcels"]["role"] == "entrusted"
    listed = {
        (dataset, name)
        for dataset, part in jia["datasets"].items()
        for category in part["categories"].values()
        for name in category["fields"]
    }
    kept = {
        (dataset, name)
        for dataset, block in office.inst.policy.datasets.items()
        for name, field in block.fields.items()
        if field.treatment != "drop"
    }
    assert listed == kept
    json.dumps(jia, ensure_ascii=False)


def test_every_kept_field_is_under_each_of_its_purposes(office: Any) -> None:
    evidence = Row(
        *("jia", "evidence", "training", BUSINESS_DATE, date(2027, 1, 1), 0.0, "owner", ""),
        "a" * 64,
    )
    record(office.inst, [evidence], BUSINESS_DATE)
    processing = record_of_processing(office.inst, ORGANISATION, BUSINESS_DATE)
    jia = next(part for part in processing if part["owner"] == "jia")
    assert jia["measures"]["people"] == ["training"]
    assert jia["recipients"]["by_whom"] == ["某快递"]
    for dataset, block in office.inst.policy.datasets.items():
        for name, field in block.fields.items():
            for purpose in field.purposes:
                assert name in jia["purposes"][purpose]["fields"][dataset]
                assert field.keep_for in jia["purposes"][purpose]["retention"]
    assert all(1 <= p["basis"] <= 7 for p in jia["purposes"].values())
    json.dumps(processing, ensure_ascii=False)
