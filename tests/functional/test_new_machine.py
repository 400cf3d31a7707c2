"""A machine is gone: what people hold and what lay elsewhere make a new one (operations.md)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safehands_night import small_landing

from nights import BUSINESS_DATE
from safehands import embedded
from safehands.cli import command


class Machine:
    """A machine with a disk of its own, an embedded database, and two places elsewhere."""

    def __init__(self, folder: Path, elsewhere: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True, mode=0o700)
        self.environment = {
            "SAFEHANDS_HOME": str(self.home),
            "SAFEHANDS_KEYS_SECOND": str(elsewhere / "keys-second"),
            "SAFEHANDS_BACKUPS": str(elsewhere / "backups"),
            "SAFEHANDS_WORKERS": "1",
        }

    def run(self, *words: str) -> Result:
        given = (*words, "--date", BUSINESS_DATE.isoformat(), "--lang", "en")
        return CliRunner().invoke(command("en"), given, env=self.environment)

    def status(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run("status", "--json").output)
        return found

    def end(self) -> None:
        embedded.remove(embedded.Place(self.home))
        shutil.rmtree(self.home)


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[tuple[Machine, dict[str, object]]]:
    """A new machine, and the state of the one that is gone; escrow lies in ``elsewhere/people``."""
    elsewhere = tmp_path / "elsewhere"
    old = Machine(tmp_path / "old", elsewhere)
    small_landing(old.home / "landing")
    people = elsewhere / "people"
    try:
        for words in (
            ("keys", "escrow", "export", "--out", str(people)),
            ("nightly",),
        ):
            done = old.run(*words)
            assert done.exit_code == 0, done.output or done.exception
        before = old.status()
    finally:
        shutil.copytree(old.home / "landing", tmp_path / "exports")
        old.end()
    new = Machine(tmp_path / "new", elsewhere)
    shutil.copytree(tmp_path / "exports", new.home / "landing")
    yield new, before
    new.end()


def test_escrow_second_place_and_backups_make_a_new_machine(
    lost: tuple[Machine, dict[str, object]], tmp_path: Path
) -> None:
    new, before = lost
    people = tmp_path / "elsewhere" / "people"
    bundle = next(p for p in people.iterdir() if "share" not in p.name)
    shares = sorted(str(p) for p in people.iterdir() if "share" in p.name)[:2]
    done = new.run("keys", "escrow", "restore", str(bundle), *shares)
    assert done.exit_code == 0, done.output or done.exception
    done = new.run("backup", "restore")
    assert done.exit_code == 0, done.output or done.exception
    after = new.status()
    assert after["store_digest"] == before["store_digest"]
    assert after["root_key"] == before["root_key"]
    assert after["ledger_key"] == before["ledger_key"]
    assert "ledger is whole" in new.run("verify").output
    # The first night on a restored store makes a generation of its own.
    assert "No new files" in new.run("nightly").output
    assert "Nothing new" in new.run("nightly").output
    assert new.status()["store_digest"] == before["store_digest"]
    found = json.loads(new.run("doctor", "--json").output.splitlines()[0])
    assert [one["check"] for one in found if one["state"] == "bad"] == []
