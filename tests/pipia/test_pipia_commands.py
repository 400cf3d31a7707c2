"""``safehands assess`` as an officer types it: begun, answered in words, signed, exported."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from rulebook_home import OWNER, Home

from nights import BUSINESS_DATE
from safehands.cli import command
from safehands.errors import SafehandsError

ASSESSOR, OFFICER = "赵一", "钱二"
LEVELS = ("impact_self_determination", "impact_differential_treatment", "impact_reputation")
AFTER = ("after_technical", "after_process", "after_people", "after_posture")


def run(home: Home, *words: str, lang: str = "en", say: str = "") -> Result:
    environment = {
        "SAFEHANDS_HOME": str(home.inst.settings.home),
        "SAFEHANDS_DATABASE_URL": home.inst.settings.database_url,
    }
    dated = ("assess", *words, "--date", BUSINESS_DATE.isoformat(), "--lang", lang)
    return CliRunner().invoke(command(lang), dated, env=environment, input=say)


def ok(home: Home, *words: str, lang: str = "en", say: str = "") -> str:
    result = run(home, *words, lang=lang, say=say)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def told(result: Result, lang: str) -> str:
    """Return what the shell would print of an error that the commands leave to it."""
    assert isinstance(result.exception, SafehandsError)
    return result.exception.say(lang)


def test_an_officer_answers_in_words_or_levels_signs_and_exports(
    home: Home, tmp_path: Path
) -> None:
    begun = ok(home, "start", "--owner", OWNER, "--occasion", "sensitive")
    number = begun.split()[1]
    for question, choice in (
        ("necessity", "yes"),
        ("properness", "是"),
        ("service", "1"),
        ("sufficiency", "Yes"),
        *((name, "1") for name in (*LEVELS, "impact_harm", *AFTER)),
    ):
        ok(home, "answer", number, question, choice, say=f"{ASSESSOR}\n")
    shown = ok(home, "show", number)
    assert "→ yes" in shown
    assert "draft" not in shown
    assert "Signed" in ok(home, "sign", number, say=f"{OFFICER}\n")
    written = ok(home, "export", number, "--external", "--out", str(tmp_path / "out"))
    [data] = (tmp_path / "out").glob("*.json")
    body = json.loads(data.read_text(encoding="utf-8"))
    assert str(data) in written.replace("\n", "")
    assert body["edition"] == "external"
    assert not any(name in json.dumps(body, ensure_ascii=False) for name in (ASSESSOR, OFFICER))


def test_an_answer_that_is_none_says_what_can_be_answered(home: Home) -> None:
    number = ok(home, "start", "--owner", OWNER, "--occasion", "sensitive").split()[1]
    refused = run(home, "answer", number, "necessity", "perhaps", say=f"{ASSESSOR}\n")
    assert refused.exit_code != 0
    assert "yes or no" in told(refused, "en")
    level = run(home, "answer", number, "impact_harm", "yes!", lang="zh", say=f"{ASSESSOR}\n")
    assert "1 到 4" in told(level, "zh")
    waiting = ok(home, "show", number)
    assert waiting.count(" draft\n") == 12
