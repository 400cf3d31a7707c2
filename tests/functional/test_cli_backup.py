"""``safehands backup``: from the first backup to a restored store, as its user types it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from safehands_night import small_landing

from nights import BUSINESS_DATE
from safehands.cli import command
from safehands.errors import BackupBroken
from safehands.keys import FileProvider
from safehands.settings import Settings
from safehands.verification import verifier_from, verify_file

WORDS = ("create", "list", "verify", "prove", "restore", "prune", "drill")


class Shell:
    """Runs commands on one home; the database can be exchanged."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = replace(settings, database_url=url)
        self.url = url

    def run(self, *words: str, lang: str = "en") -> Result:
        environment = {
            "SAFEHANDS_HOME": str(self.settings.home),
            "SAFEHANDS_DATABASE_URL": self.url,
            "SAFEHANDS_WORKERS": "1",
        }
        dated = (*words, "--date", BUSINESS_DATE.isoformat(), "--lang", lang)
        return CliRunner().invoke(command(lang), dated, env=environment)

    def ask(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output or done.exception
        return json.loads(done.output)


@pytest.fixture
def shell(database: str, settings: Settings, provider: FileProvider) -> Shell:
    assert provider.has("root")
    small_landing(settings.landing)
    made = Shell(settings, database)
    assert made.run("nightly").exit_code == 0
    return made


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_command_explains_itself(lang: str) -> None:
    shown = CliRunner().invoke(command(lang), ["backup", "--help"])
    assert shown.exit_code == 0
    for word in WORDS:
        assert word in shown.output
        assert CliRunner().invoke(command(lang), ["backup", word, "--help"]).exit_code == 0


def test_options_in_front_of_a_command_are_not_lost(shell: Shell) -> None:
    done = CliRunner().invoke(command("en"), ["backup", "--home", "/nowhere", "list"])
    assert done.exit_code == 2
    assert "behind list" in done.output


def test_from_a_backup_to_a_restored_store(shell: Shell, cluster: Any) -> None:
    assert shell.run("backup").output == shell.run("backup", "create").output
    [generation] = shell.ask("backup", "list")
    assert generation["proved"] == ""
    report = shell.ask("backup", "verify")
    assert (report["generations"], report["opened"]) == (1, True)
    assert shell.ask("backup", "verify", "--offline") == report
    proof = shell.ask("backup", "prove")
    assert proof["generation"] == generation["manifest"]
    before = shell.ask("status")
    assert proof["digest"] == before["store_digest"]
    assert shell.ask("backup", "list")[0]["proved"] != ""
    assert shell.ask("backup", "prune") == {"files": 0, "kept": 1, "removed": 0}

    cluster.made += 1
    shell.url = cluster.server.url(f"sh_test_{cluster.made}")
    assert "rows compared one by one" in shell.run("backup", "restore").output
    assert "already" in shell.run("backup", "restore").output
    after = shell.ask("status")
    assert after["store_digest"] == before["store_digest"]
    assert {**after["counts"], "ledger_entry": 0} == {**before["counts"], "ledger_entry": 0}
    assert "ledger is whole" in shell.run("verify").output
    # The first night on a restored store makes a generation of its own.
    assert "No new files" in shell.run("nightly").output
    assert "Nothing new" in shell.run("nightly").output


def test_a_drill_leaves_a_certificate_that_checks_offline(shell: Shell) -> None:
    done = shell.run("backup", "drill")
    assert done.exit_code == 0, done.exception
    path = Path(done.output.split("Certificate: ")[1].strip())
    assert os.stat(path).st_mode & 0o777 == 0o600
    verifier = verifier_from(None, shell.settings.home / "ledger.pub")
    assert "restore_drill" in verify_file(path, verifier, "en")
    body = json.loads(path.read_text(encoding="utf-8"))["body"]
    assert body["newest"]["store_digest"] == shell.ask("status")["store_digest"]
    assert body["newest"]["milliseconds"] > 0


def test_a_restore_into_a_store_that_holds_rows_says_so(shell: Shell) -> None:
    done = shell.run("backup", "restore")
    assert isinstance(done.exception, BackupBroken)
    assert done.exception.key == "restore.not_empty"


def test_damage_ends_with_the_exit_code_of_a_broken_backup(shell: Shell) -> None:
    path = next((shell.settings.backups / "objects").iterdir())
    path.write_bytes(b"")
    for word in ("verify", "prove", "drill"):
        done = shell.run("backup", word)
        assert isinstance(done.exception, BackupBroken), word
        assert done.exception.exit_code == 60
