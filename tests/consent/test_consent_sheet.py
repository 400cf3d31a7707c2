"""A sheet of answers is taken whole, once, or not at all."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from consent_office import PHONES, Office
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import text

from minimised import at
from nights import BUSINESS_DATE, NOW
from safehands.consent import Read, import_sheet, night_figures
from safehands.consent.sheet import Asked
from safehands.errors import BadInput
from safehands.messages import say
from safehands.night import SHANGHAI
from safehands.notices import publish
from safehands.notices.book import Sensitive
from safehands.organisation.files import Words

ASKED = Asked("marketing", "survey", 1, "autumn")
HEAD = ["答卷编号", "您的手机号", "您是否同意", "提交时间", "喜欢的颜色"]
ROWS = [
    ["1001", "138 0000 0001", "同意", "2026-11-12 10:00:00", "红"],
    ["1002", "+86 13800000002", "不同意", "2026/11/12 11:05", "蓝"],
    ["1003", "13999999999", "同意", "2026-11-12", "绿"],
]


WRONG = {
    name: tuple(say(f"consent.wrong.{name}", lang) for lang in ("zh", "en"))
    for name in ("phone", "answer", "at")
}


def write(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in [HEAD, *rows]), encoding="gb18030")
    return path


def take(office: Office, path: Path, asked: Asked = ASKED) -> Read:
    return import_sheet(office.inst, "A", path, asked, "wang.li", NOW)


def test_a_survey_export_is_read(office: Office, tmp_path: Path) -> None:
    found = take(office, write(tmp_path / "answers.csv", ROWS))
    assert (found.recorded, found.unknown, found.stopped) == (2, 1, 1)
    assert office.allowed() == {office.people[PHONES[0]]}
    assert office.standing(PHONES[1]) == "refused"
    evidence = office.world.rows(
        "SELECT evidence, campaign, channel FROM consent_event ORDER BY id"
    )
    assert evidence[0] == {"evidence": "1001", "campaign": "autumn", "channel": "survey"}


def test_a_workbook_is_read(office: Office, tmp_path: Path) -> None:
    book = Workbook()
    for row in [["手机号", "是否同意", "日期"], [PHONES[2], "是", "2026-11-12"]]:
        book.active.append(row)
    book.save(tmp_path / "counter.xlsx")
    assert take(office, tmp_path / "counter.xlsx").recorded == 1
    (event,) = office.world.rows("SELECT evidence FROM consent_event")
    assert event["evidence"] == "counter.xlsx#2"


def test_the_same_file_again_changes_nothing(office: Office, tmp_path: Path) -> None:
    path = write(tmp_path / "answers.csv", ROWS)
    take(office, path)
    before = office.world.rows("SELECT * FROM consent_event ORDER BY id")
    assert take(office, path).again
    assert office.world.rows("SELECT * FROM consent_event ORDER BY id") == before


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (["1", "1380000", "同意", "2026-11-12", ""], "phone"),
        (["1", PHONES[0], "也许", "2026-11-12", ""], "answer"),
        (["1", PHONES[0], "同意", "昨天", ""], "at"),
    ],
)
def test_one_bad_line_and_nothing_is_taken(
    office: Office, tmp_path: Path, row: list[str], column: str
) -> None:
    with pytest.raises(BadInput) as problem:
        take(office, write(tmp_path / "answers.csv", [ROWS[0], row]))
    assert problem.value.key == "consent.lines"
    assert problem.value.params["count"] == 1
    assert problem.value.params["lines"] == (
        f"第 3 行：{WRONG[column][0]} / {WRONG[column][1]} / "
        f"Row 3: {WRONG[column][0]} / {WRONG[column][1]}"
    )
    assert not any(cell and cell in str(problem.value) for cell in row[1:2])
    assert office.world.rows("SELECT id FROM consent_event") == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Asked("marketing", "survey", 7), "notice"),
        (Asked("custody", "survey", 1), "consent"),
    ],
)
def test_a_line_that_is_no_consent_stops_the_file(
    office: Office, tmp_path: Path, asked: Asked, why: str
) -> None:
    with pytest.raises(BadInput) as problem:
        take(office, write(tmp_path / "answers.csv", ROWS), asked)
    assert "Row 2:" in str(problem.value.params["lines"])
    assert why in str(problem.value.params["lines"])
    assert office.world.rows("SELECT id FROM consent_event") == []


@pytest.mark.parametrize("lacking", ["您的手机号", "您是否同意", "提交时间"])
def test_a_missing_column_is_named(office: Office, tmp_path: Path, lacking: str) -> None:
    place: Any = HEAD.index(lacking)
    rows = [[cell for i, cell in enumerate(row) if i != place] for row in [HEAD, *ROWS]]
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    with pytest.raises(BadInput) as problem:
        take(office, path)
    assert problem.value.key == "consent.no_column"


def test_every_wrong_line_is_named_and_no_cell(office: Office, tmp_path: Path) -> None:
    bad = [["9", "0755", "也许", "昨天", ""] for _ in range(25)]
    with pytest.raises(BadInput) as problem:
        take(office, write(tmp_path / "answers.csv", [ROWS[0], *bad]))
    lines = str(problem.value.params["lines"])
    assert problem.value.params["count"] == 25
    assert all(f"Row {row}:" in lines for row in range(3, 23))
    assert "And 5 more." in lines
    assert not any(cell in lines for cell in ("0755", "也许", "昨天"))
    assert office.world.rows("SELECT id FROM consent_event") == []


YOUNG = ["手机号", "是否同意", "日期", "未满14周岁", "监护人凭证"]


def young(office: Office, path: Path, *rows: list[str]) -> Read:
    path.write_text("\n".join(",".join(row) for row in [YOUNG, *rows]), encoding="utf-8")
    return take(office, path)


def test_a_child_without_a_guardian_is_restricted_and_consents_to_nothing(
    office: Office, tmp_path: Path
) -> None:
    found = young(
        office,
        tmp_path / "young.csv",
        [PHONES[0], "同意", "2026-11-12", "是", ""],
        [PHONES[1], "同意", "2026-11-12", "是", "G-7"],
        [PHONES[2], "同意", "2026-11-12", "否", ""],
    )
    assert (found.recorded, found.minors) == (2, 1)
    assert office.allowed() == {office.people[phone] for phone in PHONES[1:]}
    assert office.people[PHONES[0]] not in office.allowed("rights")
    (held,) = office.world.rows("SELECT subject_id, reason, until FROM restriction", storage=True)
    days = office.inst.policy.elsewhere["minors"].keep_days or 0
    assert held == {
        "subject_id": office.people[PHONES[0]],
        "reason": "minor",
        "until": NOW.astimezone(SHANGHAI).date() + timedelta(days=days),
    }


def test_a_word_about_age_that_is_none_stops_the_file(office: Office, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        young(office, tmp_path / "young.csv", [PHONES[0], "同意", "2026-11-12", "十三", ""])
    assert office.world.rows("SELECT id FROM consent_event") == []


def test_what_the_former_holder_of_a_number_said_is_not_the_present_ones_word(
    office: Office, tmp_path: Path
) -> None:
    with office.inst.store.admin().begin() as connection:
        connection.execute(
            text("UPDATE subject SET generation = 1, first_seen = :since WHERE subject_id = :who"),
            {"since": at(2026, 11, 13), "who": office.people[PHONES[0]]},
        )
    before = [["1", PHONES[0], "同意", "2026-11-12", ""]]
    after = [["2", PHONES[0], "同意", "2026-11-13", ""]]
    assert take(office, write(tmp_path / "before.csv", before)).unknown == 1
    assert office.allowed() == set()
    assert take(office, write(tmp_path / "after.csv", after)).recorded == 1


def test_the_figures_count_lists_without_consent_and_children_without_guardians(
    office: Office, tmp_path: Path
) -> None:
    def figures() -> dict[str, int]:
        night_figures(office.inst, BUSINESS_DATE, "R1")
        rows = office.world.rows("SELECT name, number FROM rule_figure")
        return {row["name"]: int(row["number"]) for row in rows}

    assert figures()["consent.marketing_without"] == 3
    yes = [PHONES[1], "同意", "2026-11-12", "是", "G-7"]
    young(office, tmp_path / "young.csv", yes)
    found = figures()
    assert (found["consent.marketing_without"], found["consent.minors_without_guardian"]) == (2, 0)
    young(office, tmp_path / "later.csv", [PHONES[1], "撤回", "2026-11-13", "", "G-8"])
    assert figures()["consent.minors_without_guardian"] == 1


def test_parcels_that_nobody_wanted_at_the_station_are_counted_until_they_are_marked(
    office: Office,
) -> None:
    def unflagged() -> int:
        night_figures(office.inst, BUSINESS_DATE, "R1")
        rows = office.world.rows("SELECT number FROM rule_figure WHERE name = 'delivery.unflagged'")
        return int(rows[0]["number"])

    def run(statement: str) -> None:
        values = {"who": office.people[PHONES[0]], "other": office.people[PHONES[1]]}
        with office.inst.store.admin().begin() as connection:
            connection.execute(text(statement), values)

    assert unflagged() == 0
    run("UPDATE preference SET delivery_choice = 2 WHERE subject_id = :who")
    run("UPDATE preference SET delivery_choice = 1 WHERE subject_id = :other")
    # All of them were collected: nothing waits at the station.
    assert unflagged() == 0
    run("UPDATE parcel SET status = 1, collected_at = NULL WHERE subject_id IN (:who, :other)")
    assert unflagged() == 1
    run("UPDATE parcel SET status = 4 WHERE subject_id = :who")
    assert unflagged() == 0


def test_a_sensitive_field_that_is_kept_asks_everybody_for_a_separate_consent(
    office: Office,
) -> None:
    def missing() -> int:
        night_figures(office.inst, BUSINESS_DATE, "R1")
        rows = office.world.rows(
            "SELECT number FROM rule_figure WHERE name = 'consent.sensitive_missing'"
        )
        return int(rows[0]["number"])

    def keep(*purposes: str) -> None:
        """Let policy keep the goods, which are sensitive, for these purposes."""
        policy = office.inst.policy
        parcels = policy.datasets["parcels"]
        goods = parcels.fields["goods"]
        kept = goods.model_copy(update={"purposes": purposes, "treatment": "seal"})
        fields = {**parcels.fields, "goods": kept}
        block = parcels.model_copy(update={"fields": fields})
        changed = {**policy.datasets, "parcels": block}
        office.inst.policy = policy.model_copy(update={"datasets": changed})

    assert missing() == 0
    # Custody asks no separate consent, so that nobody can have given one.
    keep("custody")
    assert missing() == len(PHONES)
    keep("handover")
    assert missing() == len(PHONES)
    words = Words(zh="测试", en="a test")
    document = office.document({"goods": Sensitive(necessity=words, impact=words)})
    publish(office.inst.store, document, BUSINESS_DATE, "wang.li", NOW)
    said = at(2026, 11, 23)
    office.record(office.answer("granted", purpose="handover", at=said, notice=2, separate=True))
    assert missing() == len(PHONES) - 1


CELLS = st.sampled_from(["同意", "不同意", "撤回", "也许", ""])
NUMBERS = st.sampled_from([*PHONES, "13999999999", "0755"])


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(NUMBERS, CELLS), min_size=1, max_size=5))
def test_a_file_is_taken_whole_or_not_at_all(
    office: Office, tmp_path: Path, said: list[tuple[str, str]]
) -> None:
    with office.inst.store.admin().begin() as connection:
        connection.execute(text("TRUNCATE consent_event"))
    rows = [[str(i), phone, cell, "2026-11-12", ""] for i, (phone, cell) in enumerate(said)]
    path = write(tmp_path / "answers.csv", rows)
    good = all(phone != "0755" and cell not in ("也许", "") for phone, cell in said)
    if not good:
        with pytest.raises(BadInput):
            take(office, path)
    else:
        found = take(office, path)
        assert found.recorded + found.unknown == len(said)
    kept = office.world.rows("SELECT id FROM consent_event")
    assert len(kept) == (sum(phone in PHONES for phone, _ in said) if good else 0)
