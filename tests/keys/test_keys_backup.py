"""After every rotation the next backup comes back whole, under the new keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from keys_scene import Home, Scene, files_of, night_of
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.backup import Repository, backup
from safehands.erasure import turn_epoch
from safehands.keys import age
from safehands.night import Night
from safehands.restore import restore
from safehands.rotation import rotate_data, rotate_root
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import check_keys, owners


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("backup"))
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    keys = files_of(made.folder)
    recipient = age.make_identity(keys)
    (keys.first / "backup-recipients.txt").write_text(recipient + "\n")
    yield made
    scene.drop(made)


def saved(store: Store, folder: Path, day: int) -> Night:
    """Back the store up on the night that is ``day`` days later."""
    night = replace(
        night_of(folder), run=f"nightly-{day}", business_date=BUSINESS_DATE + timedelta(days=day)
    )
    backup(night, store, NOW + timedelta(days=day))
    return night


def restored(scene: Scene, home: Home, night: Night) -> Store:
    """Restore the newest generation into a database that does not exist yet."""
    scene.made += 1
    target = Store(scene.server.url(f"sh_restored_{scene.made}"), files_of(home.folder))
    home.opened.append(target)
    verifier = journal.signing_key(target.provider).verifier
    restore(Repository(night.settings.backups), target, verifier, NOW)
    return target


@pytest.mark.parametrize("kind", ["root", "data", "token", "all"])
def test_the_backup_after_a_rotation_comes_back_whole(
    scene: Scene, home: Home, tmp_path: Path, kind: str
) -> None:
    store = home.store()
    before = store_digest(store)
    saved(store, tmp_path, 0)
    owner = owners(store)["A"]
    if kind in ("data", "all"):
        rotate_data(store, owner, NOW)
    if kind in ("token", "all"):
        assert turn_epoch(store, owner, "keys", BUSINESS_DATE, NOW, asked=True)
    if kind in ("root", "all"):
        rotate_root(store, NOW)
    night = saved(store, tmp_path, 1)
    if kind in ("token", "all"):
        store.provider.destroy("epoch/A/1")
    home.close()
    target = restored(scene, home, night)
    check_keys(target)
    assert store_digest(target) == before


def test_a_backup_made_halfway_through_a_rotation_comes_back(
    scene: Scene, home: Home, tmp_path: Path
) -> None:
    from safehands.rotation import data

    store = home.store()
    before = store_digest(store)
    data._begin(store, owners(store)["A"], NOW)
    night = saved(store, tmp_path, 0)
    target = restored(scene, home, night)
    assert store_digest(target) == before
    assert rotate_data(target, owners(target)["A"], NOW).resumed
    assert store_digest(target) == before
    with target.begin("safehands_owner") as connection:
        assert connection.execute(text("SELECT count(*) FROM former_key")).scalar() == 0
