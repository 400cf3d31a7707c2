"""``safehands quarantine`` as its user types it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_quarantine import SECRET, lay, line

from nights import BUSINESS_DATE
from safehands import pipeline
from safehands.cli import command
from safehands.installation import Installation


@pytest.fixture
def run(inst: Installation) -> Any:
    lay(inst, [*map(line, range(60)), line(61, name=SECRET), line(70).replace(" 10:00:00", "?")])
    pipeline.nightly(inst, BUSINESS_DATE, lambda *_: None)
    environment = {
        "SAFEHANDS_HOME": str(inst.settings.home),
        "SAFEHANDS_DATABASE_URL": str(inst.settings.database_url),
        "COLUMNS": "200",
    }

    def call(*words: str, lang: str = "en") -> Result:
        args = ("quarantine", *words, "--lang", lang)
        return CliRunner().invoke(command(lang), args, env=environment)

    return call


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_list_names_file_row_and_reason_and_no_value(run: Any, lang: str) -> None:
    shown = run("list", lang=lang)
    assert shown.exit_code == 0, shown.output
    assert "ledger.csv" in shown.output
    assert "62" in shown.output
    assert SECRET not in shown.output
    rows = json.loads(run("list", "--json").output)
    assert {row["rule"] for row in rows} == {"parcels.name_holds_phone", "time_unreadable"}


def test_show_needs_who_and_why_and_then_shows_the_cells(run: Any) -> None:
    row = next(r for r in json.loads(run("list", "--json").output) if "name" in r["rule"])
    who = ("--owner", row["controller"], "--by", "officer-1")
    assert run("show", str(row["id"]), *who).exit_code != 0
    shown = run("show", str(row["id"]), *who, "--purpose", "proof")
    assert SECRET in shown.output
    assert "ledger" in shown.output


def test_retry_and_discard_say_what_they_did(run: Any) -> None:
    found = json.loads(run("retry", "--json", "--date", BUSINESS_DATE.isoformat()).output)
    assert (found["waiting"], found["loaded"], found["stay"]) == (2, 0, 2)
    nothing = run("discard", "--reason", "test rows", "--by", "officer-1")
    assert nothing.exit_code != 0
    gone = run("discard", "--all", "--reason", "test rows", "--by", "officer-1")
    assert "2 rows discarded" in gone.output
    assert "Nothing waits" in run("list").output
