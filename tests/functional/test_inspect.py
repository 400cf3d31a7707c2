"""``safehands inspect FILE``: what its columns are, as an owner and a program read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from safehands.cli import command
from safehands.errors import BadInput, PolicyError
from safehands.policy import load_policy
from safehands.settings import Settings

NAMES = ("王小明", "李芳", "张伟国", "赵敏", "陈建军", "周雪梅")
TABLE = "".join(
    f"SF10000000{i:05},{NAMES[i % 6]},1380013{8000 + i},2026-11-23 08:{i:02}:00\n"
    for i in range(40)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landing" / "S1").mkdir(parents=True)
    (tmp_path / "landing" / "S1" / "a.csv").write_text("单,谁,号,到了\n" + TABLE, encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str, lang: str = "en") -> Result:
    places = ["--home", str(folder / "home"), "--landing", str(folder / "landing"), "--lang", lang]
    words = ("inspect", str(folder / "landing/S1/a.csv"), *words, *places)
    return CliRunner().invoke(command(lang), words, standalone_mode=False)


def as_json(folder: Path, *words: str) -> dict[str, Any]:
    result = run(folder, *words, "--json")
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_a_proposal_is_printed_and_written(folder: Path) -> None:
    result = run(folder)
    assert "1xx-xxxx-xxxx 100 %" in result.output
    assert "--confirm" in result.output
    [path] = (folder / "home/mappings").glob("*.yaml")
    assert path.name.startswith("station-")
    assert "confirmed: false" in path.read_text(encoding="utf-8")


def test_no_cell_is_printed_or_written(folder: Path) -> None:
    printed = run(folder).output + run(folder, "--json").output + run(folder, lang="zh").output
    [path] = (folder / "home/mappings").glob("*.yaml")
    everything = printed + path.read_text(encoding="utf-8")
    for cell in TABLE.replace("\n", ",").split(","):
        assert len(cell) < 2 or cell not in everything


def test_as_json(folder: Path) -> None:
    found = as_json(folder)
    assert found["dataset"] == "parcels"
    assert found["fields"] == {
        "A": "waybill_no",
        "B": "receiver_name",
        "C": "receiver_phone",
        "D": "arrived_at",
    }
    assert found["confirmed"] is False
    assert found["columns"][2]["seen"] == "mobile"
    assert found["columns"][2]["share"] == 1.0


def test_confirmed_it_is_part_of_the_policy(folder: Path) -> None:
    assert as_json(folder, "--confirm", "--date", "2026-11-24")["confirmed"] is True
    [source] = load_policy(Settings.read({}).policy, folder / "home/mappings").mappings
    assert (source.station, source.confirmed_on) == ("station", "2026-11-24")


def test_looking_again_takes_nothing_back(folder: Path) -> None:
    as_json(folder, "--confirm")
    assert as_json(folder)["confirmed"] is True
    changed = as_json(folder, "--set", "B=ignore")
    assert (changed["confirmed"], changed["fields"]["B"]) == (False, "ignore")
    assert as_json(folder)["fields"]["B"] == "ignore"


def test_what_cannot_be_confirmed(folder: Path) -> None:
    problem = run(folder, "--set", "A=ignore", "--confirm").exception
    assert isinstance(problem, PolicyError)
    assert problem.key == "inspect.missing"
    assert not list((folder / "home").glob("mappings/*.yaml"))


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("--set", "Z=remark"), "inspect.unknown_column"),
        (("--set", "A=nonsense"), "inspect.unknown_field"),
        (("--dataset", "nonsense"), "inspect.unknown_dataset"),
        (("--station", "nobody"), "inspect.unknown_station"),
    ],
)
def test_slips_are_named(folder: Path, words: tuple[str, str], key: str) -> None:
    problem = run(folder, *words).exception
    assert isinstance(problem, PolicyError)
    assert problem.key == key


def test_a_file_that_is_nobodys_is_shown_and_not_written(folder: Path) -> None:
    for name in ("S1", "S2"):
        (folder / "landing" / name).mkdir(exist_ok=True)
    assert "Nothing was written" in run(folder).output
    assert isinstance(run(folder, "--confirm").exception, PolicyError)
    assert not (folder / "home/mappings").exists()


def test_what_cannot_be_read_says_why(folder: Path) -> None:
    (folder / "landing/S1/a.csv").write_bytes(b"%PDF-1.7 ...")
    assert isinstance(run(folder).exception, BadInput)
