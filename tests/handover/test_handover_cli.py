"""The steps of a hand-over by command, from the request's file to the day it is given up."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from deals import PHONES, PROOF, Deal

from nights import BUSINESS_DATE, NOW
from safehands.cli import command
from safehands.commands import call as edge
from safehands.errors import HandoverRefused
from safehands.handover.pages import folder_of

LATER = (BUSINESS_DATE + timedelta(days=31)).isoformat()


def test_a_handover_goes_by_command_until_it_is_given_up(
    deal: Deal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = deal.inst
    monkeypatch.setenv("SAFEHANDS_HOME", str(inst.settings.home))
    monkeypatch.setenv("SAFEHANDS_DATABASE_URL", inst.settings.database_url)
    monkeypatch.setattr(edge, "now", lambda: NOW)
    texts: list[str] = []

    def run(*words: str, day: str = BUSINESS_DATE.isoformat(), refused: str = "") -> str:
        found = CliRunner().invoke(command("en"), ["handover", *words, "--date", day])
        if refused:
            assert isinstance(found.exception, HandoverRefused)
            assert refused in found.exception.say("en")
        else:
            assert found.exit_code == 0, (words, found.output, found.exception)
        texts.append(found.output)
        return found.output

    by, file = ("--by", "wang.li"), tmp_path / "request.yaml"
    file.write_text(request(deal, dry_run=True), encoding="utf-8")
    assert "Missing: evidence of closing" in run("plan", str(file), *by)
    assert "There is no hand-over" in run("status")
    file.write_text(request(deal), encoding="utf-8")
    made = json.loads(run("plan", str(file), *by, "--json"))
    this = made["handover"]
    assert "is possible" in run("calendar", str(file))
    assert "poster_hung" in run("notify", this, *by)
    photo = ("--what", "poster_hung", "--sha256", PROOF)
    run("paper", this, "--owner", "A", *photo, *by)
    answers = sheet(tmp_path / "answers.csv")
    assert "2 answers recorded" in run("answers", this, str(answers), *by)
    run("answers", this, "--close", *by, refused="open until")
    assert "window has ended" in run("answers", this, "--close", *by, day=LATER)
    seller = ("--party", "seller")
    assert "not everybody" in run("approve", this, *seller, *by, day=LATER)
    assert "answered → approved" in run("status", this)
    told = json.loads(run("report", this, "--json"))
    assert told["identity"]["subject"]["classes"]["transferred"] == 1
    assert told["identity"]["subject"]["classes"]["refused"] == 1
    assert told["notices"]["poster_hung"] == BUSINESS_DATE.isoformat()
    assert "goes on as before" in run("abort", this, *by, "--reason", "the buyer stepped back")
    assert "aborted" in run("status", this)
    folder = folder_of(inst, deal.ask().id)
    pages = {"plan", "due-diligence", "calendar", "poster", "slips", "report", "report-external"}
    assert pages <= {path.stem for path in folder.glob("*.html")}
    assert not any(phone in text for phone in PHONES.values() for text in texts)


def request(deal: Deal, **changes: bool) -> str:
    """Return the request's file as a shop writes it."""
    said = deal.request(**changes).model_dump(mode="json")
    return yaml.safe_dump({"version": 1, **{k: v for k, v in said.items() if v != ""}})


def sheet(path: Path) -> Path:
    """Return a filled-in tick sheet: one yes, one no."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("手机号", "答复", "时间", "证据编号"))
        for name, said in (("yes", "同意"), ("no", "不同意")):
            lines.writerow((PHONES[name], said, BUSINESS_DATE.isoformat(), f"S-{name}"))
    return path
