"""The repository on an object store (a real S3 protocol server) and on other fsspec systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from backup_home import NOW, Home, make_home
from safehands.backup import Repository, open_repository, prune, verify_repository
from safehands.backup.files import LocalFiles, RemoteFiles
from safehands.backup.repository import object_name
from safehands.backuppolicy import load_backup_policy
from safehands.errors import BackupBroken
from safehands.policy import Policy
from safehands.restore import restore
from safehands.store import Store

POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"
BUCKET = "backups"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the emptied server, with credentials in the environment as a user has them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3", endpoint_url=server, region_name="cn-north-1")
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if BUCKET in names:
        for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=found["Key"])
    else:
        place = {"LocationConstraint": "cn-north-1"}
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    return client


@pytest.fixture
def home(
    cluster: Any, database: str, policy: Policy, tmp_path: Path, s3: Any, server: str
) -> Iterator[Home]:
    """A filled store whose settings point at the bucket, which policy declares."""
    assert s3
    made = make_home(database, cluster.keys / "root.key", policy, tmp_path / "home")
    rules = tmp_path / "policy"
    rules.mkdir()
    host = server.removeprefix("http://")
    declared = f"endpoints: [{{host: '{host}', declared_by: tests, declared_on: 2026-11-01}}]"
    content = (POLICY / "backup.yaml").read_text(encoding="utf-8")
    (rules / "backup.yaml").write_text(content.replace("endpoints: []", declared), "utf-8")
    made.settings = replace(
        made.settings,
        policy=rules,
        backups_url=f"s3://{BUCKET}/shop",
        backups_endpoint=server,
        backups_region="cn-north-1",
    )
    yield made
    made.store.close()


def keys(s3: Any) -> list[str]:
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"].removeprefix("shop/") for one in found]


def check(home: Home, newest: str | None = None) -> Any:
    repository = open_repository(home.settings)
    return verify_repository(repository, home.provider, home.verifier, newest)


def test_a_backup_a_check_a_second_night_and_a_restore(home: Home, s3: Any, cluster: Any) -> None:
    first = home.backup()
    assert home.backup().already
    report = check(home, first.details["manifest_digest"])
    assert (report.generations, report.leftovers, report.opened) == (1, 0, True)
    assert not home.folder.exists()
    home.admin("UPDATE subject SET last_seen = '2026-11-25' WHERE subject_id = md5('s1')::uuid")
    second = home.backup(1)
    assert 0 < second.counts["written"] < second.counts["parts"]
    assert second.counts["lost"] == 0
    assert check(home).generations == 2
    assert not [key for key in keys(s3) if key.startswith(".") or ".partial" in key]
    cluster.made += 1
    target = Store(cluster.server.url(f"sh_test_{cluster.made}"), home.provider)
    done = restore(open_repository(home.settings), target, home.verifier, NOW)
    assert done.tables["parcel"] == 45
    target.close()


def test_damage_on_the_object_store_is_seen(home: Home, s3: Any) -> None:
    home.backup()
    first_of_each = {key.split("/")[0]: key for key in keys(s3)}
    assert first_of_each.keys() == {"objects", "keys", "manifests"}
    for key in first_of_each.values():
        whole = s3.get_object(Bucket=BUCKET, Key=f"shop/{key}")["Body"].read()
        for bad in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1], b""):
            s3.put_object(Bucket=BUCKET, Key=f"shop/{key}", Body=bad)
            with pytest.raises(BackupBroken) as caught:
                check(home)
            assert caught.value.key == "backup.differs"
        s3.delete_object(Bucket=BUCKET, Key=f"shop/{key}")
        with pytest.raises(BackupBroken):
            check(home)
        s3.put_object(Bucket=BUCKET, Key=f"shop/{key}", Body=whole)
    assert check(home).leftovers == 0


def test_what_a_killed_backup_left_is_cleared_up(home: Home, s3: Any) -> None:
    home.backup()
    repository = open_repository(home.settings)
    repository.announce(object_name(b"never recorded"))
    repository.put(object_name(b"never recorded"), b"never recorded")
    assert check(home).leftovers == 1
    home.admin("UPDATE subject SET last_seen = '2026-11-25' WHERE subject_id = md5('s1')::uuid")
    home.backup(1)
    assert check(home).leftovers == 0
    assert ".pending" not in keys(s3)


def test_old_generations_are_pruned_from_the_object_store(home: Home, s3: Any) -> None:
    for day in (0, 1, 40):
        home.admin(f"UPDATE preference SET notify_channel = {day % 3}")
        home.backup(day)
    home.admin(
        "INSERT INTO generation_proof (manifest, manifest_digest, kind, proved_at, facts)"
        " SELECT manifest, facts ->> 'manifest_digest', 'prove', now(), '{}' FROM backup"
        " ORDER BY id DESC LIMIT 1"
    )
    rules = load_backup_policy(home.settings.policy)
    before = len(keys(s3))
    done = prune(open_repository(home.settings), home.store, rules, "r", NOW)
    assert done.counts["removed"] == 2
    report = check(home)
    assert (report.generations, report.leftovers) == (1, 0)
    assert len(keys(s3)) < before


def test_without_the_bucket_the_backup_says_so(home: Home) -> None:
    home.settings = replace(home.settings, backups_url="s3://nobody-made-this/shop")
    with pytest.raises(BackupBroken) as caught:
        home.backup()
    assert caught.value.key == "backup.cannot_write"
    assert home.ask("SELECT count(*) FROM backup") == [(0,)]


def test_without_the_server_the_backup_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    repository = Repository(RemoteFiles(Unreachable(), "shop"))
    monkeypatch.setattr("safehands.backup.step.open_repository", lambda _: repository)
    with pytest.raises(BackupBroken) as caught:
        home.backup()
    assert caught.value.key == "backup.cannot_write"


class Unreachable:
    """A file system whose library fails in a way of its own."""

    protocol = "s3"

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("could not connect")

        return fail


# Every kind of place behaves in the same way.


@pytest.fixture(params=["local", "memory", "renaming"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "local":
        return LocalFiles(tmp_path / "r")
    if request.param == "memory":
        memory = fsspec.filesystem("memory", skip_instance_cache=True)
        memory.store.clear()
        return RemoteFiles(memory, f"/{tmp_path.name}")
    # fsspec's own local system stands for all that have no whole-object write.
    return RemoteFiles(fsspec.filesystem("file", skip_instance_cache=True), str(tmp_path / "r"))


def test_files_come_and_go(files: Any) -> None:
    assert files.listing("objects") == {}
    assert files.size("objects/a") is None
    files.remove("objects/a")
    with pytest.raises(FileNotFoundError):
        files.read("objects/a")
    files.write("objects/a", b"one")
    files.write("objects/b", b"three")
    assert files.listing("objects") == {"a": 3, "b": 5}
    assert files.read("objects/a") == b"one"
    assert files.size("objects/b") == 5
    files.write("objects/a", b"")
    assert files.read("objects/a") == b""
    files.remove("objects/a")
    assert files.listing("objects") == {"b": 5}
    files.append(".pending", "x")
    files.append(".pending", "y")
    assert files.read(".pending") == b"x\ny\n"
    files.sync(("objects",))


def test_unfinished_files_are_not_shown_and_go(files: Any) -> None:
    files.write("objects/a", b"one")
    files.write("objects/.partial-1", b"half")
    assert files.listing("objects") == {"a": 3}
    files.tidy(("objects", "keys"))
    if not getattr(files, "_whole_at_once", False):
        assert files.size("objects/.partial-1") is None
