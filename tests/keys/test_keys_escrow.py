"""Escrow: k shares open it, k − 1 say nothing, a drill proves it, and the warning goes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pyrage
import pytest
import shamir_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st
from keys_scene import Home, Scene, files_of
from sqlalchemy import text

from nights import NOW
from safehands.errors import KeyProblem
from safehands.keys import FileProvider, age
from safehands.keys.escrow import Bundle, joined, split
from safehands.report.attention import warnings
from safehands.rotation import drill, export, give_back, key_state, rotate_root
from safehands.rotation.state import escrow_holds
from safehands.store import Store
from safehands.store.digest import store_digest

SECRETS = {"root": b"r" * 32, "ledger": b"PRIVATE+KEY", "base": b"b" * 32}


@pytest.fixture(scope="module")
def made() -> tuple[bytes, list[str]]:
    return split(Bundle(2, SECRETS), 2, 3)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("escrow"))
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    age.make_identity(files_of(made.folder))
    files_of(made.folder).create("ledger")
    yield made
    scene.drop(made)


def test_any_k_shares_open_the_bundle(made: tuple[bytes, list[str]]) -> None:
    data, shares = made
    for chosen in (*combinations(shares, 2), shares):
        opened = joined(data, list(chosen))
        assert (opened.root_version, dict(opened.secrets)) == (2, SECRETS)
    spread = [f"  {shares[2].upper()} ", shares[0].replace(" ", "\n")]
    with pytest.raises(KeyProblem):
        joined(data, [shares[0], "academic"])
    assert dict(joined(data, [s.lower() for s in spread]).secrets) == SECRETS


def test_fewer_shares_mistyped_words_and_other_bundles_do_not(
    made: tuple[bytes, list[str]],
) -> None:
    data, shares = made
    words = shares[0].split()
    swapped = " ".join([*words[:10], words[11], words[10], *words[12:]])
    other, others = split(Bundle(1, SECRETS), 2, 3)
    for bundle, chosen in (
        (data, shares[:1]),
        (data, [shares[0], shares[0]]),
        (data, [shares[0], swapped if swapped != shares[0] else "x"]),
        (data, [shares[0], others[1]]),
        (data, others[:2]),
        (data, []),
        (other, shares[:2]),
        (data[:-1], shares[:2]),
        (b"", shares[:2]),
    ):
        with pytest.raises(KeyProblem) as caught:
            joined(bundle, chosen)
        # What somebody typed is part of a secret.
        assert not any(word in str(caught.value).split() for word in words)


@pytest.mark.parametrize(("k", "n"), [(1, 3), (0, 2), (4, 3), (2, 17), (-1, 2)])
def test_numbers_that_make_no_sense(k: int, n: int) -> None:
    with pytest.raises(KeyProblem) as caught:
        split(Bundle(1, SECRETS), k, n)
    assert caught.value.key == "keys.escrow.numbers"


@settings(max_examples=4)
@given(st.integers(2, 6).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))), st.binary())
def test_every_threshold_works(numbers: tuple[int, int], secret: bytes) -> None:
    k, n = numbers
    data, shares = split(Bundle(1, {"x": secret}), k, n)
    assert joined(data, shares[-k:]).secrets == {"x": secret}
    with pytest.raises(KeyProblem):
        joined(data, shares[: k - 1])


def test_the_bundle_opens_with_stock_tools(made: tuple[bytes, list[str]], tmp_path: Path) -> None:
    data, shares = made
    digits = shamir_mnemonic.combine_mnemonics(shares[1:]).hex()
    record = json.loads(pyrage.passphrase.decrypt(data, digits))
    assert record["format"] == "safehands-escrow/1"
    assert set(record["secrets"]) == set(SECRETS)
    assert data.startswith(b"age-encryption.org/v1\n-> scrypt ")


def exported(store: Store, folder: Path) -> tuple[Path, list[Path]]:
    done = export(store, folder, 2, 3, NOW)
    return done.bundle, list(done.shares)


def test_an_export_is_private_and_holds_what_must_survive(home: Home, tmp_path: Path) -> None:
    store = home.store()
    bundle, shares = exported(store, tmp_path / "usb")
    for path in (bundle, *shares):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    opened = joined(bundle.read_bytes(), [path.read_text() for path in shares[:2]])
    assert set(opened.secrets) == {"root", "ledger", "backup-identity"}
    assert opened.secrets["root"] == files_of(home.folder).get("root")
    with pytest.raises(KeyProblem) as caught:
        exported(store, tmp_path / "usb")
    assert caught.value.key == "keys.escrow.folder"


def test_the_warning_stays_until_the_escrow_was_drilled(home: Home, tmp_path: Path) -> None:
    store = home.store()
    assert not escrow_holds(store)
    bundle, shares = exported(store, tmp_path / "usb")
    assert not escrow_holds(store)
    assert "no_escrow" in _warned(store)
    done = drill(store, bundle, shares[1:], NOW)
    assert (done.secrets, done.controllers) == (3, 2)
    assert escrow_holds(store)
    assert "no_escrow" not in _warned(store)
    assert key_state(store)["escrow"]["drilled_at"] is not None
    with store.begin("safehands_owner") as connection:
        events = connection.execute(text("SELECT body::jsonb ->> 'event' FROM ledger_entry"))
        assert {"keys_escrow", "keys_escrow_drill"} <= {str(row[0]) for row in events}


def test_a_new_root_key_makes_the_escrow_stale(home: Home, tmp_path: Path) -> None:
    store = home.store()
    bundle, shares = exported(store, tmp_path / "usb")
    drill(store, bundle, shares[:2], NOW)
    rotate_root(store, NOW)
    again = home.store()
    assert not escrow_holds(again)
    with pytest.raises(KeyProblem) as caught:
        drill(again, bundle, shares[:2], NOW)
    assert caught.value.key == "keys.escrow.stale"
    bundle, shares = exported(again, tmp_path / "new")
    drill(again, bundle, shares[:2], NOW)
    assert escrow_holds(home.store())


def test_an_identity_that_was_moved_offline_leaves_the_escrow_valid(
    home: Home, tmp_path: Path
) -> None:
    store = home.store()
    bundle, shares = exported(store, tmp_path / "usb")
    drill(store, bundle, shares[:2], NOW)
    (home.folder / "keys" / "backup-identity.key").unlink()
    assert escrow_holds(home.store())


def test_a_bundle_of_another_installation_is_no_drill(
    scene: Scene, home: Home, tmp_path: Path
) -> None:
    other = scene.fresh()
    bundle, shares = exported(other.store(), tmp_path / "usb")
    with pytest.raises(KeyProblem):
        drill(home.store(), bundle, shares[:2], NOW)
    assert not escrow_holds(home.store())
    scene.drop(other)


def test_a_lost_key_folder_comes_back_from_escrow(home: Home, tmp_path: Path) -> None:
    store = home.store()
    before = store_digest(store)
    rotate_root(store, NOW)
    bundle, shares = exported(home.store(), tmp_path / "usb")
    home.close()
    shutil.rmtree(home.folder / "keys")
    provider = files_of(home.folder)
    assert "root" in give_back(provider, bundle, shares[1:])
    assert provider.root_version == 2
    # Epoch keys come from their second place.
    again = home.store(provider)
    assert store_digest(again) == before


def test_keys_are_not_put_over_others(home: Home, tmp_path: Path) -> None:
    bundle, shares = exported(home.store(), tmp_path / "usb")
    taken = FileProvider(tmp_path / "a", tmp_path / "b")
    taken.create("root")
    with pytest.raises(KeyProblem) as caught:
        give_back(taken, bundle, shares[:2])
    assert caught.value.key == "keys.escrow.taken"
    assert taken.names() == ["root"]
    # The same once more changes nothing.
    fresh = FileProvider(tmp_path / "c", tmp_path / "d")
    assert give_back(fresh, bundle, shares[:2]) == give_back(fresh, bundle, shares[1:])


def test_the_age_tool_opens_the_bundle(made: tuple[bytes, list[str]], tmp_path: Path) -> None:
    tool = shutil.which("age")
    if tool is None:
        pytest.fail("install age: the bundle is promised to open with it")
    data, shares = made
    (tmp_path / "bundle.age").write_bytes(data)
    digits = shamir_mnemonic.combine_mnemonics(shares[:2]).hex()
    # age asks for a passphrase on a terminal only.
    leader, follower = os.openpty()
    child = subprocess.Popen(
        [tool, "-d", str(tmp_path / "bundle.age")],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: _control(follower),
    )
    os.write(leader, digits.encode() + b"\n")
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert set(json.loads(out)["secrets"]) == set(SECRETS)


def _control(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _warned(store: Store) -> set[str]:
    places = {
        "landing_clear": False,
        "keys_on_one_disk": False,
        "backups_beside_store": False,
        "escrow": escrow_holds(store),
    }
    return {item["key"] for item in warnings({"places": places, "rules": [], "drill": None})}
