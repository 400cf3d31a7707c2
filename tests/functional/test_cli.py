"""The command line as its user meets it: help in two languages, steps by hand, status, verify."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from safehands_night import small_landing

from nights import BUSINESS_DATE
from safehands.cli import command, main
from safehands.errors import LedgerBroken
from safehands.keys import FileProvider
from safehands.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    *("nightly", "sample", "ingest", "validate", "minimise", "pseudonymise"),
    *("purge", "backup", "prove", "report", "status", "verify", "remove"),
)


class Shell:
    """Runs commands on one home and one database, as a user would."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = replace(settings, database_url=url)
        self.environment = {
            "SAFEHANDS_HOME": str(settings.home),
            "SAFEHANDS_DATABASE_URL": url,
            "SAFEHANDS_WORKERS": "1",
            "COLUMNS": "200",
        }

    def run(self, *words: str, lang: str = "en") -> Result:
        name, *rest = words
        dated = (name, "--date", BUSINESS_DATE.isoformat(), "--lang", lang, *rest)
        return CliRunner().invoke(command(lang), dated, env=self.environment)

    def status(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run("status", "--json").output)
        return found


@pytest.fixture
def shell(database: str, settings: Settings, provider: FileProvider) -> Shell:
    assert provider.has("root")
    small_landing(settings.landing)
    return Shell(settings, database)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_help_names_every_command_with_a_sentence(lang: str) -> None:
    shown = CliRunner().invoke(command(lang), ["--help"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert name in shown.output
        each = CliRunner().invoke(command(lang), [name, "--help"])
        assert each.exit_code == 0
        assert "--landing" in each.output


@pytest.mark.parametrize("words", [("--lang", "zh"), ("--lang=zh",)])
def test_an_error_speaks_the_language_that_was_asked_for(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("os.environ", {"SAFEHANDS_LANG": "en"})
    home = ("--home", str(tmp_path / "new"), "--landing", str(tmp_path / "none"))
    monkeypatch.setattr("sys.argv", ["safehands", "backup", "verify", "--offline", *words, *home])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 40
    assert "密钥" in capsys.readouterr().err


def test_every_command_is_in_the_readme_or_the_runbook() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    missing = [name for name in COMMANDS if f"safehands {name}" not in text and name not in text]
    assert missing == []
    assert sorted(COMMANDS) == sorted(command("en").commands)


def test_the_steps_by_hand_give_the_store_of_a_whole_night(shell: Shell) -> None:
    for step in ("ingest", "validate", "minimise", "pseudonymise", "purge", "backup", "report"):
        result = shell.run(step)
        assert result.exit_code == 0, result.output
    by_hand = shell.status()
    again = shell.run("nightly")
    assert "Nothing new" in again.output
    assert shell.status()["store_digest"] == by_hand["store_digest"]
    assert by_hand["counts"]["parcel"] == 40  # type: ignore[index]
    # The night after has no new file either, and yet it purges, backs up and reports.
    after = shell.run("nightly", "--date", (BUSINESS_DATE + timedelta(days=1)).isoformat())
    assert "No new files" in after.output
    assert "Nothing new" not in after.output


def test_a_step_out_of_order_says_which_comes_first(shell: Shell) -> None:
    result = shell.run("validate")
    assert result.exit_code != 0
    assert "ingest" in str(result.exception)


def test_status_is_the_same_when_nothing_happened(shell: Shell) -> None:
    shell.run("nightly")
    assert shell.status() == shell.status()


def test_purge_plan_shows_and_takes_nothing(shell: Shell) -> None:
    shell.run("nightly")
    before = shell.status()
    shown = shell.run("purge", "--plan")
    assert "kept 365 days (policy)" in shown.output
    assert shell.status() == before


def test_verify_checks_a_checkpoint_offline_and_refuses_a_changed_one(
    shell: Shell, tmp_path: Path
) -> None:
    shell.run("nightly")
    assert "ledger is whole" in shell.run("verify").output
    note = tmp_path / "checkpoint.txt"
    text = str(shell.status()["checkpoint"])
    note.write_text(text, encoding="utf-8")
    key = (shell.settings.home / "ledger.pub").read_text(encoding="ascii").strip()
    assert "signature is right" in shell.run("verify", str(note), "--key", key).output
    size = text.splitlines()[1]
    note.write_text(text.replace(f"\n{size}\n", f"\n{int(size) - 1}\n"), encoding="utf-8")
    assert isinstance(shell.run("verify", str(note), "--key", key).exception, LedgerBroken)
    copy = tmp_path / "copy.json"
    copy.write_text('{"people": 1.5}', encoding="utf-8")
    refused = shell.run("verify", str(copy), "--key", key).exception
    assert isinstance(refused, LedgerBroken)
    assert "bears no signature" in refused.say("en")
