"""The configuration page says what the settings are."""

from __future__ import annotations

import re

import pytest

from safehands.configuration import COMPOSE, default_of, reference
from safehands.settings import PROJECT, SECRETS, VARIABLES


def test_the_page_is_up_to_date() -> None:
    page = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference(), "run: make configuration"


@pytest.mark.parametrize("name", [*VARIABLES, *SECRETS])
def test_every_variable_has_one_row(name: str) -> None:
    ours, compose = reference().split("## Under docker compose")
    assert ours.count(f"| `{name}` |") == 1
    assert compose.count(f"| `{name}` |") == (name in COMPOSE)


def test_defaults_are_those_in_force() -> None:
    assert default_of("SAFEHANDS_SHARD_MEGABYTES") == "48"
    assert default_of("SAFEHANDS_KEYS") == "$SAFEHANDS_HOME/keys"
    assert default_of("SAFEHANDS_HOME") == "<project>/.safehands"
    assert default_of("SAFEHANDS_ARCHIVE_LANDING") == "0"
    assert default_of("SAFEHANDS_DATABASE_URL") == ""


def test_no_folder_of_this_machine_is_on_the_page() -> None:
    assert str(PROJECT) not in reference()


def test_no_variable_that_the_code_names_is_missing() -> None:
    code = [
        p for folder in ("include", "plugins", "dags") for p in (PROJECT / folder).rglob("*.py")
    ]
    named = {v for p in code for v in re.findall(r"SAFEHANDS_[A-Z_]+", p.read_text("utf-8"))}
    assert len(named) > len(VARIABLES)
    assert [v for v in sorted(named) if f"`{v}" not in reference()] == []
