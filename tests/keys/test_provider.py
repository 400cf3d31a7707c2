"""Secrets in files: private, the same for everybody who asks, and gone when destroyed."""

from __future__ import annotations

import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from safehands.errors import KeyProblem
from safehands.keys import FileProvider
from safehands.keys.provider import digest_key, key_id, role_password


@pytest.fixture
def keys(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "first", tmp_path / "second")


def files(keys: FileProvider, name: str) -> list[Path]:
    return [
        path for path in (p / f"{name}.key" for p in (keys.first, keys.second)) if path.exists()
    ]


def test_a_secret_is_made_once_and_kept(keys: FileProvider) -> None:
    made = keys.create("root")
    assert len(made) == 32
    assert keys.create("root") == keys.create("root", b"x" * 32) == keys.get("root") == made
    assert keys.create("other") != made


def test_files_and_folders_are_for_the_owner_alone(keys: FileProvider) -> None:
    keys.create("epoch/A/1")
    for place in (keys.first, keys.second):
        for path in [place, *place.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600)


def test_epoch_keys_are_in_two_places_and_others_in_one(keys: FileProvider) -> None:
    keys.create("root")
    keys.create("epoch/A/1")
    assert len(files(keys, "root")) == 1
    assert len(files(keys, "epoch/A/1")) == 2


@pytest.mark.parametrize("lost", [0, 1])
def test_an_epoch_key_survives_the_loss_of_either_place(keys: FileProvider, lost: int) -> None:
    made = keys.create("epoch/A/1")
    files(keys, "epoch/A/1")[lost].unlink()
    assert keys.get("epoch/A/1") == made
    assert keys.create("epoch/A/1") == made
    first, second = files(keys, "epoch/A/1")
    assert first.read_bytes() == second.read_bytes()


def test_racing_makers_get_the_same_secret(keys: FileProvider) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.create("epoch/A/1"), range(32)))
    assert len(made) == 1
    left = [path.name for place in (keys.first, keys.second) for path in place.rglob("*.*")]
    assert left == ["1.key", "1.key"]


def test_destruction_reaches_every_place(keys: FileProvider) -> None:
    keys.create("epoch/A/1")
    handles = [path.open("rb") for path in files(keys, "epoch/A/1")]
    assert keys.destroy("epoch/A/1") is True
    for handle in handles:
        with handle:
            assert set(handle.read()) == {0}
    assert not keys.has("epoch/A/1")
    assert keys.destroy("epoch/A/1") is False
    with pytest.raises(KeyProblem):
        keys.get("epoch/A/1")


def test_names_below_a_prefix(keys: FileProvider) -> None:
    for name in ("day/quarantine/A1/2026-11-23", "day/quarantine/B1/2026-11-22", "day/archive/x"):
        keys.create(name)
    wanted = ["day/quarantine/A1/2026-11-23", "day/quarantine/B1/2026-11-22"]
    assert keys.names("day/quarantine") == wanted
    assert keys.names("epoch") == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_may_touch_is_refused(keys: FileProvider, mode: int) -> None:
    keys.create("root")
    files(keys, "root")[0].chmod(mode)
    with pytest.raises(KeyProblem, match="chmod 600"):
        keys.get("root")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"{}",
        b'{"format": "safehands-key/1", "id": "00000000", "key": "AAAA"}',
        b'{"format": "safehands-key/1", "id": "00000000", "key": "!!"}',
        b'{"format": "safehands-key/1", "id": 1, "key": 5}',
    ],
)
def test_a_damaged_file_is_refused(keys: FileProvider, content: bytes) -> None:
    keys.create("root")
    files(keys, "root")[0].write_bytes(content)
    with pytest.raises(KeyProblem):
        keys.get("root")


def test_a_key_file_says_its_format_and_id(keys: FileProvider) -> None:
    made = keys.create("root")
    record = json.loads(files(keys, "root")[0].read_text())
    assert record == {
        "format": "safehands-key/1",
        "id": key_id(made),
        "key": base64.b64encode(made).decode(),
    }
    assert keys.key_id == key_id(made)
    assert made.hex() not in repr(keys)


def test_what_is_wrapped_opens_for_its_purpose_and_root_alone(
    keys: FileProvider, tmp_path: Path
) -> None:
    keys.create("root")
    wrapped = keys.wrap(b"k" * 32, "data/A/1")
    assert keys.unwrap(wrapped, "data/A/1") == b"k" * 32
    assert keys.wrap(b"k" * 32, "data/A/1") != wrapped
    with pytest.raises(KeyProblem):
        keys.unwrap(wrapped, "data/B/1")
    other = FileProvider(tmp_path / "c", tmp_path / "d")
    other.create("root")
    with pytest.raises(KeyProblem):
        other.unwrap(wrapped, "data/A/1")


def test_every_changed_bit_and_every_cut_of_a_wrapped_key_is_refused(keys: FileProvider) -> None:
    keys.create("root")
    wrapped = keys.wrap(b"k" * 32, "p")
    for i in range(len(wrapped)):
        changed = bytes(b ^ (n == i) for n, b in enumerate(wrapped))
        for bad in (changed, wrapped[:i]):
            with pytest.raises(KeyProblem):
                keys.unwrap(bad, "p")


def test_passwords_and_digest_keys_differ_by_what_they_are_for(keys: FileProvider) -> None:
    keys.create("root")
    made = {
        role_password(keys, "a"),
        role_password(keys, "b"),
        digest_key(keys, "a").hex(),
        digest_key(keys, "b").hex(),
        keys.get("root").hex(),
    }
    assert len(made) == 5
    assert role_password(keys, "a") == role_password(keys, "a")


def test_without_a_root_key_nothing_is_derived(keys: FileProvider) -> None:
    assert keys.key_id == "none"
    with pytest.raises(KeyProblem):
        role_password(keys, "a")


def test_a_folder_on_the_way_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    os.chmod(shared, 0o755)
    FileProvider(shared / "keys", tmp_path / "second").create("root")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert stat.S_IMODE((shared / "keys").stat().st_mode) == 0o700
