"""``safehands vault``, ``hold`` and ``purge --plan`` as their users meet them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minimised import PHONE, World, at, collected
from nights import BUSINESS_DATE, NOW
from safehands.cli import command
from safehands.commands import call as edge
from safehands.errors import AccessRefused, RetentionRefused
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.pipeline import Head

OLD = at(2025, 11, 1)
WHO = ("--owner", "A", "--by", "wang.li")


class Shell:
    """One installation with one old parcel, and its command line."""

    def __init__(self, inst: Installation) -> None:
        self.inst = inst
        head = Head.of(BUSINESS_DATE)
        key = RunKey(head.run, b"k" * 32)
        night = Night(head.run, BUSINESS_DATE, inst.settings, inst.policy, key)
        self.world = World(inst.store, night, NOW)
        self.world.on(OLD.date()).load([collected("W1", OLD)])
        self.subject = str(self.world.people()[0]["subject_id"])
        self.environment = {
            "SAFEHANDS_HOME": str(inst.settings.home),
            "SAFEHANDS_DATABASE_URL": inst.settings.database_url,
            "COLUMNS": "200",
        }

    def run(self, *words: str, typed: str = "", lang: str = "en") -> Result:
        dated = (*words, "--date", BUSINESS_DATE.isoformat(), "--lang", lang)
        return CliRunner().invoke(command(lang), dated, env=self.environment, input=typed)


@pytest.fixture
def shell(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(edge, "now", lambda: NOW)
    return Shell(inst)


def ok(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_a_number_is_typed_and_not_echoed(shell: Shell) -> None:
    words = ("vault", "reveal", *WHO, "--purpose", "rights", "--phone")
    shown = ok(shell.run(*words, typed=f"{PHONE}\n"))
    assert "name: 张伟" in shown
    assert shown.count(PHONE) == 1
    again = ("vault", "reveal", *WHO, "--purpose", "proof", "--subject", shell.subject, "--json")
    assert json.loads(ok(shell.run(*again)))["name"] == "张伟"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_command_explains_itself(lang: str) -> None:
    for group, names in (
        ("vault", ("reveal", "correct", "restrict", "release")),
        ("hold", ("place", "lift", "list")),
    ):
        shown = CliRunner().invoke(command(lang), [group, "--help"])
        assert shown.exit_code == 0
        for name in names:
            assert name in shown.output
            each = CliRunner().invoke(command(lang), [group, name, "--help"])
            assert each.exit_code == 0


def test_without_who_and_why_there_is_no_reveal(shell: Shell) -> None:
    assert shell.run("vault", "reveal", "--phone").exit_code == 2
    assert shell.run("vault", "reveal", *WHO, "--subject", shell.subject).exit_code == 2
    words = ("vault", "reveal", *WHO, "--purpose", "fun", "--subject", shell.subject)
    error = shell.run(*words).exception
    assert isinstance(error, AccessRefused)
    assert error.exit_code == 45


def test_correct_restrict_and_release(shell: Shell) -> None:
    purpose = ("--purpose", "rights", "--subject", shell.subject)
    change = ("vault", "correct", *WHO, *purpose, "--field", "name")
    assert "Corrected" in ok(shell.run(*change, typed="张玮\n"))
    assert "nothing was changed" in ok(shell.run(*change, typed="张玮\n"))
    ok(shell.run("vault", "restrict", *WHO, *purpose, "--reason", "request"))
    assert isinstance(shell.run("vault", "reveal", *WHO, *purpose).exception, AccessRefused)
    ok(shell.run("vault", "release", *WHO, *purpose))
    assert "name: 张玮" in ok(shell.run("vault", "reveal", *WHO, *purpose))
    assert "ledger is whole" in ok(shell.run("verify"))


def test_a_hold_is_placed_listed_seen_in_the_plan_and_lifted(shell: Shell) -> None:
    plan = ("purge", "--plan", "--json")
    before = {r["rule"]: r for r in json.loads(ok(shell.run(*plan)))["rules"]}
    assert (before["pickup_record"]["due"], before["pickup_record"]["held"]) == (1, 0)
    order = ("--reason", "dispute", "--responsible", "legal.chen", "--until", "2026-12-31")
    place = ("hold", "place", *WHO, *order, "--carrier", "顺丰")
    assert "Hold 1" in ok(shell.run(*place, typed="W1\n"))
    assert "legal.chen" in ok(shell.run("hold", "list", "--owner", "A"))
    (listed,) = json.loads(ok(shell.run("hold", "list", "--owner", "A", "--json")))
    assert (listed["scope"], listed["until"]) == ("parcel", "2026-12-31")
    after = {r["rule"]: r for r in json.loads(ok(shell.run(*plan)))["rules"]}
    assert (after["pickup_record"]["due"], after["pickup_record"]["held"]) == (0, 1)
    assert "1 more are kept by a hold" in ok(shell.run("purge", "--plan"))
    ok(shell.run("hold", "lift", *WHO, "--number", "1"))
    assert "No hold" in ok(shell.run("hold", "list", "--owner", "A"))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_plan_says_what_why_and_what_it_leaves_to_others(shell: Shell, lang: str) -> None:
    census = shell.world.census()
    shown = ok(shell.run("purge", "--plan", lang=lang))
    for rule in shell.inst.policy.retention.values():
        (line,) = [
            text
            for text in shown.splitlines()
            if text.startswith(getattr(rule.label, lang) + (": " if lang == "en" else "："))
        ]
        assert rule.basis in line
        assert str(rule.keep_days) in line
    for other in shell.inst.policy.elsewhere.values():
        assert getattr(other.label, lang) in shown
    assert shell.world.census() == census


def test_a_date_in_doubt_is_shown_in_the_plan_and_confirmed_by_hand(shell: Shell) -> None:
    earlier = shell.world.on(OLD.date())
    from safehands.purge import purge

    purge(replace(earlier.night, run="first"), shell.inst.store, earlier.now, OLD.date())
    assert "more than 14 days after the last purge" in ok(shell.run("purge", "--plan"))
    assert isinstance(shell.run("purge").exception, RetentionRefused)
    wrong: Any = shell.run("purge", "--confirm-date", "2026-11-22").exception
    assert isinstance(wrong, RetentionRefused)
    done = ok(shell.run("purge", "--confirm-date", BUSINESS_DATE.isoformat(), "--json"))
    assert json.loads(done)["counts"]["pickup_record"] == 1
