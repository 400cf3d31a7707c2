"""Confirming what one file's columns are makes the next night read that file, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from safehands_night import small_landing

from safehands.cli import command
from safehands.errors import SafehandsError

ODD = "单,谁,号,到了\n" + "".join(
    f"YT{i:013d},王小{'明红军霞伟'[i % 5]},1390000{i:04d},2026-11-{1 + i % 22:02d} 08:00:00\n"
    for i in range(30)
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    small_landing(tmp_path / "landing")
    (tmp_path / "landing" / "shop" / "odd.csv").write_text(ODD, encoding="utf-8")
    return tmp_path


def run(shop: Path, *words: str) -> Result:
    places = ["--home", str(shop / "home"), "--landing", str(shop / "landing"), "--lang", "en"]
    return CliRunner().invoke(command("en"), [*words, *places], standalone_mode=False)


def night(shop: Path) -> dict[str, Any]:
    result = run(shop, "nightly", "--date", "2026-11-23")
    assert result.exception is None or isinstance(result.exception, SafehandsError), result
    status = run(shop, "status", "--json")
    assert status.exception is None, status.exception
    found: dict[str, Any] = json.loads(status.output)
    return found


def table(shop: Path, *words: str) -> None:
    odd = str(shop / "landing/shop/odd.csv")
    result = run(shop, "inspect", odd, *words)
    assert result.exception is None, result.exception


def test_only_the_file_that_waited_is_read(shop: Path) -> None:
    first = night(shop)
    assert first["batches"] == {"loaded": 1, "set_aside": 1}
    table(shop, "--confirm")
    second = night(shop)
    assert second["counts"]["parcel"] == first["counts"]["parcel"] + 30
    assert second["batches"] == {"loaded": 2, "set_aside": 1}
    assert night(shop) == second


def test_a_column_that_is_settled_anew_makes_its_file_be_read_anew(shop: Path) -> None:
    table(shop, "--confirm")
    first = night(shop)
    assert first["batches"] == {"loaded": 2, "set_aside": 0}
    table(shop, "--set", "B=ignore", "--confirm")
    second = night(shop)
    assert second["batches"]["loaded"] + second["batches"]["set_aside"] == 3
