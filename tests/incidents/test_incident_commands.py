"""``safehands incident``, ``complaint`` and ``evidence pack`` as the officer meets them."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from incident_office import PHONES, Office, open_office

from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.cli import command
from safehands.commands import call as edge
from safehands.installation import Installation

WHO = ("--owner", "A", "--by", "wang.li")
FORM = (
    *("--kind", "leak", "--discovered", "2026-11-23T08:00", "--finder", "customer"),
    *("--began", "2026-11-01", "--ended", "2026-11-20", "--parcels", "--system", "shop software"),
)


class Shell:
    """One installation with twelve people, a policy folder of its own, and its command line."""

    def __init__(self, office: Office, policy: Path) -> None:
        self.office = office
        settings = office.inst.settings
        self.environment = {
            "SAFEHANDS_HOME": str(settings.home),
            "SAFEHANDS_DATABASE_URL": settings.database_url,
            "SAFEHANDS_POLICY": str(policy),
            "COLUMNS": "200",
        }

    def run(self, *words: str, lang: str = "en", day: date = BUSINESS_DATE) -> Result:
        dated = (*words, "--date", day.isoformat(), "--lang", lang)
        return CliRunner().invoke(command(lang), dated, env=self.environment)

    def ok(self, *words: str, lang: str = "en", day: date = BUSINESS_DATE) -> str:
        result = self.run(*words, lang=lang, day=day)
        assert result.exit_code == 0, (result.output, result.exception)
        assert not any(phone in result.output for phone in PHONES)
        return result.output


@pytest.fixture
def shell(inst: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(edge, "now", lambda: NOW)
    policy = tmp_path / "policy"
    shutil.copytree(inst.settings.policy, policy)
    inst.settings = replace(inst.settings, policy=policy)
    return Shell(open_office(inst), policy)


def test_an_incident_from_opening_to_closing(shell: Shell) -> None:
    assert "opened as incident 1" in shell.ok("incident", "open", *WHO, *FORM)
    assert "12 people" in shell.ok("incident", "assess", "1", *WHO)
    assert "12 messages (sms 12)" in shell.ok("incident", "draft", "1", *WHO)
    proposed = shell.ok("incident", "propose", "1", *WHO)
    assert "revoke_access" in proposed
    act = ("incident", "contain", "1", *WHO, "--approver", "li.ming", "--action")
    assert shell.run(*act, "restore").exit_code == 1  # click raises the package's own error
    assert "stop_disclosures" in shell.ok(*act, "stop_disclosures")
    assert '"records": 12' in shell.ok(*act, "rotate_keys")
    shown = shell.ok("incident", "show", "1", "--owner", "A")
    assert "report to the local postal authority at once: open" in shown
    assert "stop all disclosures: done" in shown
    assert "evidence kept" in shell.ok("incident", "keep", "1", *WHO)
    for event in ("contained", "handled", "summarised", "lesson", "responsible"):
        shell.ok("incident", "note", "1", *WHO, "--event", event, "--reference", "file 7")
    assert "summary.zh.md" in shell.ok("incident", "summary", "1", "--owner", "A")
    shell.ok("incident", "note", "1", *WHO, "--event", "closed")
    assert "closed" in shell.ok("incident", "list", "--owner", "A")
    assert "已结" in shell.ok("incident", "list", "--owner", "A", lang="zh")


def test_the_contact_book_comes_from_a_sheet_and_is_checked_for_age(
    shell: Shell, tmp_path: Path
) -> None:
    assert "long: 6" in shell.ok("incident", "contacts", "list")
    sheet = tmp_path / "contacts.csv"
    shell.ok("incident", "contacts", "template", str(sheet))
    with sheet.open(encoding="utf-8-sig", newline="") as text:
        lines = list(csv.reader(text))
    assert [line[0] for line in lines[1:]] == [
        *("postal", "cac", "police", "courier", "platform", "departments"),
    ]
    for line in lines[1:]:
        line[3:] = [f"市{line[1]}", f"city {line[1]}", "12345", "2026-11-02"]
    lines[3][6] = "2026-01-02"  # the police's line was confirmed too long ago
    lines[4][6] = ""

    def write() -> None:
        with sheet.open("w", encoding="utf-8-sig", newline="") as text:
            csv.writer(text).writerows(lines)

    write()
    refused = shell.run("incident", "contacts", "import", str(sheet), "--by", "wang.li")
    assert refused.exit_code != 0
    assert "row 5" in str(refused.exception)
    assert "long: 6" in shell.ok("incident", "contacts", "list")
    lines[4][6] = "2026/11/20"
    write()
    done = shell.ok("incident", "contacts", "import", str(sheet), "--by", "wang.li")
    assert "has 6 entries; 1 kinds" in done
    listed = shell.ok("incident", "contacts", "list")
    assert "long: 1 police" in listed
    assert "12345 (confirmed 2026-01-02) too old" in listed
    shell.ok("incident", "open", *WHO, *FORM)
    shell.ok("incident", "draft", "1", *WHO)
    folder = shell.office.inst.settings.home / "incidents" / "A" / "0001"
    report = (folder / "report.en.md").read_text(encoding="utf-8")
    assert "postal authority: city postal authority, 12345 (confirmed 2026-11-02)" in report
    assert "police: city police, 12345 (confirmed 2026-01-02, too long ago" in report
    assert "missing or long unconfirmed: 1" in shell.ok("incident", "watch")
    told = json.loads(shell.ok("incident", "watch", "--json"))
    assert told["A"]["plan.contacts_open"] == 1
    rules = shell.ok("rules", "check", "--owner", "A", "--all")
    assert "BRE-05" in rules


def test_a_drill_by_hand_says_how_long_it_took(shell: Shell) -> None:
    assert "passed: 500 synthetic people" in shell.ok("incident", "drill", *WHO)
    told = shell.ok("evidence", "list", "--json", day=NOW.date())
    assert [one["kind"] for one in json.loads(told)] == ["drill"]


def test_a_complaint_and_its_clock(shell: Shell) -> None:
    who = str(shell.office.people[PHONES[1]])
    about = ("--topic", "information", "--channel", "phone", "--subject", who)
    taken = shell.ok("complaint", "receive", *WHO, *about, "--received", "2026-11-10")
    assert "entered as 1; to be answered within 7 days" in taken
    assert "late" in shell.ok("complaint", "list", "--owner", "A")
    shell.ok("complaint", "answer", "1", *WHO, "--outcome", "upheld")
    [one] = json.loads(shell.ok("complaint", "list", "--owner", "A", "--json"))
    assert (one["outcome"], one["about"]) == ("upheld", True)
    assert who not in json.dumps(one)
    assert "outcome upheld: 1" in shell.ok("complaint", "list", "--owner", "A")


def test_the_evidence_pack_is_verified_with_the_public_key_alone(
    shell: Shell, tmp_path: Path
) -> None:
    shell.ok("incident", "open", *WHO, *FORM)
    shell.ok("incident", "assess", "1", *WHO)
    out, key = tmp_path / "pack.json", tmp_path / "ledger.pub"
    period = ("--owner", "A", "--from", "2026-11-01", "--to", "2026-11-30")
    shell.ok("evidence", "pack", str(out), *period)
    key.write_text(f"{journal.signing_key(shell.office.inst.provider).verifier}\n")
    alone = {"SAFEHANDS_HOME": str(tmp_path / "auditor"), "COLUMNS": "200"}
    words = ("verify", str(out), "--key", str(key), "--lang", "en")
    checked = CliRunner().invoke(command("en"), words, env=alone)
    assert checked.exit_code == 0, (checked.output, checked.exception)
    assert "evidence_pack" in checked.output
    assert not (tmp_path / "auditor").exists()
    told = out.read_text(encoding="utf-8")
    assert not any(phone in told for phone in PHONES)
    out.write_text(told.replace('"leak"', '"loss"'), encoding="utf-8")
    assert CliRunner().invoke(command("en"), words, env=alone).exit_code != 0
