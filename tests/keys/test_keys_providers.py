"""Every provider keeps the same contract; what a URL means; what each refuses.

AWS KMS is moto's server, Vault a fake of its documented API (``vault_fake``): neither service can
be had for tests.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from keys_scene import files_of
from moto.server import ThreadedMotoServer
from vault_fake import TOKEN, Vault, served

from safehands.errors import KeyProblem
from safehands.keys import FileProvider, KeyProvider
from safehands.keys.choose import Sources, choose, leading_to
from safehands.keys.kms import KmsRoot, client
from safehands.keys.provider import digest_key, role_password

KINDS = ("file", "env", "vault", "vault-kv", "awskms")
ROOT = base64.b64encode(b"r" * 32).decode()
REGION = "cn-north-1"


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "test")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


@pytest.fixture(scope="module")
def kms_keys(moto: str) -> list[str]:
    kms = boto3.client("kms", region_name=REGION, endpoint_url=moto)
    return [str(kms.create_key()["KeyMetadata"]["KeyId"]) for _ in range(2)]


Make = Callable[..., KeyProvider]


@pytest.fixture
def make(tmp_path: Path, vault: Vault, moto: str, kms_keys: list[str]) -> Make:
    """Return a function that opens a provider of a kind, again over the same places."""
    host = vault.url.removeprefix("http://")
    urls = {
        "file": "",
        "env": "env:",
        "vault": f"vault+http://{host}/transit/safehands",
        "vault-kv": f"vault+http://{host}/transit/safehands?kv=secret/{tmp_path.name}",
        "awskms": f"awskms://{REGION}/{kms_keys[0]}?endpoint={moto}",
    }
    first = {"SAFEHANDS_ROOT_KEY": ROOT, "SAFEHANDS_VAULT_TOKEN": TOKEN}

    def opened(kind: str, **variables: str) -> KeyProvider:
        given = {**first, **variables}
        places = Sources(tmp_path / "keys", tmp_path / "second", lambda n: given.get(n, ""))
        made = choose(urls.get(kind, kind), places)
        made.ensure_root()
        return made

    return opened


@pytest.mark.parametrize("kind", KINDS)
def test_named_secrets(make: Make, kind: str) -> None:
    keys = make(kind)
    secret = keys.create("epoch/A/1")
    assert len(secret) == 32
    assert keys.create("epoch/A/1", b"x" * 32) == make(kind).get("epoch/A/1") == secret
    keys.create("epoch/B/2", b"y" * 32)
    keys.create("day/quarantine/A1/2026-11-23")
    assert keys.names("epoch") == ["epoch/A/1", "epoch/B/2"]
    assert keys.names("epoch/A") == ["epoch/A/1"]
    assert keys.names("nothing") == []
    assert {"base", "epoch/A/1", "day/quarantine/A1/2026-11-23"} <= {*keys.names(), "base"}
    assert keys.destroy("epoch/A/1")
    assert not keys.destroy("epoch/A/1")
    assert not make(kind).has("epoch/A/1")
    with pytest.raises(KeyProblem) as caught:
        keys.get("epoch/A/1")
    assert caught.value.params["name"] == "epoch/A/1"
    keys.tidy()
    assert keys.get("epoch/B/2") == b"y" * 32


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_keys_open_for_their_purpose_alone(make: Make, kind: str) -> None:
    keys = make(kind)
    wrapped = keys.wrap(b"k" * 32, "data/A/1")
    assert make(kind).unwrap(wrapped, "data/A/1") == b"k" * 32
    assert keys.wrap(b"k" * 32, "data/A/1") != wrapped
    assert b"k" * 32 not in wrapped
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for blob, purpose in (
        (wrapped, "data/B/1"),
        (wrapped, "data/A/2"),
        (changed, "data/A/1"),
        (wrapped[:-4], "data/A/1"),
        (b"", "data/A/1"),
        (b"\x09" + wrapped[1:], "data/A/1"),
    ):
        with pytest.raises(KeyProblem):
            keys.unwrap(blob, purpose)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_derived_stays_the_same(make: Make, kind: str) -> None:
    first, second = make(kind), make(kind)
    assert role_password(first, "a") == role_password(second, "a") != role_password(first, "b")
    assert digest_key(first, "a") == digest_key(second, "a") != digest_key(first, "b")
    assert set(first.escrowed()) <= {"root", "base", "ledger", "backup-identity"}
    first.create("ledger", b"l" * 32)
    first.create("epoch/A/1")
    assert first.escrowed()["ledger"] == b"l" * 32
    assert not any("epoch" in name for name in first.escrowed())


@pytest.mark.parametrize("kind", ["env", "vault", "awskms"])
def test_files_beside_another_root_key_are_sealed(make: Make, kind: str, tmp_path: Path) -> None:
    keys = make(kind)
    secrets = [keys.create(name) for name in ("epoch/A/1", "ledger", "run/one")]
    raw = b"".join(path.read_bytes() for path in tmp_path.rglob("*.key"))
    for secret in [*secrets, keys.base()]:
        assert secret not in raw
        assert base64.b64encode(secret) not in raw
        assert secret.hex().encode() not in raw
    # A file that takes another's name does not open.
    (tmp_path / "keys" / "run" / "one.key").rename(tmp_path / "keys" / "run" / "two.key")
    with pytest.raises(KeyProblem) as caught:
        keys.get("run/two")
    assert caught.value.key == "keys.damaged"


@pytest.mark.parametrize("kind", ["env", "vault", "vault-kv", "awskms"])
def test_nothing_of_a_provider_shows_a_secret(make: Make, kind: str) -> None:
    keys = make(kind)
    secret = keys.create("ledger")
    shown = f"{keys!r} {keys} {getattr(keys, 'places', '')!r}"
    for form in (TOKEN, ROOT, secret.hex(), base64.b64encode(secret).decode()):
        assert form not in shown


# Environment.


def test_another_root_key_in_the_variable_is_refused_by_name(make: Make) -> None:
    keys = make("env")
    other = base64.b64encode(b"x" * 32).decode()
    wrapped = keys.wrap(b"k" * 32, "p")
    with pytest.raises(KeyProblem) as caught:
        make("env", SAFEHANDS_ROOT_KEY=other)
    assert caught.value.key == "keys.other_base"
    assert keys.key_id in caught.value.params["wanted"]
    assert make("env").unwrap(wrapped, "p") == b"k" * 32


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "keys.missing"),
        ("not base64!", "keys.root_text"),
        (base64.b64encode(b"short").decode(), "keys.root_length"),
        ("x:" + ROOT, "keys.root_text"),
    ],
)
def test_a_variable_that_holds_no_root_key(make: Make, text: str, key: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        make("env", SAFEHANDS_ROOT_KEY=text)
    assert caught.value.key == key
    assert "not base64" not in str(caught.value)


def test_a_variable_of_another_name(make: Make) -> None:
    keys = make("env:MY_KEY", MY_KEY="3:" + ROOT)
    assert keys.root_version == 3


def test_the_next_variable_is_the_next_root_key(make: Make) -> None:
    first = make("env")
    wrapped, base = first.wrap(b"k" * 32, "p"), first.base()
    following = "2:" + base64.b64encode(b"n" * 32).decode()
    both = make("env", SAFEHANDS_ROOT_KEY_NEXT=following)
    new = both.prepare(1)
    assert new.version == 2
    # Whoever has either of the two opens the folder until the old one is ended.
    assert make("env").base() == make("env", SAFEHANDS_ROOT_KEY=following).base() == base
    assert both.promote(new.key_id)
    assert both.key_id == new.key_id
    assert make("env", SAFEHANDS_ROOT_KEY=following).base() == base
    with pytest.raises(KeyProblem):
        make("env")
    assert first.unwrap(wrapped, "p") == b"k" * 32


@pytest.mark.parametrize("kind", ["env", "awskms"])
def test_without_a_next_key_there_is_none(make: Make, kind: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        make(kind).prepare(1)
    assert caught.value.key == "keys.no_successor"


# HashiCorp Vault.


def test_a_vault_key_rotates_in_place_and_the_old_version_ends(make: Make, vault: Vault) -> None:
    keys = make("vault")
    before = keys.root_version
    old = keys.wrap(b"k" * 32, "p")
    new = keys.prepare(before)
    assert new.version == before + 1
    assert keys.prepare(before).version == before + 1
    assert keys.unwrap(old, "p") == new.unwrap(old, "p") == b"k" * 32
    fresh, base = new.wrap(b"k" * 32, "p"), keys.base()
    assert keys.promote(new.key_id)
    # Backups from before are read until one from after has been proved.
    assert keys.unwrap(old, "p") == b"k" * 32
    keys.end_former()
    assert vault.keys["safehands"].minimum == before + 1
    with pytest.raises(KeyProblem):
        keys.unwrap(old, "p")
    again = make("vault")
    assert again.unwrap(fresh, "p") == b"k" * 32
    assert again.base() == base


def test_a_vault_that_refuses_or_is_not_there(make: Make, vault: Vault) -> None:
    host = vault.url.removeprefix("http://")
    cases = {
        "keys.no_token": (f"vault+http://{host}/transit/safehands", ""),
        "keys.vault_forbidden": (f"vault+http://{host}/transit/safehands", "wrong"),
        "keys.vault_absent": (f"vault+http://{host}/transit/nothing", TOKEN),
        "keys.unreachable": ("vault+http://127.0.0.1:1/transit/safehands", TOKEN),
        "keys.bad_url": (f"vault+http://{host}/safehands", TOKEN),
        "keys.not_encrypted": ("vault+http://vault.example/transit/safehands", TOKEN),
    }
    for key, (url, token) in cases.items():
        with pytest.raises(KeyProblem) as caught:
            make(url, SAFEHANDS_VAULT_TOKEN=token)
        assert caught.value.key == key
        assert TOKEN not in str(caught.value)


def test_two_makers_of_a_kv_entry_get_the_same(make: Make, vault: Vault) -> None:
    keys = make("vault-kv")
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: keys.create("epoch/A/7"), range(12)))
    assert len(made) == 1
    assert [len(v) for p, v in vault.entries.items() if p.endswith("epoch/A/7")] == [1]


# AWS KMS.


def test_a_key_of_kms_that_is_switched_off_or_unknown(
    make: Make, moto: str, kms_keys: list[str]
) -> None:
    kms = boto3.client("kms", region_name=REGION, endpoint_url=moto)
    kms.disable_key(KeyId=kms_keys[0])
    with pytest.raises(KeyProblem) as caught:
        make("awskms")
    assert caught.value.key == "keys.kms_state"
    kms.enable_key(KeyId=kms_keys[0])
    make("awskms")
    with pytest.raises(KeyProblem) as caught:
        make(f"awskms://{REGION}/alias/nothing?endpoint={moto}")
    assert caught.value.key == "keys.unreachable"


def test_an_alias_is_the_key_that_it_names(make: Make, moto: str, kms_keys: list[str]) -> None:
    kms = boto3.client("kms", region_name=REGION, endpoint_url=moto)
    kms.create_alias(AliasName="alias/safehands", TargetKeyId=kms_keys[0])
    named = make(f"awskms://{REGION}/alias/safehands?endpoint={moto}")
    assert named.key_id == make("awskms").key_id == f"awskms:{kms_keys[0]}"


def test_a_key_wrapped_by_another_kms_key_is_refused(
    make: Make, moto: str, kms_keys: list[str]
) -> None:
    wrapped = make("awskms").wrap(b"k" * 32, "p")
    other = KmsRoot(client(REGION, moto), kms_keys[1])
    # The documented answer is IncorrectKeyException; moto gives AccessDeniedException.
    with pytest.raises(KeyProblem):
        other.unwrap(wrapped, "p")


# URLs, and ways from one provider to another.


@pytest.mark.parametrize(
    "url",
    ["s3://x", "vault+https://user:pw@host/transit/k", "root.key", "http://host/x", "gcpkms:"],
)
def test_a_url_that_is_not_understood_is_refused_and_not_repeated(make: Make, url: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        make(url)
    assert caught.value.key == "keys.bad_url"
    assert "pw" not in str(caught.value)


def test_the_folder_of_files_may_stand_in_the_url(make: Make, tmp_path: Path) -> None:
    assert isinstance(make("file:"), FileProvider)
    made = make(f"file:{tmp_path}/other")
    assert made.first == tmp_path / "other"
    assert (tmp_path / "other" / "root.key").exists()


def test_from_files_to_a_root_key_elsewhere(make: Make, tmp_path: Path, vault: Vault) -> None:
    files = make("file")
    epoch, base = files.create("epoch/A/1"), files.base()
    files.create("ledger", b"l" * 32)
    url = f"vault+{vault.url}/transit/safehands"
    given = {"SAFEHANDS_VAULT_TOKEN": TOKEN}
    places = Sources(tmp_path / "keys", tmp_path / "second", lambda n: given.get(n, ""))
    both = leading_to(files, url, places)
    new = both.prepare(1)
    assert files.get("epoch/A/1") == epoch
    assert both.promote(new.key_id)
    both.tidy()
    assert both.opens_root(files.key_id)
    both.end_former()
    assert not (tmp_path / "keys" / "root.key").exists()
    raw = b"".join(path.read_bytes() for path in tmp_path.rglob("*.key"))
    assert base64.b64encode(epoch) not in raw
    after = make("vault")
    assert (after.get("epoch/A/1"), after.get("ledger"), after.base()) == (epoch, b"l" * 32, base)


def test_ways_that_are_not_open(make: Make, tmp_path: Path) -> None:
    places = Sources(tmp_path / "keys", tmp_path / "second", lambda n: TOKEN)
    for url in ("file:", "vault+http://127.0.0.1:1/transit/k?kv=secret/x"):
        with pytest.raises(KeyProblem) as caught:
            leading_to(make("file"), url, places)
        assert caught.value.key == "keys.no_way"


# Files.


def test_a_half_destroyed_file_is_nowhere(tmp_path: Path) -> None:
    keys = files_of(tmp_path)
    for content in (b"", b"\0" * 40):
        keys.create("day/archive/A1/2026-11-23")
        path = tmp_path / "keys" / "day" / "archive" / "A1" / "2026-11-23.key"
        path.write_bytes(content)
        assert not keys.has("day/archive/A1/2026-11-23")
        assert keys.names("day") == []
        keys.tidy()
        assert not path.exists()


def test_an_epoch_key_half_destroyed_in_one_place_is_read_from_the_other(tmp_path: Path) -> None:
    keys = files_of(tmp_path)
    made = keys.create("epoch/A/1")
    path = tmp_path / "keys" / "epoch" / "A" / "1.key"
    path.write_bytes(bytes(path.stat().st_size))
    assert keys.get("epoch/A/1") == keys.create("epoch/A/1") == made
    assert path.read_bytes() == (tmp_path / "second" / "epoch" / "A" / "1.key").read_bytes()


def test_two_that_promote_at_once_keep_the_new_root_key(tmp_path: Path) -> None:
    for _ in range(20):
        keys = files_of(tmp_path / os.urandom(4).hex())
        keys.ensure_root()
        new = keys.prepare(1)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _, k=keys, n=new: k.promote(n.key_id), range(4)))
        assert done.count(True) == 1
        assert keys.key_id == new.key_id


def test_tidying_keeps_complete_keys_that_others_may_not_read(tmp_path: Path) -> None:
    keys = files_of(tmp_path)
    made = {name: keys.create(name) for name in ("root", "epoch/A/1", "run/x")}
    keys.tidy()
    assert {name: keys.get(name) for name in made} == made
