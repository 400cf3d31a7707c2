"""Yes counts while its five items are there and its terms hold; no counts at once and lasts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from consent_office import PHONES, SAID, Office
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from minimised import at
from nights import BUSINESS_DATE, NOW
from safehands.consent import answers, history, may_ask, night_figures
from safehands.consent.standing import standing
from safehands.errors import AccessRefused
from safehands.notices import terms_of
from safehands.vault.access import OFFICER, officer_ring


def test_an_export_that_says_yes_is_no_consent(office: Office) -> None:
    assert office.wishes() == [(1, 2)] * 3
    assert office.allowed() == set()
    assert office.standing() == "none"


def test_whoever_granted_may_be_processed_on_consent(office: Office) -> None:
    assert office.record(office.answer("granted")) == 0
    assert office.allowed() == {office.people[PHONES[0]]}
    assert office.standing() == "granted"


def test_other_purposes_rest_on_other_bases(office: Office) -> None:
    everybody = set(office.people.values())
    assert office.allowed("proof") == office.allowed("rights") == everybody
    assert office.allowed("service") == everybody
    assert office.allowed("custody") == set()


@pytest.mark.parametrize("kind", ["refused", "withdrawn"])
def test_no_takes_at_once_what_rested_on_consent(office: Office, kind: Any) -> None:
    office.record(office.answer("granted", at=SAID - timedelta(days=1)))
    assert office.record(office.answer(kind)) == 1
    assert office.wishes() == [(0, 0), (1, 2), (1, 2)]
    assert office.allowed() == set()
    assert office.standing() == kind


def test_an_export_does_not_bring_back_what_was_withdrawn(office: Office) -> None:
    office.record(office.answer("withdrawn"))
    assert office.export()["consent_ended"] == 1
    assert office.wishes() == [(0, 0), (1, 2), (1, 2)]
    office.record(office.answer("granted", at=SAID + timedelta(days=1)))
    assert "consent_ended" not in office.export(hours=1)
    assert office.wishes() == [(1, 2)] * 3


def test_the_day_decides(office: Office) -> None:
    office.record(office.answer("granted"), office.answer("withdrawn", at=at(2026, 11, 20)))
    who = {office.people[PHONES[0]]}
    assert office.allowed(day=date(2026, 11, 9)) == set()
    assert office.allowed(day=date(2026, 11, 10)) == who
    assert office.allowed(day=date(2026, 11, 19)) == who
    assert office.allowed(day=date(2026, 11, 20)) == set()


def test_a_consent_ends_with_its_last_day(office: Office) -> None:
    office.record(office.answer("granted", valid_until=date(2026, 11, 15)))
    assert office.standing(day=date(2026, 11, 15)) == "granted"
    assert office.standing(day=date(2026, 11, 16)) == "expired"
    assert office.allowed(day=date(2026, 11, 16)) == set()
    assert office.export()["consent_ended"] == 1


def test_without_a_last_day_policy_sets_one(office: Office) -> None:
    office.record(office.answer("granted"))
    last = SAID.date() + timedelta(days=office.book.valid_days)
    assert office.standing(day=last) == "granted"
    assert office.standing(day=last + timedelta(days=1)) == "expired"


def test_changed_terms_need_a_new_consent(office: Office) -> None:
    office.record(office.answer("granted"))
    use = office.book.purposes["marketing"]
    changed = {**office.book.purposes, "marketing": replace_use(use, methods=("message", "notify"))}
    book = office.book.model_copy(update={"purposes": changed})
    assert terms_of(office.inst.policy, book, "marketing") != terms_of(
        office.inst.policy, office.book, "marketing"
    )
    office.book = book
    assert office.allowed() == set()
    assert office.standing() == "stale"


def replace_use(use: Any, **changes: Any) -> Any:
    return use.model_copy(update=changes)


def test_a_purpose_that_asks_for_separate_consent_takes_no_other(office: Office) -> None:
    use = replace_use(office.book.purposes["marketing"], separate=True)
    office.book = office.book.model_copy(
        update={"purposes": {**office.book.purposes, "marketing": use}}
    )
    with pytest.raises(AccessRefused) as problem:
        office.record(office.answer("granted"))
    assert problem.value.key == "consent.not_separate"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"purpose": "nonsense"}, "consent.unknown_purpose"),
        ({"purpose": "custody"}, "consent.not_asked"),
        ({"channel": "pigeon"}, "consent.unknown_channel"),
        ({"at": NOW + timedelta(minutes=1)}, "consent.in_future"),
        ({"evidence": ""}, "consent.no_evidence"),
        ({"evidence": "13800000001"}, "consent.reference"),
        ({"campaign": "x" * 81}, "consent.reference"),
        ({"notice": 2}, "consent.no_notice"),
        ({"notice": None}, "consent.no_notice"),
        ({"at": at(2026, 10, 31)}, "consent.no_notice"),
        ({"valid_until": date(2030, 1, 1)}, "consent.too_long"),
        ({"valid_until": date(2026, 11, 9)}, "consent.too_long"),
    ],
)
def test_a_consent_that_lacks_an_item_is_refused(
    office: Office, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(AccessRefused) as problem:
        office.record(office.answer("granted", **changes))
    assert problem.value.key == key
    assert office.allowed() == set()


def test_no_needs_neither_notice_nor_evidence(office: Office) -> None:
    office.record(office.answer("refused", notice=None, evidence=""))
    assert office.standing() == "refused"


def test_nobody_who_refused_is_asked_again(office: Office) -> None:
    office.record(
        office.answer("refused", campaign="autumn"),
        office.answer("granted", PHONES[1], campaign="autumn"),
    )
    owner = office.world.owner()
    first, second, third = (office.people[phone] for phone in PHONES)
    later = BUSINESS_DATE + timedelta(days=office.book.pause_days)
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, office.inst.store.provider, owner)

        def asked(campaign: str, day: date) -> set[Any]:
            everybody = office.people.values()
            return may_ask(connection, ring, office.book, everybody, "marketing", campaign, day)

        assert asked("autumn", BUSINESS_DATE) == {third}
        assert asked("winter", BUSINESS_DATE) == {second, third}
        assert asked("winter", later) == {first, second, third}
        assert asked("autumn", later) == {third}
        assert answers(connection, "autumn") == {first: "refused", second: "granted"}


def test_an_answer_to_a_campaign_after_a_refusal_shows_that_somebody_was_asked_again(
    office: Office,
) -> None:
    def again() -> int:
        night_figures(office.inst, BUSINESS_DATE, "R1")
        rows = office.world.rows("SELECT name, number FROM rule_figure")
        return {row["name"]: int(row["number"]) for row in rows}["consent.asked_after_refusal"]

    office.record(office.answer("refused", campaign="autumn"))
    office.record(office.answer("granted", PHONES[1], campaign="autumn"))
    # Nobody asked: the first comes to the counter by themselves, the second was never refused.
    office.record(office.answer("granted", at=SAID + timedelta(days=1)))
    office.record(
        office.answer("granted", PHONES[1], campaign="winter", at=SAID + timedelta(days=1))
    )
    assert again() == 0
    office.record(office.answer("granted", campaign="winter", at=SAID + timedelta(days=2)))
    assert again() == 1


def test_who_is_erased_is_in_no_answer_and_the_count_stays(office: Office) -> None:
    office.record(office.answer("granted"))
    who = office.people[PHONES[0]]
    with office.inst.store.begin(controller=office.world.owner().id) as connection:
        connection.execute(text("DELETE FROM subject WHERE subject_id = :who"), {"who": who})
        assert history(connection, [who]) == []
    assert office.world.rows("SELECT kind, subject_id FROM consent_event") == [
        {"kind": "granted", "subject_id": None}
    ]


def test_answers_cannot_be_changed(office: Office) -> None:
    office.record(office.answer("granted"))
    owner = office.world.owner().id
    for role in (OFFICER, "safehands_pipeline"):
        for statement in ("UPDATE consent_event SET kind = 'refused'", "DELETE FROM consent_event"):
            with (
                pytest.raises(DBAPIError, match="permission denied"),
                office.inst.store.begin(role, owner) as connection,
            ):
                connection.execute(text(statement))


def test_the_ledger_counts_and_names_nobody(office: Office) -> None:
    office.record(office.answer("granted"), office.answer("refused", PHONES[1]))
    entry = office.ledger()[-1]
    assert '"granted":1' in entry
    assert '"refused":1' in entry
    for phone, who in office.people.items():
        assert phone not in entry
        assert str(who) not in entry


def test_restricted_people_are_on_no_list(office: Office) -> None:
    office.record(office.answer("granted"))
    office.world.restrict(office.people[PHONES[0]])
    assert office.allowed() == set()
    assert office.people[PHONES[0]] not in office.allowed("rights")


KINDS = st.lists(
    st.tuples(st.sampled_from(["granted", "refused", "withdrawn"]), st.integers(0, 12)), max_size=6
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KINDS)
def test_the_last_answer_in_time_holds(office: Office, said: list[tuple[Any, int]]) -> None:
    owner = office.world.owner()
    moments = [SAID + timedelta(days=day) for _, day in said]
    with office.inst.store.admin().begin() as connection:
        connection.execute(text("TRUNCATE consent_event"))
    office.record(
        *(office.answer(kind, at=moment) for (kind, _), moment in zip(said, moments, strict=True))
    )
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        who = office.people[PHONES[0]]
        found = standing(
            connection, office.inst.policy, office.book, who, "marketing", BUSINESS_DATE
        )
    by_then = [
        (moment, place, kind)
        for place, ((kind, _), moment) in enumerate(zip(said, moments, strict=True))
        if moment.date() <= BUSINESS_DATE
    ]
    assert found.kind == (max(by_then)[2] if by_then else "none")
