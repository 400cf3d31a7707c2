"""The page: whole in itself, in two languages, and careful with what it is given."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from safehands.messages import LANGUAGES, catalogue
from safehands.night import Night
from safehands.policy import Policy
from safehands.report import report
from safehands.report.document import compose
from safehands.report.evidence import gather
from safehands.report.page import Texts, edition, render
from safehands.report.step import figures
from safehands.store import Store
from safehands.threats import Judged

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


class _Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    VOID = ("meta", "input", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _read(page: bytes) -> _Reader:
    reader = _Reader()
    reader.feed(page.decode())
    assert reader.open == []
    return reader


@pytest.fixture
def document(night: Night, store: Store, filled: Any) -> dict[str, Any]:
    evidence = {
        **gather(night, store),
        "places": {"landing_clear": True, "keys_on_one_disk": True, "backups_beside_store": True},
        "threats": {**Judged().model_dump(mode="json"), "draft": True},
    }
    moment = {
        "made_at": NOW.isoformat(),
        "digest": "d" * 64,
        "checkpoint": {"size": 3, "note": "safehands/ledger\n3\nroot\n"},
    }
    return compose(evidence, figures(night, store), night.policy, moment)


def test_the_page_needs_nothing_but_itself(document: dict[str, Any], policy: Policy) -> None:
    page = render(document, policy)
    reader = _read(page)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "use"}
    for _, attributes in reader.tags:
        assert not {"src", "href", "srcset", "action", "xlink:href"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    assert b"://" not in page
    assert b"url(" not in page
    assert b"@import" not in page


def test_the_browser_is_told_so(document: dict[str, Any], policy: Policy) -> None:
    metas = [a for tag, a in _read(render(document, policy)).tags if tag == "meta"]
    told = [a["content"] for a in metas if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(told) == 1
    assert (told[0] or "").startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )


def test_both_languages_are_there_chinese_first(document: dict[str, Any], policy: Policy) -> None:
    tags = _read(render(document, policy)).tags
    assert [a["id"] for tag, a in tags if tag == "main"] == ["zh", "en"]
    picks = [a for tag, a in tags if tag == "input"]
    assert [(a["id"], "checked" in a) for a in picks] == [("pick-zh", True), ("pick-en", False)]


def test_names_of_files_are_text_not_markup(document: dict[str, Any], policy: Policy) -> None:
    reader = _read(render(document, policy))
    assert "S2/<b>.xlsx" in "".join(reader.words)
    assert "b" not in {tag for tag, _ in reader.tags}


def test_the_edition_is_marked_internal(document: dict[str, Any], policy: Policy) -> None:
    assert document["edition"] == "internal"
    text = "".join(_read(render(document, policy)).words)
    assert "Internal edition" in text
    assert "内部版" in text


def test_no_number_of_policy_passes_for_law(document: dict[str, Any], policy: Policy) -> None:
    text = " ".join(_read(render(document, policy)).words)
    flat = re.sub(r"\s+", " ", text)
    by_law = {rule["rule"] for rule in document["retention"] if rule["kind"] == "L"}
    # PIPL 56 sets three years; every other number is the operator's own.
    assert by_law == {"processing_record", "risk_record"}
    for rule in document["retention"]:
        en, zh = ("law", "法定") if rule["rule"] in by_law else ("policy", "自定政策")
        if rule["keep_days"]:
            assert f"{rule['keep_days']:,} days {en}" in flat
            assert f"{rule['keep_days']:,} 天 {zh}" in flat


def test_judgements_say_draft(document: dict[str, Any], policy: Policy) -> None:
    text = re.sub(r"\s+", " ", " ".join(_read(render(document, policy)).words))
    assert "Assumptions and judgement draft" in text
    assert "假设与判断 草稿" in text


def test_an_undeclared_role_is_red_and_says_what_it_stops(
    document: dict[str, Any], policy: Policy
) -> None:
    page = render(document, policy).decode()
    cells = re.findall(r'<td data-label="role" class="bad"><span>(.*?)</span>', page)
    assert cells == ["not declared: a hand-over is not possible"]


def test_the_heat_map_shows_rounded_down_numbers(document: dict[str, Any], policy: Policy) -> None:
    # One bad cell in thirty thousand is not "100".
    page = render(document, policy).decode()
    assert ">99.9</text>" in page
    lake = next(s for s in document["quality"] if s["station"] == "S1")
    assert lake["dimensions"]["validity"] == 9999
    assert lake["dimensions"]["timeliness"] is None


def test_what_was_not_collected_is_counted(document: dict[str, Any]) -> None:
    assert document["not_collected"] == {
        "files": 2,
        "undeclared": 1,
        "dropped": [
            {"dataset": "parcels", "field": "operator", "files": 2},
            {"dataset": "parcels", "field": "taker_phone", "files": 2},
        ],
    }


def test_a_bare_night_renders(document: dict[str, Any], policy: Policy) -> None:
    bare = deepcopy(document)
    for name in ("attention", "warnings", "steps", "files_set_aside", "rows_set_aside", "findings"):
        bare[name] = []
    bare |= {"quality": [], "risk": [], "roles": [], "backup": None, "checkpoint": None}
    bare["not_collected"] = {"files": 0, "undeclared": 0, "dropped": []}
    bare["glance"] = {**bare["glance"], "k": 0, "needs_person": 0}
    text = "".join(_read(render(bare, policy)).words)
    assert "There is no backup yet." in text
    assert "今晚没有需要人处理的事。" in text


def test_a_thousand_stations_still_make_a_page(document: dict[str, Any], policy: Policy) -> None:
    many = deepcopy(document)
    station, risk = many["quality"][0], many["risk"][1]
    many["quality"] = [{**station, "station": f"S{i}"} for i in range(1000)]
    many["risk"] = [risk] * 500
    page = render(many, policy)
    assert len(page) < 400_000
    text = "".join(_read(page).words)
    assert "Further stations, each with at least 99.9 %: 960." in text
    assert "Further owners, none with a smaller group: 488." in text


def test_the_same_document_gives_the_same_bytes(document: dict[str, Any], policy: Policy) -> None:
    assert render(document, policy) == render(deepcopy(document), policy)
    assert edition() == edition()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_need_and_warning_has_a_sentence(lang: str, policy: Policy) -> None:
    known = catalogue()
    t = Texts(lang, policy)
    for key in (
        "files_set_aside",
        "no_backup",
        "backup_lost",
        "drill_failed",
        "overdue",
        "roles_unknown",
    ):
        assert "7" in t(f"attention.{key}", count=7) or key == "no_backup"
    for part in ("rules", "bounds"):
        assert "X-1" in t(f"attention.{part}_not_met", count=7, shown="X-1")
        assert "X-1" in t(f"warning.{part}_no_evidence", count=7, shown="X-1")
    for key in (
        "landing_clear",
        "no_escrow",
        "keys_on_one_disk",
        "backups_beside_store",
        "no_drill",
    ):
        assert f"report.warning.{key}" in known


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_unknown_rule_still_says_what_to_do(lang: str, policy: Policy) -> None:
    assert "odd_new_rule" in Texts(lang, policy).rule("parcels", "odd_new_rule")


def test_sentences_have_both_languages_and_the_same_places() -> None:
    for key, sentence in catalogue().items():
        if key.startswith("report."):
            assert set(sentence) == set(LANGUAGES), key
            places = {frozenset(re.findall(r"{(\w+)}", sentence[lang])) for lang in LANGUAGES}
            assert len(places) == 1, key


def test_a_whole_night_and_its_page_agree(night: Night, store: Store, filled: Any) -> None:
    outcome = report(night, store, NOW)
    page = (night.settings.reports / "2026-11-23" / "report.html").read_bytes()
    tiles = re.findall(r"<dt>.*?</dt><dd>(.*?)</dd>", page.decode())[:5]
    counts = outcome.counts
    wanted = [counts[n] for n in ("needs_person", "stations", "parcels", "people", "k")]
    assert tiles == [str(number) for number in wanted]
