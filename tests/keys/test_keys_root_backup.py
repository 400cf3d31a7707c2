"""A rotation of the root key keeps the old one until a backup has come back without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from keys_scene import KILLED, Home, Scene, files_of, night_of, sampled
from sqlalchemy import text

from nights import NOW
from safehands import erasure, journal
from safehands.backup import Repository, backup
from safehands.errors import BackupBroken, KeyProblem
from safehands.keys import FileProvider, age
from safehands.keys.roots import LocalRoot
from safehands.keys.sealed import SealedFiles, SealedProvider, moved
from safehands.night import Night
from safehands.restore import restore
from safehands.rotation import is_settled, key_state, rewrap, rotate_root
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import check_keys


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A store that has been backed up once, with its repository in the home."""
    made = Scene(tmp_path_factory.mktemp("root-backup"))
    keys = files_of(made.base)
    (keys.first / "backup-recipients.txt").write_text(age.make_identity(keys) + "\n")
    store = Store(made.server.url("sh_keys_base"), keys)
    backup(night_in(made.base), store, NOW)
    store.close()
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    yield made
    scene.drop(made)


def night_in(folder: Path) -> Night:
    settings = Settings.read({}, home=str(folder), lang="en", workers="1")
    return replace(night_of(folder), settings=settings)


def restored(scene: Scene, home: Home, provider: FileProvider | None = None) -> Store:
    """Restore the newest generation of a home into a database of its own."""
    scene.made += 1
    target = Store(
        scene.server.url(f"sh_root_restored_{scene.made}"), provider or files_of(home.folder)
    )
    home.opened.append(target)
    verifier = journal.signing_key(target.provider).verifier
    restore(Repository(home.folder / "backups"), target, verifier, NOW)
    return target


def rotated(home: Home) -> None:
    """What ``safehands keys rotate root`` does."""
    store, night = home.store(), night_in(home.folder)
    if not rotate_root(store, NOW).settled:
        backup(night, store, NOW)
        erasure.prove(night, store, NOW)


def test_the_newest_backup_opens_before_and_after_the_old_key_goes(
    scene: Scene, home: Home
) -> None:
    store, night = home.store(), night_in(home.folder)
    before, old = store_digest(store), files_of(home.folder).get("root")
    done = rotate_root(store, NOW)
    assert not done.settled
    assert not is_settled(store)
    # No backup yet under the new key: what was backed up under the old one comes back whole.
    assert store_digest(restored(scene, home)) == before
    backup(night, store, NOW)
    assert store_digest(restored(scene, home)) == before
    counts = erasure.prove(night, store, NOW).counts
    assert counts["roots_ended"] == 1
    assert is_settled(store)
    assert not any(old in path.read_bytes() for path in home.folder.rglob("*.key"))
    again = restored(scene, home)
    assert store_digest(again) == before
    check_keys(again)


def test_a_store_restored_under_the_former_key_belongs_to_the_new_one(
    scene: Scene, home: Home
) -> None:
    new = rotate_root(home.store(), NOW).new
    target = restored(scene, home)
    with target.begin() as connection:
        assert connection.execute(text("SELECT root_id FROM installation")).scalar() == new
    alone = Store(target.url, target.provider.without_former())
    home.opened.append(alone)
    check_keys(alone)
    assert key_state(alone)["root"]["key"] == new


def test_without_a_backup_under_the_new_key_the_old_one_stays(home: Home) -> None:
    store = home.store()
    rotate_root(store, NOW)
    with pytest.raises((BackupBroken, KeyProblem)):
        erasure.prove(night_in(home.folder), store, NOW)
    assert files_of(home.folder).has("root-former")
    assert not is_settled(store)


def test_a_rewrapped_store_is_proved_with_its_new_wrapping(home: Home) -> None:
    store, night = home.store(), night_in(home.folder)
    assert not rewrap(store, NOW).settled
    # The root key is the same, but the newest generation holds the keys as they were wrapped.
    with pytest.raises(BackupBroken) as caught:
        erasure.prove(night, store, NOW)
    assert caught.value.key == "erasure.backup_first"
    backup(night, store, NOW)
    erasure.prove(night, store, NOW)
    assert is_settled(store)


def test_the_night_ends_what_a_rotation_left(home: Home) -> None:
    store, night = home.store(), night_in(home.folder)
    rotate_root(store, NOW)
    assert erasure.prove_due(store)
    backup(night, store, NOW)
    erasure.prove(night, store, NOW)
    assert not erasure.prove_due(store)
    assert erasure.prove(night, store, NOW).already


def test_a_root_key_that_moves_into_a_variable_stays_until_then(home: Home) -> None:
    store, night = home.store(), night_in(home.folder)
    before = store_digest(store)
    target = LocalRoot(b"v" * 32, 2)
    leading = home.store(moved(files_of(home.folder), target), start=False)
    assert not rotate_root(leading, NOW).settled
    files = files_of(home.folder)
    assert files.has("root")
    # A process that starts now, with the variable set, still has the file to open backups with.
    places = SealedFiles(files.first, files.second, [target])
    fresh = home.store(SealedProvider(places, target, files.first))
    assert files.has("root")
    assert fresh.provider.opens_root(files.key_id)
    backup(night, fresh, NOW)
    erasure.prove(night, fresh, NOW)
    assert not files.has("root")
    assert store_digest(fresh) == before


@pytest.mark.parametrize("how", ["killed", "eio", "full"])
def test_killed_at_any_moment_some_keys_open_the_store_and_its_newest_backup(
    scene: Scene, how: str
) -> None:
    probe = scene.fresh()
    before = store_digest(probe.store())
    code, points = probe.killed(lambda: rotated(probe), None)
    assert code == 0
    assert points > 300
    scene.drop(probe)
    for at in sampled(points, 6 if how == "killed" else 3):
        home = scene.fresh()
        started = files_of(home.folder).key_id
        code, _ = home.killed(lambda home=home: rotated(home), at, how)
        assert code == (KILLED if how == "killed" else 0), at
        store = home.store()
        check_keys(store)
        assert store_digest(store) == before, at
        assert store_digest(restored(scene, home)) == before, at
        if not is_settled(store) or files_of(home.folder).key_id == started:
            rotated(home)
        again = home.store()
        files = files_of(home.folder)
        assert store_digest(again) == before, at
        assert files.key_id != started, at
        assert not files.has("root-former"), at
        assert not files.has("root-next"), at
        assert is_settled(again), at
        assert store_digest(restored(scene, home)) == before, at
        journal.sequence(again, NOW)
        journal.verify(again, journal.signing_key(again.provider).verifier)
        scene.drop(home)
