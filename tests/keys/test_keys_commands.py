"""``safehands keys`` as its user meets it, in two languages, and what it leaves behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from keys_scene import Home, Scene, files_of

from safehands.cli import command
from safehands.errors import KeyProblem
from safehands.store.digest import store_digest
from safehands.store.register import owners

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("commands"))
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    yield made
    scene.drop(made)


@pytest.fixture
def run(home: Home) -> Run:
    environment = {
        "SAFEHANDS_HOME": str(home.folder),
        "SAFEHANDS_KEYS": str(home.folder / "keys"),
        "SAFEHANDS_KEYS_SECOND": str(home.folder / "second"),
        "SAFEHANDS_DATABASE_URL": home.url,
        "COLUMNS": "200",
    }

    def invoke(*words: str, lang: str = "en", **variables: str) -> Result:
        home.close()
        full = ("keys", *words, "--lang", lang)
        return CliRunner().invoke(command(lang), full, env={**environment, **variables})

    return invoke


def state(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json").output)
    return found


def test_help_has_both_languages() -> None:
    def walk(one: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        if isinstance(one, click.Group):
            for name, part in one.commands.items():
                yield from walk(part, (*words, name))

    group = command("zh").get_command(click.Context(click.Command("x")), "keys")
    assert group is not None
    found = set(walk(group, ("keys",)))
    wanted = [("status",), ("rewrap",), *(("rotate", k) for k in ("root", "data", "token"))]
    wanted += [("escrow", k) for k in ("export", "drill", "restore")]
    assert {("keys", *words) for words in wanted} <= found
    for words in found:
        zh, en = (CliRunner().invoke(command(lang), [*words, "--help"]) for lang in ("zh", "en"))
        assert zh.exit_code == en.exit_code == 0
        assert zh.output != en.output, words


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_status_shows_ids_and_no_key(run: Run, home: Home, lang: str) -> None:
    shown = run("status", lang=lang)
    assert shown.exit_code == 0, shown.output
    files = files_of(home.folder)
    assert files.key_id in shown.output
    for name in files.names():
        secret = files.get(name)
        assert secret.hex() not in shown.output
        assert base64.b64encode(secret).decode() not in shown.output


def test_status_for_machines(run: Run) -> None:
    found = state(run)
    assert found["root"]["version"] == 1
    assert [one["controller"] for one in found["controllers"]] == ["A", "B"]
    assert {one["data_version"] for one in found["controllers"]} == {1}
    assert (found["escrow"], found["escrow_holds"], found["lineage"]) == (None, False, 0)


def test_each_rotation_says_what_it_did(run: Run, home: Home) -> None:
    before = store_digest(home.store())
    for words in (("rotate", "root"), ("rewrap",), ("rotate", "data"), ("rotate", "token")):
        done = run(*words)
        assert done.exit_code == 0, done.output
        assert done.output.strip()
    found = state(run)
    assert found["root"]["version"] == 2
    assert {one["data_version"] for one in found["controllers"]} == {2}
    assert {one["epoch"] for one in found["controllers"]} == {2}
    # Both epoch keys stay until a backup has been proved without the old one.
    assert found["epoch_keys"] == 4
    assert store_digest(home.store()) == before


def test_a_token_rotation_waits_for_the_one_before(run: Run) -> None:
    assert "a new epoch is open" in run("rotate", "token", "--controller", "A").output
    again = run("rotate", "token", "--controller", "A")
    assert "no new epoch now" in again.output
    assert [one["epoch"] for one in state(run)["controllers"]] == [2, 1]


def test_one_owner_alone_and_one_that_is_not_there(run: Run) -> None:
    assert run("rotate", "data", "--controller", "B").exit_code == 0
    assert [one["data_version"] for one in state(run)["controllers"]] == [1, 2]
    wrong = run("rotate", "data", "--controller", "Z")
    assert wrong.exit_code != 0
    assert [one["data_version"] for one in state(run)["controllers"]] == [1, 2]


def test_escrow_from_export_to_a_new_machine(run: Run, home: Home, tmp_path: Path) -> None:
    before = store_digest(home.store())
    out = tmp_path / "usb"
    assert (
        run("escrow", "export", "--threshold", "2", "--shares", "3", "--out", str(out)).exit_code
        == 0
    )
    files = sorted(str(path) for path in out.glob("share-*"))
    bundle = str(out / "safehands-escrow.age")
    assert not state(run)["escrow_holds"]
    few = run("escrow", "drill", bundle, files[0])
    assert isinstance(few.exception, KeyProblem)
    assert not state(run)["escrow_holds"]
    done = run("escrow", "drill", bundle, *files[1:])
    assert done.exit_code == 0, done.output
    assert state(run)["escrow_holds"]
    words = "".join(Path(name).read_text() for name in files).split()
    assert not any(f" {word} " in done.output for word in set(words) if len(word) > 6)
    for path in (home.folder / "keys").rglob("*.key"):
        path.unlink()
    back = run("escrow", "restore", bundle, *files[:2])
    assert back.exit_code == 0, back.output
    assert store_digest(home.store()) == before


def test_the_root_key_moves_into_a_variable(run: Run, home: Home) -> None:
    given = {"SAFEHANDS_ROOT_KEY": base64.b64encode(b"v" * 32).decode()}
    moved = run("rotate", "root", "--to", "env:", **given)
    assert moved.exit_code == 0, moved.output
    assert "SAFEHANDS_KEYS_URL" in moved.output
    assert isinstance(run("status").exception, KeyProblem)
    found = run("status", "--json", SAFEHANDS_KEYS_URL="env:", **given)
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["root"]["key"] != "none"
    assert not (home.folder / "keys" / "root.key").exists()


def test_the_owners_are_those_of_the_store(home: Home) -> None:
    assert sorted(owners(home.store())) == ["A", "B"]
