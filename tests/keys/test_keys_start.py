"""The key check at start: what is missing, wrong, older or newer is refused before any write."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from keys_scene import KILLED, Home, Scene, files_of, sampled
from sqlalchemy import text
from vault_fake import TOKEN, Vault, served

from nights import NOW
from safehands.errors import KeyProblem
from safehands.keys import FileProvider, KeyProvider
from safehands.keys.choose import Sources, choose, leading_to
from safehands.rotation import rewrap, rotate_root
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import check_keys, owners, register


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("start"))
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    yield made
    scene.drop(made)


@pytest.fixture
def vault() -> Iterator[Vault]:
    with served() as made:
        yield made


def images(home: Home) -> dict[str, bytes]:
    """Return every file of a home, to see that nothing was written."""
    paths = [path for path in home.folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


def refused(home: Home, provider: KeyProvider | None = None) -> KeyProblem:
    before = images(home)
    with pytest.raises(KeyProblem) as caught:
        home.store(provider)
    assert images(home) == before
    return caught.value


def test_a_missing_root_key_is_named(home: Home) -> None:
    wanted = files_of(home.folder).key_id
    (home.folder / "keys" / "root.key").unlink()
    problem = refused(home)
    assert problem.key == "keys.missing"
    assert wanted in str(problem.params["name"])


def test_a_wrong_root_key_is_named(home: Home, tmp_path: Path) -> None:
    other = FileProvider(tmp_path / "a", tmp_path / "b")
    other.create("root")
    problem = refused(home, other)
    assert problem.key == "keys.other_root"
    assert problem.params == {"wanted": files_of(home.folder).key_id, "found": other.key_id}


def test_a_root_key_with_the_right_name_and_other_material_is_refused(
    home: Home, vault: Vault
) -> None:
    store = home.store(_vault_provider(home, vault, store=home.store()))
    rotate_root(store, NOW)
    home.close()
    again = _vault_only(home, vault)
    check_keys(home.store(again))
    # Somebody deleted the key in Vault and made one of the same name.
    vault.keys["safehands"].versions[:] = [b"x" * 32] * len(vault.keys["safehands"].versions)
    with pytest.raises(KeyProblem) as caught:
        home.store(_vault_only(home, vault))
    assert caught.value.key == "keys.wrong_root"
    assert caught.value.params["id"] == "vault:transit/safehands"


def test_a_vault_put_back_to_an_older_state_is_refused(home: Home, vault: Vault) -> None:
    rotate_root(home.store(_vault_provider(home, vault, store=home.store())), NOW)
    home.close()
    rotate_root(home.store(_vault_only(home, vault)), NOW)
    home.close()
    key = vault.keys["safehands"]
    del key.versions[-1]
    key.minimum = 1
    with pytest.raises(KeyProblem) as caught:
        home.store(_vault_only(home, vault))
    assert caught.value.key == "keys.older_root"


def test_a_vault_that_renewed_its_key_goes_on_and_is_rewrapped(home: Home, vault: Vault) -> None:
    before = store_digest(home.store())
    rotate_root(home.store(_vault_provider(home, vault, store=home.store())), NOW)
    home.close()
    vault.keys["safehands"].versions.append(b"n" * 32)
    store = home.store(_vault_only(home, vault))
    assert store_digest(store) == before
    rewrap(store, NOW)
    assert vault.keys["safehands"].minimum == len(vault.keys["safehands"].versions)
    assert store_digest(home.store(_vault_only(home, vault))) == before


def test_a_missing_a_wrong_and_a_younger_epoch_key_are_named(home: Home) -> None:
    first = home.folder / "keys" / "epoch" / "A" / "1.key"
    second = home.folder / "second" / "epoch" / "A" / "1.key"
    kept = first.read_bytes()
    for path in (first, second):
        path.unlink()
    store = home.store()
    with pytest.raises(KeyProblem) as caught:
        check_keys(store)
    assert (caught.value.key, caught.value.params["name"]) == ("keys.missing", "epoch/A/1")
    files_of(home.folder).create("epoch/A/2")
    with pytest.raises(KeyProblem) as caught:
        check_keys(store)
    assert caught.value.key == "keys.newer_epoch"
    files_of(home.folder).create("epoch/A/1")
    with pytest.raises(KeyProblem) as caught:
        check_keys(store)
    assert caught.value.key == "keys.wrong_epoch"
    assert caught.value.params["name"] == "epoch/A/1"
    first.write_bytes(kept)
    check_keys(store)


def test_the_root_key_goes_from_files_to_a_variable(home: Home, tmp_path: Path) -> None:
    before = store_digest(home.store())
    value = base64.b64encode(b"v" * 32).decode()
    given = {"SAFEHANDS_ROOT_KEY": value}
    places = Sources(home.folder / "keys", home.folder / "second", lambda n: given.get(n, ""))
    both = leading_to(files_of(home.folder), "env:", places)
    done = rotate_root(home.store(both), NOW)
    home.close()
    store = home.store(choose("env:", places))
    assert store.provider.key_id == done.new
    assert store_digest(store) == before
    with pytest.raises(KeyProblem):
        home.store()
    # Owners that come later are wrapped by it too.
    from minimised import declared

    third = declared().controllers[0].model_copy(update={"code": "C", "stations": ()})
    register(store, type(declared())(controllers=(third,)), NOW.date())
    check_keys(home.store(choose("env:", places)))
    assert "C" in owners(store)


def test_a_move_that_fails_leaves_the_files_in_use(home: Home, vault: Vault) -> None:
    before = store_digest(home.store())
    both = _vault_provider(home, vault, store=home.store())
    vault.keys.clear()
    store = home.store(both)
    with pytest.raises(KeyProblem):
        rotate_root(store, NOW)
    home.close()
    assert store_digest(home.store()) == before
    rotate_root(home.store(), NOW)
    assert store_digest(home.store()) == before


def test_a_move_killed_at_any_moment_opens_with_one_of_the_two(scene: Scene) -> None:
    value = base64.b64encode(b"v" * 32).decode()

    def places(home: Home) -> Sources:
        return Sources(home.folder / "keys", home.folder / "second", lambda n: value)

    def move(home: Home) -> None:
        rotate_root(home.store(leading_to(files_of(home.folder), "env:", places(home))), NOW)

    probe = scene.fresh()
    before, started = store_digest(probe.store()), files_of(probe.folder).key_id
    code, points = probe.killed(lambda: move(probe), None)
    assert code == 0
    scene.drop(probe)
    opened = set()
    for at in sampled(points, 10):
        home = scene.fresh()
        code, _ = home.killed(lambda home=home: move(home), at)
        assert code == KILLED, at
        with psycopg.connect(home.url.replace("+psycopg", "")) as connection:
            row = connection.execute("SELECT root_id FROM installation").fetchone()
        # The database says whose it is: the files' root key or the variable's.
        still = row == (started,)
        opened.add(still)
        store = home.store(None if still else choose("env:", places(home)))
        check_keys(store)
        assert store_digest(store) == before, at
        scene.drop(home)
    assert opened == {True, False}


def test_a_rotation_of_a_variable_is_open_with_either_until_it_ends(home: Home) -> None:
    given = {"SAFEHANDS_ROOT_KEY": base64.b64encode(b"v" * 32).decode()}
    places = Sources(home.folder / "keys", home.folder / "second", lambda n: given.get(n, ""))
    rotate_root(home.store(leading_to(files_of(home.folder), "env:", places)), NOW)
    home.close()
    before = store_digest(home.store(choose("env:", places)))
    first = dict(given)
    given["SAFEHANDS_ROOT_KEY_NEXT"] = "2:" + base64.b64encode(b"w" * 32).decode()
    rotate_root(home.store(choose("env:", places)), NOW)
    home.close()
    # Both variables are still set: the next one is found to be the one in use.
    assert store_digest(home.store(choose("env:", places))) == before
    given["SAFEHANDS_ROOT_KEY"] = given.pop("SAFEHANDS_ROOT_KEY_NEXT")
    assert store_digest(home.store(choose("env:", places))) == before
    given.clear()
    given.update(first)
    with pytest.raises(KeyProblem) as caught:
        home.store(choose("env:", places))
    assert caught.value.key in ("keys.other_base", "keys.older_root")


def test_the_check_value_is_written_once(home: Home) -> None:
    home.store()
    store = home.store()
    with store.begin("safehands_owner") as connection:
        assert connection.execute(text("SELECT count(*) FROM root_key")).scalar() == 1


def _sources(home: Home) -> Sources:
    given = {"SAFEHANDS_VAULT_TOKEN": TOKEN}
    return Sources(home.folder / "keys", home.folder / "second", lambda n: given.get(n, ""))


def _vault_provider(home: Home, vault: Vault, store: Store) -> KeyProvider:
    return leading_to(store.provider, f"vault+{vault.url}/transit/safehands", _sources(home))


def _vault_only(home: Home, vault: Vault) -> KeyProvider:
    return choose(f"vault+{vault.url}/transit/safehands", _sources(home))
