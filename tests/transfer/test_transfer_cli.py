"""The commands of a transfer, each once, between a seller and a buyer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from transfer_world import CLASSES, PHONES, Deal, deal_of, people_of_a

from minimised import World
from nights import NOW
from safehands.cli import command
from safehands.commands import call as edge
from safehands.errors import HandoverRefused
from safehands.installation import Installation
from safehands.night import Night
from safehands.transfer.certificate import BY_HAND
from safehands.transfer.revocation import OPENS, load_checklist


def checklist(day: str) -> str:
    """Return a checklist of staff access as a shop writes it."""
    line = "  - {{opens: {what}, account: zhao.lei, done: none, by: wang.li, day: {day}}}"
    return "\n".join(["version: 1", "accounts:", *(line.format(what=w, day=day) for w in OPENS)])


def test_a_station_changes_hands_by_command(
    install: Any, night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst: Installation = install()
    world = World(inst.store, night, NOW)
    people_of_a(world)
    deal: Deal = deal_of(world, tmp_path / "p.age")
    deal.approved(CLASSES)
    monkeypatch.setenv("SAFEHANDS_HOME", str(inst.settings.home))
    monkeypatch.setenv("SAFEHANDS_DATABASE_URL", inst.settings.database_url)
    monkeypatch.setattr(edge, "now", lambda: NOW)
    texts: list[str] = []

    def run(*words: str) -> str:
        day = str(night.business_date)
        found = CliRunner().invoke(command("en"), ["handover", *words, "--date", day])
        assert found.exit_code == 0, (words, found.output, found.exception)
        texts.append(found.output)
        return found.output

    this, file = (str(deal.id),), ("--file", str(deal.path))
    seller, buyer = ("--owner", "A"), ("--owner", "B")
    keys = json.loads(run("key", *buyer))
    signer = ("--signer", keys["signer"])
    to = ("--buyer", "B", "--recipient", keys["recipient"])
    run("package", *this, *seller, "--station", "A1", *to, *file)
    run("receive", *buyer, *signer, "--station", "A1=B1", *file)
    receipt = ("--file", str(tmp_path / "receipt.json"))
    run("receipt", *this, *buyer, *receipt)
    run("accept", *this, *seller, *signer, *receipt)
    run("bundle", *this, *seller, "--file", str(tmp_path / "evidence.age"))
    told = json.loads(run("reconcile", *this, *seller, "--station", "A1"))
    assert told["held"]["parcel"] == 24
    day = str(night.business_date)
    run("freeze", *this, *seller, "--station", "A1", "--by", "wang.li")
    count = ("--by", "wang.li", "--page", str(tmp_path / "stock.html"))
    doc = ("--file", str(tmp_path / "stock.json"))
    run("stock", *this, *seller, "--station", "A1", *count, *doc)
    whole = ("--package", str(deal.path))
    run("stock-buyer", *buyer, *signer, "--station", "A1=B1", *whole, *count, *doc)
    run("accept-stock", *this, *signer, *doc)
    run("settle", *this, *seller, "--station", "A1", "--by", "wang.li")
    listed = (tmp_path / "stock.html").read_text("utf-8")
    assert "WAIT-1" in listed
    assert PHONES[5] not in listed
    (tmp_path / "access.yaml").write_text(checklist(day), encoding="utf-8")
    run("revoke", *this, *seller, "--file", str(tmp_path / "access.yaml"))
    last = ("--until", "2029-11-23", "--by", "wang.li")
    run("cutover", *this, *seller, "--station", "A1", *last)
    deal.finish()
    words = [word for what in BY_HAND for word in ("--declared", f"{what}=erased")]
    run("certify", *this, *seller, "--by", "wang.li", *words, "--file", str(tmp_path / "c.json"))
    assert deal.state() == "certified"
    assert not any(phone in text for phone in PHONES[:6] for text in texts)


def test_a_checklist_that_is_wrong_is_told_where(tmp_path: Path) -> None:
    file = tmp_path / "access.yaml"
    good = checklist("2026-11-30")
    assert len(load_checklist(_written(file, good)).accounts) == len(OPENS)
    for text, told in (
        (good.replace("version: 1", ""), "version: 1 and accounts:"),
        ("accounts: [", "version: 1 and accounts:"),
        (good.replace("done: none", "done: perhaps", 1), r"0\.done is wrong"),
        (good.replace("2026-11-30", "soon", 1), r"0\.day is wrong"),
    ):
        with pytest.raises(HandoverRefused, match=told) as refused:
            load_checklist(_written(file, text))
        assert "access.yaml" in refused.value.say("en")
        assert "zhao.lei" not in refused.value.say("en")


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
