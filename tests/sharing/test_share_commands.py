"""``safehands share`` as the officer meets it: agreement, file, register, recall, a leak."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sharing_office import PHONES, Office

from nights import BUSINESS_DATE, NOW
from safehands.cli import command
from safehands.commands import call as edge

WHO = ("--owner", "A", "--by", "wang.li")
CALLS = {"dataset": "people", "model": "identified", "purposes": ["service"]}


class Shell:
    """An office with agreements, and its command line."""

    def __init__(self, office: Office) -> None:
        settings = office.inst.settings
        self.environment = {
            "SAFEHANDS_HOME": str(settings.home),
            "SAFEHANDS_DATABASE_URL": settings.database_url,
            "SAFEHANDS_POLICY": str(settings.policy),
            "COLUMNS": "200",
        }

    def run(self, *words: str, lang: str = "en") -> Result:
        dated = ("share", *words, "--date", BUSINESS_DATE.isoformat(), "--lang", lang)
        return CliRunner().invoke(command(lang), dated, env=self.environment)

    def ok(self, *words: str, lang: str = "en") -> str:
        result = self.run(*words, lang=lang)
        assert result.exit_code == 0, (result.output, result.exception)
        assert not any(phone in result.output for phone in PHONES)
        return result.output


@pytest.fixture
def shell(office: Office, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(edge, "now", lambda: NOW)
    return Shell(office)


def test_agreements_that_end_soon_are_marked(office: Office, shell: Shell) -> None:
    office.agree(long={}, short={"until": "2026-12-20"})
    told = shell.ok("agreements")
    assert ["!" in line for line in told.splitlines()[:2]] == [False, True]
    assert json.loads(shell.ok("agreements", "--json"))["short"]["until"] == "2026-12-20"


def test_recall_is_tracked_until_it_is_acknowledged(office: Office, shell: Shell) -> None:
    book = office.agree(gateway={**CALLS, "fields": ["ref", "phone_masked"]})
    office.give(book, "gateway")
    [line] = json.loads(shell.ok("list", "--owner", "A", "--json"))
    assert (line["agreement"], line["people"], line["due"]) == ("gateway", 12, 0)
    with office.inst.store.admin().begin() as connection:
        gone = office.people[PHONES[5]]
        connection.exec_driver_sql(f"DELETE FROM subject WHERE subject_id = '{gone}'")
    assert "gateway" in shell.ok("recalls", "--owner", "A")
    assert shell.run("acknowledge", "gateway", *WHO, "--evidence", "mail 7").exit_code != 0
    assert "recall-gateway" in shell.ok("recall", "gateway", *WHO)
    shell.ok("acknowledge", "gateway", *WHO, "--evidence", "mail 7")
    [line] = json.loads(shell.ok("list", "--owner", "A", "--json"))
    assert (line["due"], line["sent"], line["acknowledged"]) == (0, 0, 1)


def test_a_leaked_copy_is_traced_to_its_recipient(
    office: Office, shell: Shell, tmp_path: Path
) -> None:
    book = office.agree(
        one={**CALLS, "fields": ["ref", "phone_masked"]},
        two={**CALLS, "fields": ["ref", "phone_masked"]},
    )
    office.give(book, "one")
    rows = office.opened(office.give(book, "two").file)
    copy = tmp_path / "leak.txt"
    copy.write_text("\n".join(row["phone_masked"] for row in rows[3:]), encoding="utf-8")
    assert "A/two: 9 of 9 masked cells" in shell.ok("trace", str(copy))
    assert "确证" in shell.ok("trace", str(copy), lang="zh")
    copy.write_text("nothing", encoding="utf-8")
    assert "A/" not in shell.ok("trace", str(copy))


def test_a_plan_counts_and_gives_nothing(office: Office, shell: Shell) -> None:
    office.agree(gateway={**CALLS, "fields": ["phone"]})
    sheet = json.loads(shell.ok("plan", "gateway", "--owner", "A"))
    assert (sheet["people"], sheet["recipient"]["en"]) == (12, "a platform")
    assert json.loads(shell.ok("list", "--owner", "A", "--json")) == []
    refused = shell.run("plan", "nobody", "--owner", "A")
    assert refused.exit_code != 0
