"""Impact assessments: filled from evidence, draft without a name, stale when a number moves."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from rulebook_home import OWNER, Home
from sqlalchemy.exc import ProgrammingError

from nights import BUSINESS_DATE
from safehands import pipia
from safehands.errors import PolicyError
from safehands.pipia.document import compose, external, with_names
from safehands.store.register import owners

ASSESSOR = "王评估"


def answer_all(home: Home, case: pipia.Case, level: int = 1, name: str = ASSESSOR) -> None:
    for one in pipia.look(home.inst, case, BUSINESS_DATE).answers.values():
        if one.question.is_judgement:
            choice = 1 if one.question.kind == "yes_no" else level
            pipia.answer(home.inst, case, one.name, choice, name, "理由", BUSINESS_DATE)


def test_figures_are_filled_and_judgements_are_drafts(home: Home) -> None:
    home.assessment(BUSINESS_DATE, 7, 0.04, 1 / 7)
    home.declare("people_elsewhere", 200_000)
    home.backup(BUSINESS_DATE)
    case = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    assert case.form == "full"
    seen = pipia.look(home.inst, case, BUSINESS_DATE)
    risk = {item.measure: item for item in seen.answers["reidentification"].evidence}
    assert (risk["store.risk_k"].number, risk["store.risk_k"].outcome) == (7.0, "met")
    assert risk["store.risk_k"].run.startswith("risk_assessment ")
    assert risk["store.risk_k"].source == "store.risk_k"
    judgements = [a for a in seen.answers.values() if a.question.is_judgement]
    assert judgements
    assert all(a.draft for a in judgements)
    with pytest.raises(PolicyError, match="necessity"):
        pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    again = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    assert again.pipia_id == case.pipia_id


def test_an_answer_goes_stale_when_its_number_moves(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE)
    pipia.answer(home.inst, case, "impact_differential_treatment", 2, ASSESSOR, "", BUSINESS_DATE)
    home.declare("marketing", 1)
    seen = pipia.look(home.inst, case, BUSINESS_DATE)
    moved = seen.answers["impact_differential_treatment"]
    assert moved.stale
    assert not moved.draft
    (one,) = moved.moved
    assert (one.measure, one.was, one.now) == ("declared.marketing", None, 1.0)
    answer_all(home, case)
    assert not any(a.stale for a in pipia.look(home.inst, case, BUSINESS_DATE).answers.values())


def test_a_signed_assessment_is_current_feeds_the_rules_and_cannot_change(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    answer_all(home, case, level=1)
    owner = owners(home.inst.store)[OWNER]
    with home.inst.store.begin(controller=owner.id) as connection:
        assert pipia.current(connection, owner.id, "handover", BUSINESS_DATE) is None
    digest = pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    with home.inst.store.begin(controller=owner.id) as connection:
        found = pipia.current(connection, owner.id, "handover", BUSINESS_DATE, "H-1")
        assert found is not None
        assert (found.worst, found.acceptable, found.stale) == (1, True, 0)
        assert found.keep_until == BUSINESS_DATE.replace(year=BUSINESS_DATE.year + 3)
        assert pipia.current(connection, owner.id, "sharing", BUSINESS_DATE) is None
        late = found.valid_until + timedelta(days=1)
        assert pipia.current(connection, owner.id, "handover", late) is None
        assert pipia.current(connection, owner.id, "handover", BUSINESS_DATE, "H-2") is None
        transfer = BUSINESS_DATE + timedelta(days=3)
        figures = home.books.rules.figures
        assert (
            pipia.precedes(connection, figures, owner, found, "H-1", transfer, BUSINESS_DATE) == 3
        )
    facts = home.facts()
    assert facts["figure.assessment.worst_level"].number == 1
    assert facts["register.impact_assessment"].number == 1
    (row,) = home.rows("SELECT file_digest FROM control_evidence WHERE kind = 'impact_assessment'")
    assert row.file_digest == digest
    signed = pipia.find(home.inst, str(case.pipia_id))
    with pytest.raises(PolicyError, match="签署"):
        pipia.answer(home.inst, signed, "necessity", 1, ASSESSOR, "", BUSINESS_DATE)
    # A number that moves after signing is counted, and what was signed stays.
    home.declare("marketing", 1)
    assert pipia.check(home.inst, signed, BUSINESS_DATE) >= 1
    with home.inst.store.begin(controller=owner.id) as connection:
        after = pipia.current(connection, owner.id, "handover", BUSINESS_DATE)
    assert after is not None
    assert after.stale >= 1


def test_high_risk_after_controls_is_not_acceptable(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE)
    answer_all(home, case, level=4)
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    owner = owners(home.inst.store)[OWNER]
    with home.inst.store.begin(controller=owner.id) as connection:
        found = pipia.current(connection, owner.id, "sharing", BUSINESS_DATE)
    assert found is not None
    assert (found.worst, found.acceptable) == (4, False)


@pytest.mark.parametrize("verb", ["DELETE FROM", "UPDATE"])
def test_nobody_may_delete_or_change_an_assessment(home: Home, verb: str) -> None:
    pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE)
    for table in ("pipia", "pipia_answer", "pipia_event"):
        statement = f"{verb} {table}" + (" SET controller_id = 1" if verb == "UPDATE" else "")
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            home.inst.store.begin(controller=home.owner_id) as connection,
        ):
            connection.exec_driver_sql(statement)


def test_the_external_edition_singles_out_nobody(home: Home) -> None:
    home.assessment(BUSINESS_DATE, 1, 0.4, 1.0)
    home.declare("people_elsewhere", 200_013)
    case = pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE)
    answer_all(home, case)
    seen = pipia.look(home.inst, case, BUSINESS_DATE)
    inside = with_names(compose(home.inst, seen, BUSINESS_DATE), seen.answers, "张负责")
    assert ASSESSOR in json.dumps(inside, ensure_ascii=False)
    outside = external(inside, seen.questions)
    words = json.dumps(outside, ensure_ascii=False)
    for hidden in (ASSESSOR, "张负责", "理由", "200013", "200,013"):
        assert hidden not in words
    by_name = {a["name"]: a for part in outside["parts"] for a in part["answers"]}
    (people,) = by_name["people"]["evidence"]
    assert (people["shown"], people["number"]) == ("200,010", None)
    assert [i["shown"] for i in by_name["reidentification"]["evidence"]][:2] == ["–", "–"]
    assert outside["trend"] == []


def test_names_are_sealed_in_the_store_and_not_in_the_ledger(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE)
    answer_all(home, case)
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    for table in ("pipia", "pipia_answer", "pipia_event", "ledger_entry"):
        for row in home.rows(f"SELECT t::text AS line FROM {table} t"):
            assert ASSESSOR not in row.line
            assert "张负责" not in row.line


def test_small_handlers_get_a_form_marked_as_not_verified(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "sensitive", BUSINESS_DATE)
    assert case.form == "simplified"
    seen = pipia.look(home.inst, case, BUSINESS_DATE)
    document = compose(home.inst, seen, BUSINESS_DATE)
    assert document["self_audit"]["verified"] is False
    assert "未核对" in document["self_audit"]["note"]["zh"]
    assert len(document["self_audit"]["items"]) == 19
    assert len(seen.answers) < len(seen.questions.questions)
    with pytest.raises(PolicyError, match="before_technical"):
        pipia.answer(home.inst, case, "before_technical", 1, ASSESSOR, "", BUSINESS_DATE)


def test_a_choice_off_the_scale_or_without_a_name_is_refused(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "sensitive", BUSINESS_DATE)
    for name, choice, who in (
        ("impact_harm", 0, ASSESSOR),
        ("necessity", 2, ASSESSOR),
        ("necessity", 1, " "),
        ("purposes", 1, ASSESSOR),
    ):
        with pytest.raises(PolicyError):
            pipia.answer(home.inst, case, name, choice, who, "", BUSINESS_DATE)
