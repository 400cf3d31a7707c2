"""The documents people read: HTML, JSON, PDF, both languages, both editions, and the command."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from markupsafe import escape
from rulebook_home import OWNER, Home
from test_pipia import ASSESSOR, answer_all

from nights import BUSINESS_DATE
from safehands import pipia
from safehands.commands.assess import command
from safehands.errors import SetupProblem
from safehands.pipia import page
from safehands.pipia.export import document_of, write
from safehands.pipia.reassess import reassess


@pytest.fixture
def signed(home: Home) -> pipia.Case:
    for back in (2, 1, 0):
        home.assessment(BUSINESS_DATE - timedelta(days=back), 3 + back, 0.2, 0.2)
    case = pipia.start(home.inst, OWNER, "sharing", BUSINESS_DATE, "R-1")
    answer_all(home, case, level=2)
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    return pipia.find(home.inst, str(case.pipia_id))


def test_five_files_are_written_once_and_are_the_same_again(
    home: Home, signed: pipia.Case, tmp_path: Path
) -> None:
    made = write(home.inst, signed, BUSINESS_DATE, tmp_path)
    assert [p.suffix for p in made] == [".json", ".html", ".html", ".pdf", ".pdf"]
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in made}
    again = write(home.inst, signed, BUSINESS_DATE, tmp_path)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in again} == before
    assert all(p.read_bytes().startswith(b"%PDF-") for p in made if p.suffix == ".pdf")
    assert all(p.stat().st_mode & 0o077 == 0 for p in made)
    zh = next(p for p in made if p.name.endswith("zh.html")).read_text(encoding="utf-8")
    assert ASSESSOR in zh
    assert "个人信息保护影响评估报告" in zh
    assert "<script" not in zh
    assert "k = 5" in zh


def test_drawings_are_well_formed_and_say_their_numbers(home: Home, signed: pipia.Case) -> None:
    document = document_of(home.inst, signed, BUSINESS_DATE)
    for lang in ("zh", "en"):
        shown = page.view(document, lang)
        for name in ("heat", "trend"):
            assert ElementTree.fromstring(shown[name]).tag.endswith("svg")
        assert "k = 3" in shown["trend"]
        assert all(mark in shown["heat"] for mark in "①②③④")


def test_the_external_files_hold_no_name(home: Home, signed: pipia.Case, tmp_path: Path) -> None:
    for path in write(home.inst, signed, BUSINESS_DATE, tmp_path, outside=True):
        assert "external" in path.name
        for hidden in (ASSESSOR, "张负责"):
            assert hidden.encode() not in path.read_bytes()


def test_without_a_chinese_font_a_message_says_what_to_install(
    home: Home, signed: pipia.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FAMILIES", ("No Such Font",))
    page.font.cache_clear()
    with pytest.raises(SetupProblem, match="fonts-noto-cjk"):
        write(home.inst, signed, BUSINESS_DATE, tmp_path)
    page.font.cache_clear()
    assert len(list(tmp_path.glob("*.html"))) == 2


def test_a_night_that_changes_nothing_looks_at_nobody_again(home: Home, signed: pipia.Case) -> None:
    first = reassess(home.inst, BUSINESS_DATE, full=False)
    assert (first["owners"], first["changed"], first["assessments"]) == (1, 1, 1)
    again = reassess(home.inst, BUSINESS_DATE, full=False)
    assert (again["changed"], again["assessments"]) == (0, 0)
    home.declare("marketing", 1)
    moved = reassess(home.inst, BUSINESS_DATE, full=False)
    assert moved["changed"] == 1
    assert moved["stale"] >= 1
    whole = reassess(home.inst, BUSINESS_DATE, full=True)
    assert (whole["full"], whole["assessments"]) == (1, 1)


def run(home: Home, *words: str, typed: str = "") -> Any:
    settings = home.inst.settings
    environment = {
        "SAFEHANDS_HOME": str(settings.home),
        "SAFEHANDS_DATABASE_URL": settings.database_url,
        "SAFEHANDS_LANG": "en",
    }
    line = [*words, "--date", BUSINESS_DATE.isoformat()]
    return CliRunner().invoke(command("en"), line, input=typed, env=environment)


def test_the_command_goes_from_start_to_export(home: Home, tmp_path: Path) -> None:
    started = run(home, "start", "--occasion", "sensitive")
    assert started.exit_code == 0, started.output
    (listed,) = json.loads(run(home, "show", "--json").output)
    number = listed["pipia_id"]
    refused = run(home, "sign", number, typed="Zhang\n")
    assert "necessity" in str(refused.exception)
    shown = json.loads(run(home, "show", number, "--json").output)
    for part in shown["parts"]:
        for entry in part["answers"]:
            if entry["draft"]:
                done = run(home, "answer", number, entry["name"], "1", "--note", typed="Wang\nok\n")
                assert done.exit_code == 0, done.output
    done = run(home, "sign", number, typed="Zhang\n")
    assert "2029-11-23" in done.output, done.output
    made = run(home, "export", number, "--external", "--out", str(tmp_path / "out"))
    assert made.exit_code == 0, made.output
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert "draft" not in run(home, "show", number).output


def test_a_verdict_without_names_says_draft(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    made = document_of(home.inst, case, BUSINESS_DATE)
    assert page.view(made, "zh")["verdict"].startswith("草稿：")
    assert page.view(made, "en")["verdict"].startswith("Draft: ")
    answer_all(home, case)
    assert not page.view(document_of(home.inst, case, BUSINESS_DATE), "zh")["verdict"].startswith(
        "草稿"
    )


def test_a_judgement_milder_than_the_evidence_is_said_in_words(home: Home, tmp_path: Path) -> None:
    home.declare("storage_outside_mainland", 1)
    case = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    answer_all(home, case)
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    case = pipia.find(home.inst, str(case.pipia_id))
    shown = page.view(document_of(home.inst, case, BUSINESS_DATE), "en")
    said = "\n".join(shown["contradictions"])
    # Nothing backs "yes" and level 1 here, and data stored abroad blocks a hand-over.
    assert "The assessor says yes; the evidence does not bear it out" in said
    assert "The assessor says level 1; by the evidence it is 4" in said
    assert "Rule SEC-05" in said
    assert not shown["acceptable"]
    for lang in ("zh", "en"):
        words = page.view(document_of(home.inst, case, BUSINESS_DATE), lang)["contradictions"]
        made = page.html(document_of(home.inst, case, BUSINESS_DATE), lang).decode()
        assert all(str(escape(line)) in made for line in words)


def test_the_legend_keeps_its_order_after_signing(home: Home) -> None:
    case = pipia.start(home.inst, OWNER, "handover", BUSINESS_DATE, "H-1")
    answer_all(home, case)
    before = page.view(document_of(home.inst, case, BUSINESS_DATE), "zh")["legend"]
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)
    case = pipia.find(home.inst, str(case.pipia_id))
    after = page.view(document_of(home.inst, case, BUSINESS_DATE), "zh")
    assert after["legend"] == before
    assert [line[0] for line in before] == list("①②③④")
