"""Disclosures: agreed fields only, people with a basis, tokens of their own, small groups out."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyrage
import pytest
from sharing_office import DISTRICTS, PHONES, Office

from nights import BUSINESS_DATE
from safehands import sharing
from safehands.errors import AccessRefused, GateClosed, KeyProblem, PolicyError, SafehandsError
from safehands.keys import age
from safehands.sharing.abroad import needed

CALLS = {"dataset": "people", "model": "identified", "purposes": ["service"], "fields": ["phone"]}


def key(refused: Any) -> str:
    error = refused.value
    assert isinstance(error, SafehandsError)
    return error.key


def test_only_agreed_fields_of_groups_that_are_large_enough(office: Office) -> None:
    book = office.agree(analyst={})
    made = office.give(book, "analyst")
    rows = office.opened(made.file)
    assert list(rows[0]) == ["ref", "district", "arrived_week", "status"]
    # Nine people in one district; three in the other are too few for k = 5.
    assert {row["district"] for row in rows} == {str(DISTRICTS[0])}
    assert len({row["ref"] for row in rows}) == made.people == 9
    assert made.suppressed == 40 - len(rows) > 0


def test_two_recipients_cannot_join_their_files_and_one_can(office: Office) -> None:
    book = office.agree(one={}, two={})
    refs = [
        {row["ref"] for row in office.opened(office.give(book, code).file)}
        for code in ("one", "two", "one")
    ]
    assert not refs[0] & refs[1]
    assert refs[0] == refs[2]
    assert not refs[0] & {str(one) for one in office.people.values()}


def test_a_leaked_row_names_its_recipient(office: Office) -> None:
    book = office.agree(one={}, two={})
    office.give(book, "one")
    row = office.opened(office.give(book, "two").file)[4]
    found = sharing.trace(office.inst, f"x,{row['ref']},y", ["A", "B"])
    assert found == [sharing.Traced("A", "two", "code", 1, 1)]
    assert sharing.trace(office.inst, "01234567-0123-0123-0123-0123456789ab", ["A"]) == []


def test_no_agreement_in_force_no_disclosure(office: Office) -> None:
    book = office.agree(late={"until": "2026-11-22"}, early={"from": "2026-11-24"})
    for code, wanted in (
        ("late", "sharing.not_in_force"),
        ("early", "sharing.not_in_force"),
        ("nobody", "sharing.no_agreement"),
    ):
        with pytest.raises(GateClosed) as refused:
            office.give(book, code)
        assert key(refused) == wanted
    assert office.rows("SELECT * FROM disclosure") == []
    assert sharing.ending(book, BUSINESS_DATE) == [("late", date(2026, 11, 22))]


def test_six_digits_of_a_phone_are_hidden_and_a_formula_is_none(office: Office) -> None:
    fields = ["ref", "name_masked", "phone_masked"]
    book = office.agree(courier={**CALLS, "fields": fields})
    rows = office.opened(office.give(book, "courier").file)
    assert len(rows) == 12
    for row in rows:
        phone = row["phone_masked"].replace("∗", "*")
        assert (len(phone), phone.count("*")) == (11, 6)
    assert all("伟" not in row["name_masked"] for row in rows)
    assert not any(row["name_masked"].startswith(("=", "+", "-", "@")) for row in rows)


def test_the_file_opens_for_the_recipient_alone(office: Office) -> None:
    book = office.agree(gateway=CALLS)
    made = office.give(book, "gateway")
    assert {row["phone"] for row in office.opened(made.file)} == set(PHONES)
    assert not any(phone.encode() in made.file.read_bytes() for phone in PHONES)
    assert made.file.stat().st_mode & 0o077 == 0
    with pytest.raises(KeyProblem):
        age.decrypt(made.file.read_bytes(), str(pyrage.x25519.Identity.generate()))


def test_consent_is_needed_where_the_purpose_rests_on_it(office: Office) -> None:
    book = office.agree(ads={**CALLS, "purposes": ["marketing"]})
    with pytest.raises(GateClosed) as refused:
        office.give(book, "ads")
    assert key(refused) == "sharing.nobody"
    # Another handler than a processor asks for separate consent, which policy doesn't ask yet.
    with pytest.raises(PolicyError, match="PIPL 23"):
        office.agree(ads={"role": "independent", "purposes": ["marketing"]})


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": ["ref", "phone"], "model": "controlled", "dataset": "people"},
        {**CALLS, "role": "independent", "necessary": "yes"},
        {"fields": ["ref", "sealed"]},
        {"fields": ["ref", "notify_channel"]},
        {"model": "public"},
        {"fields": ["status"]},
        {"fields": ["district", "arrived_week", "status"]},
        {"purposes": ["selling"]},
        {"until": "2025-12-31"},
        {"region": "HK"},
        {"storage": ["CN", "US"]},
        {"age": "AGE-SECRET-KEY-1"},
        {"approver": ""},
    ],
)
def test_an_agreement_that_asks_for_too_much_is_refused(
    office: Office, changes: dict[str, Any]
) -> None:
    with pytest.raises(PolicyError):
        office.agree(bad=changes)


def test_a_restricted_person_is_nobody(office: Office) -> None:
    book = office.agree(gateway=CALLS)
    office.world.restrict(office.people[PHONES[0]])
    rows = office.opened(office.give(book, "gateway").file)
    assert {row["phone"] for row in rows} == set(PHONES[1:])


def test_the_register_and_the_ledger_hold_counts(office: Office) -> None:
    book = office.agree(gateway=CALLS)
    made = office.give(book, "gateway")
    (line,) = office.rows("SELECT * FROM disclosure")
    assert (line["id"], line["people"], line["rows"]) == (made.number, 12, 12)
    told = office.ledger() + str(line["facts"])
    assert '"event":"disclosure"' in told
    assert not any(phone in told for phone in PHONES)
    assert not any(str(subject) in told for subject in office.people.values())
    figures = office.world.rows(
        "SELECT run, number FROM rule_figure WHERE name = 'supply.without_basis' ORDER BY id"
    )
    # Once before the file was made, for the gate; once after it was given.
    assert [(row["run"], row["number"]) for row in figures] == [
        ("share-gateway", 0.0),
        (f"disclosure-{made.number}", 0.0),
    ]


def test_many_rows_want_a_reason(office: Office) -> None:
    book = office.agree(analyst={}).model_copy(update={"bulk_rows": 5})
    with pytest.raises(AccessRefused) as refused:
        office.give(book, "analyst")
    assert key(refused) == "sharing.bulk"
    office.give(book, "analyst", "analysis")
    assert '"event":"bulk_export"' in office.ledger()


def test_parquet_carries_its_data_sheet(office: Office) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    book = office.agree(analyst={"format": "parquet"})
    made = office.give(book, "analyst")
    table = pq.read_table(pa.BufferReader(office.clear(made.file)))
    assert b'"recipient"' in table.schema.metadata[b"safehands"]
    assert table.num_rows == made.rows


def test_an_erasure_and_a_late_agreement_are_recalled_until_acknowledged(office: Office) -> None:
    book = office.agree(one={**CALLS, "fields": ["ref"]}, two={**CALLS, "fields": ["ref"]})
    rows = office.opened(office.give(book, "one").file)
    office.give(book, "two")
    gone = office.people[PHONES[5]]
    with office.inst.store.admin().begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM subject WHERE subject_id = '{gone}'")
    found = sharing.recalls(office.inst, book, "A", BUSINESS_DATE)
    assert [(one.agreement, one.due, one.sent) for one in found] == [("one", 1, 0), ("two", 1, 0)]
    file = sharing.recall(office.inst, book, "A", "one", BUSINESS_DATE, "wang.li")
    asked = office.clear(file).decode()
    assert sum(row["ref"] in asked for row in rows) == 1
    assert str(gone) not in asked
    with pytest.raises(GateClosed, match="two"):
        sharing.acknowledge(office.inst, "A", "two", "wang.li", "mail 7")
    assert sharing.acknowledge(office.inst, "A", "one", "wang.li", "mail 7") == 1
    left = office.rows("SELECT state FROM disclosure_subject WHERE subject_id IS NULL")
    assert sorted(row["state"] for row in left) == ["acknowledged", "due"]
    tokens = office.rows("SELECT token FROM disclosure_subject WHERE state = 'acknowledged'")
    assert tokens == [{"token": None}]
    later = sharing.recalls(office.inst, book, "A", date(2027, 1, 1))
    assert sum(one.due for one in later) == 11 + 12


def test_the_law_s_steps_abroad(office: Office) -> None:
    book = office.agree()
    steps = [
        ((99_999, 0), ""),
        ((100_000, 0), "standard_contract"),
        ((1, 1), "standard_contract"),
        ((999_999, 9_999), "standard_contract"),
        ((1_000_000, 0), "assessment"),
        ((1, 10_000), "assessment"),
    ]
    for (people, sensitive), wanted in steps:
        assert needed(book, people, sensitive) == wanted
