"""The register: added once, withdrawn and never changed, names sealed, reminders in time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nights import BUSINESS_DATE
from safehands.errors import KeyProblem, PolicyError
from safehands.organisation import Row, entries, names, record, reminders, withdraw
from safehands.organisation.register import responsible_for

NAME = "钱多多"
DRILL = Row(
    "jia", "evidence", "drill", BUSINESS_DATE, date(2027, 1, 1), 0.0, "officer", NAME, "a" * 64
)
LOGS = replace(DRILL, entry="declaration", kind="log_days", number=184.0, file_digest="")


def test_the_same_rows_again_add_nothing(office: Any) -> None:
    assert record(office.inst, [DRILL, LOGS], BUSINESS_DATE) == 2
    ledger = office.rows("SELECT count(*) FROM ledger_entry")
    assert record(office.inst, [DRILL, LOGS], BUSINESS_DATE) == 0
    assert record(office.inst, [DRILL, LOGS], BUSINESS_DATE + timedelta(days=1)) == 0
    assert office.rows("SELECT count(*) FROM ledger_entry") == ledger
    assert [entry.kind for entry in entries(office.inst, BUSINESS_DATE)] == ["drill", "log_days"]


def test_a_declaration_of_the_same_day_replaces_the_one_before(office: Any) -> None:
    for number in (184.0, 90.0, 184.0):
        record(office.inst, [replace(LOGS, number=number)], BUSINESS_DATE)
    assert [e.number for e in entries(office.inst, BUSINESS_DATE)] == [184.0]
    all_of_them = entries(office.inst, BUSINESS_DATE, withdrawn=True)
    assert [(e.number, e.withdrawn) for e in all_of_them] == [
        (184.0, True),
        (90.0, True),
        (184.0, False),
    ]


def test_what_is_held_later_is_not_seen_before(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    assert entries(office.inst, BUSINESS_DATE - timedelta(days=1)) == []
    (entry,) = entries(office.inst, BUSINESS_DATE)
    assert entry.valid_on(date(2027, 1, 1))
    assert not entry.valid_on(date(2027, 1, 2))


def test_a_withdrawn_entry_stays_and_counts_no_longer(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    (entry,) = entries(office.inst, BUSINESS_DATE)
    with pytest.raises(PolicyError):
        withdraw(office.inst, "yi", entry.id)
    withdraw(office.inst, "jia", entry.id)
    assert entries(office.inst, BUSINESS_DATE) == []
    (kept,) = entries(office.inst, BUSINESS_DATE, withdrawn=True)
    assert not kept.valid_on(BUSINESS_DATE)
    with pytest.raises(PolicyError):
        withdraw(office.inst, "jia", entry.id)
    # And the same evidence may be registered again.
    assert record(office.inst, [DRILL], BUSINESS_DATE) == 1


def test_a_name_is_sealed_and_opening_it_is_recorded(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    everything = [
        *office.rows("SELECT row_to_json(e)::text FROM control_evidence e"),
        *office.rows("SELECT encode(sealed, 'escape') FROM control_evidence"),
        *office.rows("SELECT body FROM ledger_entry"),
    ]
    assert all(NAME not in str(row) and "\\u94b1" not in str(row) for row in everything)
    (entry,) = entries(office.inst, BUSINESS_DATE)
    assert NAME not in repr(entry)
    assert responsible_for(office.inst, "jia", entry.id) == NAME
    (last,) = office.rows("SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 1")
    assert json.loads(last.body)["facts"]["counts"] == {"name_opened": 1}
    with pytest.raises(PolicyError):
        responsible_for(office.inst, "yi", entry.id)


def test_a_sealed_name_opens_for_its_owner_and_day_alone(office: Any) -> None:
    provider = office.inst.provider
    sealed = names.seal(provider, "jia", BUSINESS_DATE, NAME)
    assert names.reveal(provider, "jia", BUSINESS_DATE, sealed)["responsible"] == NAME
    names.seal(provider, "yi", BUSINESS_DATE, "x")
    with pytest.raises(KeyProblem):
        names.reveal(provider, "yi", BUSINESS_DATE, sealed)
    assert len(names.seal(provider, "jia", BUSINESS_DATE, "李")) == len(sealed)
    assert names.seal(provider, "jia", BUSINESS_DATE, "") == b""


def test_a_name_is_forgotten_with_the_last_evidence_of_its_day(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    (entry,) = entries(office.inst, BUSINESS_DATE)
    assert names.forget(office.inst, date(2027, 1, 1)) == 0
    assert responsible_for(office.inst, "jia", entry.id) == NAME
    assert names.forget(office.inst, date(2027, 1, 2)) == 1
    assert responsible_for(office.inst, "jia", entry.id) == ""
    assert [e.id for e in entries(office.inst, BUSINESS_DATE)] == [entry.id]


def test_an_unknown_owner_writes_nothing(office: Any) -> None:
    with pytest.raises(PolicyError):
        record(office.inst, [DRILL, replace(DRILL, owner="nobody")], BUSINESS_DATE)
    with pytest.raises(PolicyError):
        record(office.inst, [replace(DRILL, owner="")], BUSINESS_DATE)
    assert entries(office.inst, BUSINESS_DATE) == []


def test_reminders_tell_what_expires_what_has_expired_and_what_is_missing(office: Any) -> None:
    soon, past = BUSINESS_DATE + timedelta(days=30), BUSINESS_DATE - timedelta(days=1)
    start = BUSINESS_DATE - timedelta(days=9)
    for kind, until in (
        ("drill", soon),
        ("audit", past),
        ("training", soon + timedelta(days=1)),
    ):
        record(office.inst, [replace(DRILL, kind=kind, held_on=start, valid_until=until)], start)
    found = {
        (r.kind, r.state)
        for r in reminders(office.inst, office.organisation, BUSINESS_DATE)
        if r.owner == "jia"
    }
    assert ("drill", "expires") in found
    assert ("audit", "expired") in found
    assert ("devices", "missing") in found
    assert not {kind for kind, _ in found} & {"training"}
    renewed = replace(DRILL, kind="audit", valid_until=date(2027, 6, 1))
    record(office.inst, [renewed], BUSINESS_DATE)
    left = reminders(office.inst, office.organisation, BUSINESS_DATE)
    assert "audit" not in {r.kind for r in left if r.owner == "jia"}


def test_the_auditor_sees_evidence_and_no_name(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    store = office.inst.store
    with store.begin("safehands_auditor") as connection:
        assert connection.execute(text("SELECT count(kind) FROM control_evidence")).scalar() == 1
    for column in ("sealed", "*"):
        with pytest.raises(DBAPIError), store.begin("safehands_auditor") as connection:
            connection.execute(text(f"SELECT {column} FROM control_evidence"))


@pytest.mark.parametrize("table", ["control_evidence", "rule_figure", "rule_result", "finding"])
def test_one_owner_does_not_see_anothers(office: Any, table: str) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    ids = {row.code: row.id for row in office.rows("SELECT code, id FROM controller")}
    with office.inst.store.begin(controller=ids["yi"]) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
    with office.inst.store.begin() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


def test_no_role_of_ours_changes_or_removes_evidence(office: Any) -> None:
    record(office.inst, [DRILL], BUSINESS_DATE)
    (owner,) = office.rows("SELECT id FROM controller WHERE code = 'jia'")
    for statement in (
        "DELETE FROM control_evidence",
        "UPDATE control_evidence SET valid_until = '2030-01-01'",
        "UPDATE rule_result SET outcome = 'met'",
        "UPDATE finding SET due = '2030-01-01'",
    ):
        with pytest.raises(DBAPIError), office.inst.store.begin(controller=owner.id) as connection:
            connection.execute(text(statement))
