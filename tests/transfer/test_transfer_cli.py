"""The commands of a transfer, each once, between a seller and a buyer."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from deals import CLOSING, PHONES, PROOF, make_deal
from test_transfer_modes import YES, approved
from transfer_world import Deal, deal_of

from nights import BUSINESS_DATE, NOW
from safehands.cli import command
from safehands.commands import call as edge
from safehands.errors import HandoverRefused, PolicyError
from safehands.installation import Installation
from safehands.keys import DayBox, age
from safehands.ledger import verify_document
from safehands.transfer.certificate import BY_HAND
from safehands.transfer.revocation import OPENS, load_checklist

LAPSED = CLOSING + timedelta(days=30)


def checklist(day: str) -> str:
    """Return a checklist of staff access as a shop writes it."""
    line = "  - {{opens: {what}, account: zhao.lei, done: none, by: wang.li, day: {day}}}"
    return "\n".join(["version: 1", "accounts:", *(line.format(what=w, day=day) for w in OPENS)])


def test_a_station_changes_hands_by_command(
    inst: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = make_deal(inst)
    deal_of(course.world, tmp_path / "p.age")
    monkeypatch.setenv("SAFEHANDS_HOME", str(inst.settings.home))
    monkeypatch.setenv("SAFEHANDS_DATABASE_URL", inst.settings.database_url)
    monkeypatch.setattr(edge, "now", lambda: NOW)
    texts: list[str] = []
    day = CLOSING.isoformat()

    def tried(*words: str) -> Any:
        given = words if "--date" in words else (*words, "--date", day)
        found = CliRunner().invoke(command("en"), ["handover", *given])
        texts.append(found.output)
        return found

    def refused(*words: str) -> str:
        problem = tried(*words).exception
        assert isinstance(problem, HandoverRefused)
        return problem.say("en")

    def run(*words: str) -> str:
        found = tried(*words)
        assert found.exit_code == 0, (words, found.output, found.exception)
        return str(found.output)

    keys = json.loads(run("key", "--owner", "B"))
    asked = approved(course, course.world, "asset_deal", tmp_path)
    deal = Deal(course.world, course.world, tmp_path / "p.age", asked.id, day=CLOSING)
    this, file = (str(deal.id),), ("--file", str(deal.path))
    buyer, signer = ("--owner", "B"), ("--signer", keys["signer"])
    # What the request says need not be said again, and nothing else goes in its place.
    paper = ("--what", "closing_evidence", "--sha256", PROOF, "--by", "wang.li")
    assert "has not come yet" in refused("paper", *this, *paper)
    run("paper", *this, *paper, "--date", NOW.date().isoformat())
    other = ("--recipient", age.make_identity(inst.provider, "transfer-identity/other"))
    assert "not the one in the request" in refused("package", *this, *other, *file)
    early = ("--date", (CLOSING - timedelta(days=1)).isoformat())
    assert f"closing is {day}" in refused("package", *this, *file, *early)
    lapsed = ("--date", LAPSED.isoformat())
    assert "has lapsed" in refused("package", *this, *file, *lapsed)
    assert not deal.path.exists()
    run("package", *this, *file)
    run("receive", *buyer, *signer, "--station", "A1=B1", *file)
    receipt = ("--file", str(tmp_path / "receipt.json"))
    run("receipt", *this, *receipt)
    run("accept", *this, *signer, *receipt)
    run("bundle", *this, "--file", str(tmp_path / "evidence.age"))
    told = json.loads(run("reconcile", *this))
    assert told["classes"]["subject"]["transferred"] == len(YES)
    run("freeze", *this, "--by", "wang.li")
    count = ("--by", "wang.li", "--page", str(tmp_path / "stock.html"))
    doc = ("--file", str(tmp_path / "stock.json"))
    run("stock", *this, *count, *doc)
    whole = ("--package", str(deal.path))
    run("stock-buyer", *buyer, *signer, "--station", "A1=B1", *whole, *count, *doc)
    run("accept-stock", *this, *signer, *doc)
    run("settle", *this, "--by", "wang.li")
    assert not any(phone in (tmp_path / "stock.html").read_text("utf-8") for phone in numbers())
    (tmp_path / "access.yaml").write_text(checklist(day), encoding="utf-8")
    run("revoke", *this, "--file", str(tmp_path / "access.yaml"))
    for kind in ("archive", "quarantine"):
        for station in ("A1", "A2"):
            DayBox(inst.store.provider, kind, station, day).seal([b"export"])
    run("cutover", *this, "--by", "wang.li")
    # Nobody opens the station's archive and quarantine any more; the seller's other one's stay.
    left = {tuple(name.split("/")[1:3]) for name in inst.store.provider.names("day")}
    assert left - {("staff", "A")} == {
        ("archive", "A2"),
        ("quarantine", "A2"),
    }
    deal.finish()
    before = (CLOSING - timedelta(days=3)).isoformat()
    own = {"paper": f"returned@{before}:zhang.san", "cctv": f"none@{before}"}
    said = {what: own.get(what, "erased") for what in BY_HAND}
    words = [word for what, done in said.items() for word in ("--declared", f"{what}={done}")]
    for wrong in ("paper=burnt", "paper=erased@2026-13-01", "paper=erased@2099-01-01"):
        last = ("--declared", wrong, "--file", str(tmp_path / "no.json"))
        stopped = tried("certify", *this, "--by", "wang.li", *last)
        assert stopped.exit_code == 2
        assert "--declared WHAT=" in stopped.output
    run("certify", *this, "--by", "wang.li", *words, "--file", str(tmp_path / "c.json"))
    certificate = json.loads((tmp_path / "c.json").read_text("utf-8"))
    declared = verify_document(certificate, deal.verifier).body["declared"]
    assert isinstance(declared, dict)
    assert declared["paper"] == {"by": "zhang.san", "on": before, "done": "returned"}
    assert declared["cctv"] == {"by": "wang.li", "on": before, "done": "none"}
    assert declared["phones"] == {"by": "wang.li", "on": day, "done": "erased"}
    assert deal.state() == "certified"
    # After everything else is gone, the seller proves one person's answer from the number alone.
    look = ["handover", "prove", *this, "--by", "wang.li", "--date", day]
    look += ["--file", str(tmp_path / "evidence.age")]
    found = CliRunner().invoke(command("en"), look, input=PHONES["no"] + "\n")
    texts.append(found.output)
    proved = json.loads(found.stdout)
    assert proved["posted"] == BUSINESS_DATE.isoformat()
    assert [one["kind"] for one in proved["answers"]] == ["refused"]
    slip = CliRunner().invoke(command("en"), look, input=f"{PHONES['no'][:-1]}\n")
    assert isinstance(slip.exception, PolicyError)
    assert slip.stdout == ""
    nobody = CliRunner().invoke(command("en"), look, input="13912345678\n")
    assert json.loads(nobody.stdout) == {"listed": False}
    assert not any(phone in text for phone in numbers() for text in texts)


def test_a_closure_rests_on_an_approval_that_has_not_lapsed(
    inst: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = make_deal(inst)
    deal_of(course.world, tmp_path / "p.age")
    asked = approved(course, course.world, "closure", tmp_path)
    deal = Deal(course.world, course.world, tmp_path / "p.age", asked.id, "closure", day=CLOSING)
    deal.ready()
    monkeypatch.setenv("SAFEHANDS_HOME", str(inst.settings.home))
    monkeypatch.setenv("SAFEHANDS_DATABASE_URL", inst.settings.database_url)
    monkeypatch.setattr(edge, "now", lambda: NOW)

    def cut(day: date) -> Any:
        words = ["handover", "cutover", str(deal.id), "--by", "wang.li", "--date", str(day)]
        return CliRunner().invoke(command("en"), words)

    for day, told in ((CLOSING - timedelta(days=1), "closing"), (LAPSED, "has lapsed")):
        problem = cut(day).exception
        assert isinstance(problem, HandoverRefused)
        assert told in problem.say("en")
    assert json.loads(cut(CLOSING).output)["erased"] > 0
    assert deal.state() == "cut_over"


def numbers() -> list[str]:
    return list(PHONES.values())


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
