"""The shipped book is whole; a wrong block is refused by the name of its rule."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from nights import BUSINESS_DATE
from safehands.errors import PolicyError
from safehands.messages import LANGUAGES
from safehands.organisation import load_organisation
from safehands.rulebook import citation, cite, duty_words, load_rulebook, number_words
from safehands.rulebook.model import Cite
from safehands.rulebook.names import FIXED, measure_label
from safehands.settings import Settings

SHIPPED = Settings.read({}).policy
BOOK = load_rulebook(SHIPPED)
# The ids of the proposed rule book: groups, and how many rules each has.
GROUPS = {
    "MIN": 2,
    "QUA": 1,
    "CLS": 3,
    "BAS": 1,
    "CON": 8,
    "NOT": 5,
    "TRF": 10,
    "DEI": 3,
    "SEC": 5,
    "RET": 3,
    "DSR": 4,
    "BRE": 5,
    "PIA": 3,
    "AUD": 4,
    "TRN": 1,
    "TPA": 1,
    "FAC": 1,
    "CAM": 1,
    "PUB": 1,
    "FRD": 1,
    "LAW": 1,
}
BLOCKING = {
    *("BAS-01", "CON-02", "CON-03", "CON-05", "CON-06", "NOT-02", "NOT-03", "NOT-04", "TRF-01"),
    *("TRF-02", "TRF-03", "TRF-04", "TRF-05", "TRF-06", "TRF-10", "SEC-05", "PIA-01", "PIA-03"),
    "CAM-01",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policy"))


def edit(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    path = folder / "rulebook" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def refused(folder: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_rulebook(folder)
    assert all(caught.value.say(lang) for lang in LANGUAGES)
    return caught.value


def test_every_rule_is_there() -> None:
    wanted = {f"{group}-{n + 1:02d}" for group, count in GROUPS.items() for n in range(count)}
    assert set(BOOK.rules) == wanted
    assert {rule.id for rule in BOOK.at(BUSINESS_DATE)} == wanted


def test_only_these_rules_block_a_hand_over() -> None:
    assert {name for name, rule in BOOK.rules.items() if rule.blocks_handover} == BLOCKING


@pytest.mark.parametrize(
    ("rule", "day", "cites"),
    [
        ("SEC-03", date(2025, 12, 31), "csl 21"),
        ("SEC-03", date(2026, 1, 1), "csl 23(3)"),
        ("RET-02", date(2025, 5, 31), "courier_regulation 34"),
        ("RET-02", date(2025, 6, 1), "courier_regulation 35"),
        ("DSR-04", date(2025, 5, 31), "courier_regulation 28"),
        ("DSR-04", date(2025, 6, 1), "courier_regulation 29"),
        ("NOT-04", date(2025, 5, 31), "courier_regulation 29"),
        ("NOT-04", date(2025, 6, 1), "courier_regulation 30"),
        ("MIN-02", date(2025, 5, 31), "courier_regulation 22"),
        ("MIN-02", date(2025, 6, 1), "courier_regulation 23"),
        ("BRE-05", date(2025, 12, 31), "csl 25"),
        ("BRE-05", date(2026, 1, 1), "csl 27"),
    ],
)
def test_the_article_is_the_one_of_the_events_date(rule: str, day: date, cites: str) -> None:
    (found,) = [r for r in BOOK.at(day) if r.id == rule]
    assert cites in found.edition.cites


def test_a_rule_has_at_most_one_edition_on_any_day() -> None:
    days = {e.from_ for rule in BOOK.rules.values() for e in rule.editions}
    days |= {e.until for rule in BOOK.rules.values() for e in rule.editions if e.until}
    for day in days:
        names = [rule.id for rule in BOOK.at(day)]
        assert len(names) == len(set(names))
    assert BOOK.at(date(2000, 1, 1)) == ()


def test_small_handlers_are_cited_from_their_day_on_and_as_unsettled() -> None:
    before, after = ({r.id: r for r in BOOK.at(date(2026, m, 1))} for m in (8, 9))
    assert "small_handlers" not in before["AUD-03"].edition.cites
    assert "small_handlers" in after["AUD-03"].edition.cites
    assert "not checked" in citation(BOOK, after["AUD-03"], "en")
    assert "法律" not in number_words(after["AUD-03"], "zh").rpartition("（")[2]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_number_of_policy_is_printed_as_law(lang: str) -> None:
    """The mark behind a number is its own: policy says policy, and law that was read says law."""
    marks = {"zh": ("法律", "自定政策，不是法律规定"), "en": ("law", "our policy, not law")}[lang]
    for day in (BUSINESS_DATE, date(2025, 3, 1)):
        for rule in BOOK.at(day):
            shown = re.split("[（(]", number_words(rule, lang))[-1].rstrip("）)")
            settled = rule.number.kind == "L" and rule.edition.confidence == "text"
            assert (shown == marks[0]) == settled, (rule.id, shown)
            assert (shown == marks[1]) == (rule.number.kind == "P"), (rule.id, shown)
            assert (duty_words(rule, lang) == marks[0]) == (
                rule.rule.duty == "L" and rule.edition.confidence == "text"
            )


@pytest.mark.parametrize(
    ("words", "zh", "en"),
    [
        ("pipl 21 ¶2", "《个人信息保护法》第21条第2款", "PIPL 21 ¶2"),
        ("csl 23(3)", "《网络安全法》第23条第（3）项", "CSL 23(3)"),
        ("criminal_law 253-1", "《刑法》第253条之1", "Criminal Law 253-1"),
        ("gbt_39335 D.5", "GB/T 39335-2020 D.5", "GB/T 39335-2020 D.5"),
        (
            "small_handlers",
            "《小型个人信息处理者个人信息保护简化措施规定》",
            "Small Handlers Provisions",
        ),
    ],
)
def test_citations(words: str, zh: str, en: str) -> None:
    assert (cite(BOOK, Cite.of(words), "zh"), cite(BOOK, Cite.of(words), "en")) == (zh, en)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_measure_has_a_name(lang: str) -> None:
    organisation = load_organisation(SHIPPED)
    asked = {c.measure for rule in BOOK.at(BUSINESS_DATE) for c in rule.every_check()}
    for measure in asked | FIXED:
        assert measure_label(measure, organisation, BOOK.figures, lang)


def test_law_watch_shows_a_rule_past_its_review() -> None:
    last = BUSINESS_DATE + timedelta(days=30)
    assert BOOK.past_review(last) == ()
    assert len(BOOK.past_review(last + timedelta(days=1))) == len(BOOK.rules)


def test_looking_again_is_a_change_of_one_block(folder: Path) -> None:
    later = BUSINESS_DATE + timedelta(days=31)
    edit(
        folder,
        "5_protect",
        lambda c: c["rules"]["SEC-03"].update(reviewed=BUSINESS_DATE + timedelta(days=20)),
    )
    changed = load_rulebook(folder)
    assert "SEC-03" not in {rule.id for rule in changed.past_review(later)}
    assert len(changed.past_review(later)) == len(BOOK.rules) - 1
    assert changed.digest != BOOK.digest


def rule(content: Any, name: str = "SEC-03") -> Any:
    return content["rules"][name]


def renumbered(content: Any) -> None:
    """A law that is renumbered again makes every open edition of it wrong."""
    content["laws"]["csl"]["versions"].append({"in_force": date(2027, 1, 1)})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda c: rule(c)["number"].update(kind="X"), "number.kind"),
        (lambda c: rule(c).update(binds=["neighbours"]), "binds"),
        (lambda c: rule(c).pop("remedy"), "remedy"),
        (lambda c: rule(c)["requirement"].pop("zh"), "requirement.zh"),
        (lambda c: rule(c).update(duty="B"), "duty"),
        (lambda c: rule(c).update(step="dance"), "step"),
        (lambda c: rule(c).update(surprise=1), "surprise"),
        (lambda c: rule(c).update(check=[]), "check"),
        (lambda c: rule(c)["check"][0].update(measure="declared.nothing"), "declared.nothing"),
        (lambda c: rule(c)["check"][0].update(measure="store.nothing"), "store.nothing"),
        (lambda c: rule(c)["check"][0].update(at_most=1), "check"),
        (lambda c: rule(c)["check"][0].pop("at_least"), "check"),
        (lambda c: rule(c)["check"][0].pop("kind"), "check"),
        (lambda c: rule(c).update(applies=["count:declared.nothing"]), "declared.nothing"),
        (lambda c: rule(c).update(applies=["sometimes"]), "applies"),
        (lambda c: rule(c)["editions"][1].update(cites=["no_law 1"]), "no_law"),
        (lambda c: rule(c)["editions"][1].update(cites=[]), "cite no law"),
        (lambda c: rule(c)["editions"][0].pop("until"), "overlap"),
        (lambda c: rule(c)["editions"][0].update(until=date(2026, 6, 1)), "overlap"),
        (
            lambda c: (
                rule(c)["editions"].pop(0)
                and rule(c)["editions"][0].update({"from": date(2025, 6, 1)})
            ),
            "renumbered on 2026-01-01",
        ),
        (
            lambda c: rule(c)["editions"][0].update({"from": date(2010, 1, 1)}),
            "not in force before",
        ),
        (
            lambda c: rule(c, "SEC-05")["editions"][1].update(confidence="text"),
            "confidence is better",
        ),
        (lambda c: rule(c)["editions"][1].update(confidence="sure"), "confidence"),
    ],
)
def test_a_wrong_block_is_refused_by_its_rules_name(
    folder: Path, change: Callable[[Any], object], where: str
) -> None:
    edit(folder, "5_protect", change)
    problem = refused(folder)
    shown = problem.say("en")
    assert "5_protect.yaml" in shown
    assert "SEC-0" in shown
    assert where in shown


def test_a_renumbering_asks_for_new_editions(folder: Path) -> None:
    edit(folder, "laws", renumbered)
    assert "renumbered on 2027-01-01: begin a new edition that day" in refused(folder).say("en")


def test_a_rule_or_key_that_stands_twice_is_refused(folder: Path) -> None:
    path = folder / "rulebook" / "7_assess.yaml"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("  TRN-01:\n", "  LAW-01:\n"), encoding="utf-8")
    assert "LAW-01 stands twice" in refused(folder).say("en")
    path.write_text(whole.replace("  TRN-01:\n", "  SEC-03:\n"), encoding="utf-8")
    assert "SEC-03 stands twice" in refused(folder).say("en")


def test_policys_own_duty_can_have_no_number_of_law(folder: Path) -> None:
    edit(folder, "7_assess", lambda c: c["rules"]["LAW-01"]["check"][0].update(kind="L"))
    assert "LAW-01" in refused(folder).say("en")


@pytest.mark.parametrize("name", ["laws", "figures"])
def test_a_book_without_its_registers_is_refused(folder: Path, name: str) -> None:
    (folder / "rulebook" / f"{name}.yaml").unlink()
    assert refused(folder).key == "policy.unreadable"
