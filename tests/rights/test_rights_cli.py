"""``safehands request``, ``subject``, ``notice`` and ``consent`` as an officer meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from rights_desk import ANNA, LATER, TWIN, Desk

from nights import NOW
from safehands.cli import command
from safehands.commands import call as edge
from safehands.errors import AccessRefused, BadInput, PolicyError

OWNER, BY = ("--owner", "A"), ("--by", "wang.li")
WHO = (*OWNER, *BY)


class Shell:
    """A desk and its command line."""

    def __init__(self, desk: Desk) -> None:
        self.desk, inst = desk, desk.inst
        self.environment = {
            "SAFEHANDS_HOME": str(inst.settings.home),
            "SAFEHANDS_LANDING": str(inst.settings.landing),
            "SAFEHANDS_DATABASE_URL": inst.settings.database_url,
            "COLUMNS": "200",
        }

    def run(self, *words: str, typed: str = "", lang: str = "en") -> Result:
        dated = (*words, "--date", NOW.date().isoformat(), "--lang", lang)
        return CliRunner().invoke(command(lang), dated, env=self.environment, input=typed)

    def ok(self, *words: str, typed: str = "", lang: str = "en") -> str:
        result = self.run(*words, typed=typed, lang=lang)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def refused(self, *words: str, typed: str = "") -> Any:
        result = self.run(*words, typed=typed)
        assert result.exit_code != 0
        return result.exception

    def registered(self, kind: str, *more: str, phone: str = ANNA) -> str:
        words = ("request", "register", *WHO, "--kind", kind, "--phone", *more)
        shown = self.ok(*words, typed=f"{phone}\n")
        assert phone not in shown.replace(f"{phone}\n", "", 1)
        found = re.search(r"R-\d{8}-[0-9a-f]{8}", shown)
        assert found, shown
        return found[0]


@pytest.fixture
def shell(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(edge, "now", lambda: NOW)
    return Shell(desk)


def test_a_request_from_the_counter_to_the_sealed_answer(shell: Shell) -> None:
    request = shell.registered("copy")
    assert "still open" in shell.ok(
        "request", "register", *WHO, "--kind", "copy", "--phone", typed=f"{ANNA}\n"
    )
    assert request in shell.ok("request", "list", *OWNER)
    told = json.loads(shell.ok("request", "list", "--json"))
    assert [one["request"] for one in told] == [request]
    assert "subject" not in told[0]
    assert isinstance(
        shell.refused("request", "send-code", request, *BY, typed=f"{TWIN}\n"), AccessRefused
    )
    sent = shell.ok("request", "send-code", request, *BY, typed=f"{ANNA}\n")
    assert ANNA not in sent.replace(f"{ANNA}\n", "", 1)
    code = (shell.desk.inst.settings.home / "outgoing" / f"{request}.txt").read_text("utf-8")
    [digits, *_] = re.findall(r"\d{6}", code)
    assert isinstance(
        shell.refused("request", "identify", request, *BY, typed="1\n"), AccessRefused
    )
    assert "verified" in shell.ok("request", "identify", request, *BY, typed=f"{digits}\n")
    assert isinstance(shell.refused("request", "decide", request, *BY, "--grant"), AccessRefused)
    four = [word for name in shell.desk.book.conditions for word in ("--condition", name)]
    assert "granted" in shell.ok("request", "decide", request, *BY, "--grant", *four)
    done = shell.ok("request", "carry-out", request, *BY)
    assert f"{request}.zip.age" in done
    assert re.search(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", done)
    assert "done" in shell.ok("request", "list")


def test_a_refusal_a_correction_and_a_check_by_hand(shell: Shell) -> None:
    refused = shell.registered("delete")
    assert shell.run("request", "decide", refused, *BY).exit_code == 2
    assert "refused" in shell.ok("request", "decide", refused, *BY, "--refuse", "period")
    wrong = shell.registered("correct")
    how = ("--how", "document", "--evidence", "copy 7")
    shell.ok("request", "identify", wrong, *BY, *how)
    shell.ok("request", "decide", wrong, *BY, "--grant")
    words = ("request", "carry-out", wrong, *BY, "--field", "name")
    shown = shell.ok(*words, typed="张玮\n")
    assert "corrected 1" in shown
    assert isinstance(
        shell.refused("request", "identify", "R-1", *BY, "--how", "document"), Exception
    )


def test_relatives_and_withdrawals_need_what_policy_asks_for(shell: Shell) -> None:
    words = ("request", "register", *WHO, "--kind", "access", "--behalf", "relative", "--phone")
    assert isinstance(shell.refused(*words, typed=f"{ANNA}\n"), AccessRefused)
    shell.registered("access", "--behalf", "relative", "--evidence", "certificate 3")
    words = ("request", "register", *WHO, "--kind", "withdraw", "--phone")
    assert isinstance(shell.refused(*words, typed=f"{ANNA}\n"), AccessRefused)
    shell.registered("withdraw", "--purpose", "marketing")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_file_of_requests_is_one_run(shell: Shell, tmp_path: Path, lang: str) -> None:
    path = tmp_path / "requests.csv"
    path.write_text(f"手机号,请求\n{ANNA},删除\n{TWIN},拒绝处理\n13999999999,删除\n", "utf-8")
    words = ("request", "bulk", str(path), *WHO, "--evidence", "campaign 3", "--grant")
    shown = shell.ok(*words, lang=lang)
    for phone in (ANNA, TWIN, "13999999999"):
        assert phone not in shown
    assert ("办结 2" if lang == "zh" else "done 2") in shown
    path.write_text(f"手机号,请求\n{LATER},也许\n", "utf-8")
    assert isinstance(shell.refused("request", "bulk", str(path), *WHO), BadInput)


def test_where_somebody_is_by_phone_and_by_token(shell: Shell) -> None:
    words = ("subject", "locate", *WHO)
    shown = shell.ok(*words, "--phone", typed=f"{ANNA}\n")
    assert ANNA not in shown.replace(f"{ANNA}\n", "", 1)
    assert "parcels: 3 rows" in shown
    assert "after collection" in shown
    token = str(shell.desk.people["张伟", ANNA])
    told = json.loads(shell.ok(*words, "--subject", token, "--json"))
    assert {one["name"]: one["rows"] for one in told}["parcel"] == 3
    assert next(one for one in told if one["name"] == "parcel")["days"] == 365
    assert "2 holders" in shell.ok(*words, "--phone", typed=f"{LATER}\n")
    assert "包裹记录" in shell.run(*words, "--subject", token, lang="zh").output
    assert isinstance(shell.refused(*words), AccessRefused)
    assert isinstance(shell.refused(*words, "--phone", typed="13899999999\n"), AccessRefused)


def declare(shell: Shell, contact: str) -> None:
    """The owner of the desk in ``stations.yaml``, as ``notice`` reads it."""
    landing = shell.desk.inst.settings.landing
    for code in ("A1", "A2"):
        (landing / code).mkdir(parents=True, exist_ok=True)
    stations = [{"code": code, "name": code, "folder": code} for code in ("A1", "A2")]
    owner = {"code": "A", "name": "甲公司", "contact": contact, "record_sets": {}}
    text = yaml.safe_dump({"controllers": [{**owner, "stations": stations}]}, allow_unicode=True)
    (landing / "stations.yaml").write_text(text, encoding="utf-8")


def test_a_notice_is_drafted_published_and_compared(shell: Shell, tmp_path: Path) -> None:
    declare(shell, "0755-1111")
    page = tmp_path / "notice.html"
    shown = shell.ok("notice", "show", *OWNER, "--out", str(page))
    assert "0755-1111" in page.read_text(encoding="utf-8")
    assert "characters" in shown
    assert "contact" in shell.ok("notice", "diff", *OWNER)
    assert "2" in shell.ok("notice", "publish", *WHO)
    again = shell.ok("notice", "publish", *WHO)
    assert json.loads(shell.ok("notice", "diff", *OWNER, "--json")) == []
    assert again
    declare(shell, "")
    assert isinstance(shell.refused("notice", "publish", *WHO), PolicyError)


def test_consent_is_recorded_imported_and_asked_about(shell: Shell, tmp_path: Path) -> None:
    given = ("--purpose", "marketing", "--channel", "counter", "--evidence", "form 1")
    words = ("consent", "record", *WHO, "--phone", *given)
    shell.ok(*words, "--kind", "granted", "--notice", "1", typed=f"{ANNA}\n")
    basis = json.loads(shell.ok("consent", "basis", *OWNER, "--purpose", "marketing", "--json"))
    assert sum(basis.values()) == 1
    path = tmp_path / "answers.csv"
    path.write_text(f"手机号,答复,时间\n{ANNA},撤回,2026-11-22 10:00\n", encoding="utf-8")
    sheet = ("consent", "import", str(path), *WHO, "--purpose", "marketing", "--channel", "survey")
    shown = shell.ok(*sheet)
    assert "1 answers recorded" in shown
    assert ANNA not in shown
    assert "1 answers recorded" not in shell.ok(*sheet)
    told = shell.ok("consent", "history", *WHO, "--phone", typed=f"{ANNA}\n")
    assert "withdrawn" in told
    path.write_text(f"手机号,答复,时间\n{ANNA},也许,2026-11-22 10:00\n", encoding="utf-8")
    error = shell.refused(*sheet)
    assert isinstance(error, BadInput)
    assert ANNA not in str(error)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("group", ["request", "subject", "notice", "consent"])
def test_every_command_explains_itself(lang: str, group: str) -> None:
    members: Any = command(lang).get_command(None, group)  # type: ignore[arg-type]
    for name in members.commands:
        shown = CliRunner().invoke(command(lang), [group, name, "--help"])
        assert shown.exit_code == 0
        assert members.commands[name].help.split("；")[0][:8] in shown.output
