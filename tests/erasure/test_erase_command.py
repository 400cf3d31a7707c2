"""``safehands erase`` as its user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minimised import PHONE, World, at, collected, parcel
from nights import BUSINESS_DATE, NOW
from safehands.cli import command
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.night import Night

DAY = BUSINESS_DATE.isoformat()


class Shell:
    """Runs ``safehands erase …`` on one home and one database."""

    def __init__(self, inst: Installation, folder: Path) -> None:
        self.inst, self.folder = inst, folder
        self.environment = {
            "SAFEHANDS_HOME": str(inst.settings.home),
            "SAFEHANDS_DATABASE_URL": inst.settings.database_url,
        }

    def run(self, *words: str, typed: str = "", group: str = "erase", lang: str = "en") -> Result:
        where = ("--date", DAY, "--lang", lang)
        words = (group, words[0], *where, *words[1:]) if group == "erase" else (group, *where)
        return CliRunner().invoke(command(lang), words, env=self.environment, input=typed)

    def phone_file(self, text: str = PHONE) -> str:
        path = self.folder / "who.txt"
        path.write_text(text + "\n", encoding="utf-8")
        return str(path)


@pytest.fixture
def world(inst: Installation, night: Night) -> World:
    made = World(inst.store, replace(night, settings=inst.settings), NOW)
    made.load([parcel("W1", at(2026, 11, 20)), collected("W2", at(2026, 11, 1))])
    return made


@pytest.fixture
def shell(inst: Installation, world: World, tmp_path: Path) -> Shell:
    return Shell(inst, tmp_path)


def test_a_plan_takes_nothing_and_says_what_would_go(shell: Shell, world: World) -> None:
    before = world.census()
    shown = shell.run("plan", "--owner", "A", "--phone-file", shell.phone_file())
    assert shown.exit_code == 0, shown.output
    assert "people 1, parcel records 2" in shown.output
    assert "1 parcels still wait" in shown.output
    assert PHONE not in shown.output
    assert world.census() == before


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_number_is_asked_for_without_being_shown(shell: Shell, world: World, lang: str) -> None:
    shown = shell.run("run", "--owner", "A", typed=f"{PHONE}\n", lang=lang)
    assert shown.exit_code == 0, shown.output
    assert "E-20" in shown.output
    assert PHONE not in shown.output
    assert world.people() == []


def test_a_number_on_the_command_line_is_refused_and_not_repeated(shell: Shell) -> None:
    for spelling in (PHONE, "+86 138-0000-0001"):
        shown = shell.run("run", spelling)
        assert isinstance(shown.exception, PolicyError)
        assert shown.exception.key == "erasure.number_given"
        assert PHONE not in str(shown.exception)


def test_with_several_owners_one_must_be_named(shell: Shell) -> None:
    shown = shell.run("plan", "--phone-file", shell.phone_file())
    assert isinstance(shown.exception, PolicyError)
    assert "A, B" in str(shown.exception)


def test_by_subject_id_to_the_certificate_that_verifies(shell: Shell, world: World) -> None:
    subject = str(world.people()[0]["subject_id"])
    done = shell.run("run", subject, "--final", "--json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.output)
    assert (found["state"], found["controller"]) == ("final", "A")
    out = shell.folder / "certificate.json"
    shown = shell.run("certificate", found["request"], "--out", str(out))
    assert "the station's own software" in shown.output
    assert "until 2026-12-28" in shown.output
    words = ("verify", "--lang", "en", str(out))
    checked = CliRunner().invoke(command("en"), words, env=shell.environment)
    assert checked.exit_code == 0, checked.output
    assert "erasure evidence checks" in checked.output
    assert not list(shell.inst.settings.keys.glob("run/*"))


def test_a_request_waits_for_the_night_and_shows_its_state(shell: Shell, world: World) -> None:
    done = shell.run("run", "--owner", "A", "--phone-file", shell.phone_file())
    request = done.output.split()[0]
    assert "final when the old key is destroyed" in shell.run("status").output
    refused = shell.run("certificate", request)
    assert isinstance(refused.exception, PolicyError)
    assert shell.run("prove", group="prove").exit_code == 0
    assert "erased" in shell.run("status", request).output
    again: Any = shell.run("run", request, "--final", "--json")
    assert json.loads(again.output)[0]["state"] == "final"


def test_an_unknown_request_is_named(shell: Shell) -> None:
    shown = shell.run("status", "E-none")
    assert isinstance(shown.exception, PolicyError)
    assert "E-none" in str(shown.exception)
