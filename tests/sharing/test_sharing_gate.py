"""The gate of sharing: what it asks of one file, and that nothing is given while it is closed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sharing_office import Office

from nights import BUSINESS_DATE
from safehands import gates, sharing
from safehands.errors import GateClosed, PolicyError
from safehands.vault.access import OFFICER

CALLS = {"dataset": "people", "model": "identified", "purposes": ["service"], "fields": ["phone"]}


def verdict(office: Office, book: sharing.ShareBook, code: str) -> gates.GateVerdict:
    owner = office.world.owner()
    made = office.plan(book, code)
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        return sharing.ask_gate(connection, office.inst, made, owner, BUSINESS_DATE)


def stopped_by(office: Office, book: sharing.ShareBook, code: str) -> set[str]:
    with pytest.raises(GateClosed) as refused:
        office.give(book, code)
    assert refused.value.key == "gates.closed"
    assert office.rows("SELECT * FROM disclosure") == []
    assert not list(Path(office.inst.settings.home).glob("shares/*"))
    found = {item.id for item in verdict(office, book, code).blockers}
    assert all(name in str(refused.value.params["what"]) for name in found)
    return found


def test_what_is_judged_is_the_file_and_not_the_store(office: Office) -> None:
    book = office.agree(analyst={})
    office.give(book, "analyst")
    kept = office.rows(
        "SELECT name, number, scope, run FROM rule_figure WHERE name LIKE 'sharing.%' ORDER BY 1"
    )
    # Nine people in one class; R = 1/9 times the likeliest threat, 0.2.
    assert [(row["name"], row["scope"], row["run"]) for row in kept] == [
        ("sharing.highest_risk", "analyst", "share-analyst"),
        ("sharing.least_class", "analyst", "share-analyst"),
        ("sharing.overall_risk", "analyst", "share-analyst"),
    ]
    assert [row["number"] for row in kept] == pytest.approx([1 / 9, 9, 0.2 / 9])
    verdicts = office.rows(
        "SELECT rule, outcome, evidence FROM rule_result WHERE occasion = 'sharing/controlled'"
        " AND rule IN ('DEI-02', 'DEI-03') ORDER BY rule"
    )
    assert [(row["rule"], row["outcome"]) for row in verdicts] == [
        ("DEI-02", "met"),
        ("DEI-03", "met"),
    ]
    assert {e["run"] for row in verdicts for e in row["evidence"]} == {"share-analyst"}


def test_parcels_of_the_same_people_make_no_group_larger(office: Office) -> None:
    plan = office.plan(office.agree(analyst={}), "analyst")
    assert plan.rows > len(set(plan.people)) == plan.smallest == 9


def test_nobody_judged_the_threats_so_the_worst_counts(office: Office) -> None:
    book = office.agree(analyst={"threats": None})
    assert stopped_by(office, book, "analyst") == {"DEI-03"}


def test_a_judgement_that_is_too_old_counts_no_more(office: Office) -> None:
    old = {"deliberate": 0.1, "inadvertent": 0.1, "breach": 0.1, "assessor": "li.ming"}
    lapsed = BUSINESS_DATE - timedelta(days=366)
    book = office.agree(analyst={"threats": {**old, "judged": lapsed.isoformat()}})
    assert stopped_by(office, book, "analyst") == {"DEI-03"}
    with pytest.raises(PolicyError, match="name of who judged"):
        office.agree(analyst={"threats": {"deliberate": 0.1, "inadvertent": 0.1, "breach": 0.1}})


def test_a_file_that_says_who_it_is_about_has_no_class_to_judge(office: Office) -> None:
    book = office.agree(gateway=CALLS)
    found = verdict(office, book, "gateway")
    assert found.is_open
    assert office.plan(book, "gateway").smallest is None


@pytest.mark.parametrize(
    ("gone", "rules"),
    [
        ("DELETE FROM pipia_event", {"PIA-01"}),
        ("UPDATE control_evidence SET withdrawn = true", {"PIA-01", "TPA-01"}),
        ("UPDATE quality_result SET failed = 1", {"SEC-01"}),
    ],
)
def test_without_evidence_nothing_is_given(office: Office, gone: str, rules: set[str]) -> None:
    book = office.agree(analyst={})
    with office.inst.store.admin().begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(gone)
    assert stopped_by(office, book, "analyst") == rules


def test_an_assessment_for_another_agreement_opens_nothing(office: Office) -> None:
    book = office.agree(one={})
    with office.inst.store.admin().begin() as connection:
        connection.exec_driver_sql("UPDATE pipia SET scope = 'two'")
    assert stopped_by(office, book, "one") == {"PIA-01"}


def test_a_report_with_a_number_in_it_stops_every_file(office: Office) -> None:
    book = office.agree(analyst={})
    report = office.inst.settings.reports / BUSINESS_DATE.isoformat() / "report.html"
    report.write_text("call 13800138000", encoding="utf-8")
    assert stopped_by(office, book, "analyst") == {"PUB-01"}


def test_what_was_given_without_a_basis_stops_what_comes_next(office: Office) -> None:
    book = office.agree(analyst={})
    made = office.give(book, "analyst")
    with office.inst.store.admin().begin() as connection:
        connection.exec_driver_sql(
            "UPDATE rule_figure SET number = 2 WHERE name = 'supply.without_basis'"
            f" AND run = 'disclosure-{made.number}'"
        )
    found = {item.id: item.number for item in verdict(office, book, "analyst").blockers}
    assert found == {"TRF-08": 2.0}
    with pytest.raises(GateClosed):
        office.give(book, "analyst")
