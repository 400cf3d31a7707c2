"""Settings come from what is handed in, and a value that cannot be used is named."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import pytest

from safehands.errors import SetupProblem
from safehands.settings import SECRETS, VARIABLES, Settings


def test_defaults_hang_on_home_alone(tmp_path: Path) -> None:
    made = Settings.read({}, home=str(tmp_path))
    for name in ("landing", "keys", "keys_second", "backups", "reports", "work", "archive"):
        assert getattr(made, name).is_relative_to(tmp_path), name
    assert made.policy.name == "policy"
    assert (made.policy / "fields.yaml").exists()
    assert made.keys != made.keys_second
    assert made.database_url == ""


def test_every_setting_has_a_variable_and_every_variable_is_read(tmp_path: Path) -> None:
    # One variable says where backups lie: a folder, or a URL, which has a field of its own.
    shown = [f for f in fields(Settings) if f.name not in ("secret", "backups_url")]
    assert {f"SAFEHANDS_{f.name.upper()}" for f in shown} == VARIABLES.keys()
    values = {
        "SAFEHANDS_LANG": "zh",
        "SAFEHANDS_SHARD_MEGABYTES": "7",
        "SAFEHANDS_WORKERS": "3",
        "SAFEHANDS_BACKUP_WHOLE_DAYS": "3",
        "SAFEHANDS_ARCHIVE_LANDING": "1",
        "SAFEHANDS_DATABASE_URL": "postgresql://x",
    }
    values |= {name: "5" for name in VARIABLES if name.startswith("SAFEHANDS_READ_")}
    given = {name: values.get(name, str(tmp_path / name)) for name in VARIABLES}
    made = Settings.read({**given, "LANG": "en_US.UTF-8"})
    plain = Settings.read({"LANG": "en_US.UTF-8"})
    for field in shown:
        value = given[f"SAFEHANDS_{field.name.upper()}"]
        wanted = {"1": "True"}.get(value, value)
        assert str(getattr(made, field.name)) == wanted, field.name
        assert getattr(made, field.name) != getattr(plain, field.name), field.name


def test_an_option_of_the_command_line_wins(tmp_path: Path) -> None:
    made = Settings.read({"SAFEHANDS_LANG": "zh"}, lang="en", home=str(tmp_path))
    assert made.lang == "en"
    assert Settings.read({"SAFEHANDS_LANG": "zh"}, lang="").lang == "zh"


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Settings.read({"SAFEHANDS_LANDING": "in/../here"}, home="home")
    assert made.landing == tmp_path / "here"
    assert made.keys == tmp_path / "home" / "keys"


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "en_GB", "LANG": "zh_CN"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
        ({"LANG": "zh_CN", "SAFEHANDS_LANG": "en"}, "en"),
    ],
)
def test_the_language_is_the_system_s_unless_set(environ: dict[str, str], lang: str) -> None:
    assert Settings.read(environ).lang == lang


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", " 3", "1e3"])
@pytest.mark.parametrize("name", ["SAFEHANDS_WORKERS", "SAFEHANDS_SHARD_MEGABYTES"])
def test_a_number_that_is_none_is_refused(name: str, text: str) -> None:
    with pytest.raises(SetupProblem) as caught:
        Settings.read({name: text})
    assert caught.value.params["name"] == name


@pytest.mark.parametrize(
    ("name", "text"), [("SAFEHANDS_LANG", "fr"), ("SAFEHANDS_ARCHIVE_LANDING", "ture")]
)
def test_a_choice_that_is_none_is_refused(name: str, text: str) -> None:
    with pytest.raises(SetupProblem) as caught:
        Settings.read({name: text})
    assert caught.value.params["name"] == name


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("true", True), ("YES", True), ("0", False), ("no", False)]
)
def test_a_switch_is_on_or_off(text: str, on: bool) -> None:
    assert Settings.read({"SAFEHANDS_ARCHIVE_LANDING": text}).archive_landing is on


def test_the_database_url_is_not_shown() -> None:
    made = Settings.read({"SAFEHANDS_DATABASE_URL": "postgresql://u:hush@h/d"})
    assert "hush" not in repr(made)


def test_a_secret_is_neither_shown_nor_sent_to_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    made = Settings.read({name: f"hidden-{name}" for name in SECRETS})
    assert {made.secret(name) for name in SECRETS} == {f"hidden-{name}" for name in SECRETS}
    shown = f"{made!r} {made} {made.secret} {made.secret!r}".encode() + pickle.dumps(made)
    assert b"hidden-" not in shown
    monkeypatch.setenv("SAFEHANDS_ROOT_KEY", "of the worker")
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.secret("SAFEHANDS_ROOT_KEY") == "of the worker"
