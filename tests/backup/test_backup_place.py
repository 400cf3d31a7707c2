"""Where backups may lie: policy decides before any connection is made."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from safehands.backup.files import LocalFiles, RemoteFiles
from safehands.backup.place import check_place, open_repository
from safehands.backuppolicy import BackupPolicy, load_backup_policy
from safehands.errors import PolicyError, SafehandsError
from safehands.settings import Settings

POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"
DECLARED = {"host": "store.example.cn", "declared_by": "Z", "declared_on": "2026-11-01"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def policy(*endpoints: dict[str, str]) -> BackupPolicy:
    loaded = load_backup_policy(POLICY)
    return BackupPolicy.model_validate({**loaded.model_dump(), "endpoints": list(endpoints)})


def settings(tmp_path: Path, place: str, **more: str) -> Settings:
    return Settings.read({}, home=str(tmp_path / "home"), backups=place, **more)


def refused(made: Settings, rules: BackupPolicy) -> str:
    with pytest.raises(SafehandsError) as caught:
        open_repository(made, rules)
    return caught.value.key


def test_a_folder_is_a_folder(tmp_path: Path) -> None:
    for place in (str(tmp_path / "b"), f"file://{tmp_path / 'b'}"):
        files = open_repository(settings(tmp_path, place), policy()).files
        assert isinstance(files, LocalFiles)
        assert files.folder == tmp_path / "b"


@pytest.mark.parametrize("region", ["cn-north-1", "cn-northwest-1"])
def test_mainland_regions_have_their_own_end_point(tmp_path: Path, region: str) -> None:
    made = settings(tmp_path, "s3://bucket/folder", backups_region=region)
    place = check_place(made, policy())
    assert place.options is not None
    assert place.options["endpoint_url"] == f"https://s3.{region}.amazonaws.com.cn"
    assert place.options["client_kwargs"] == {"region_name": region}
    assert isinstance(open_repository(made, policy()).files, RemoteFiles)


@pytest.mark.parametrize("region", ["", "us-east-1", "ap-east-1", "ap-southeast-1", "eu-west-3"])
def test_other_regions_are_refused(tmp_path: Path, region: str) -> None:
    made = settings(tmp_path, "s3://bucket", backups_region=region)
    assert refused(made, policy()) == "backup.place_region"


def test_a_region_abroad_stays_refused_whatever_policy_lists(tmp_path: Path) -> None:
    rules = policy().model_copy(update={"regions": ("us-east-1",)})
    made = settings(tmp_path, "s3://bucket", backups_region="us-east-1")
    assert refused(made, rules) == "backup.place_region"


def test_the_environment_does_not_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example.com")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = settings(tmp_path, "s3://bucket/folder", backups_region="cn-north-1")
    files = open_repository(made, policy()).files
    assert isinstance(files, RemoteFiles)
    assert files.system.endpoint_url == "https://s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("place", "endpoint", "key"),
    [
        ("s3://b", "https://store.example.cn", ""),
        ("s3://b", "https://other.example.cn", "backup.place_endpoint"),
        ("s3://b", "http://store.example.cn", "backup.place_clear"),
        ("s3://b", "https://s3.us-east-1.amazonaws.com", "backup.place_endpoint"),
        ("s3://user:secret@b", "https://store.example.cn", "backup.place_secret"),
        ("s3://b?key=secret", "https://store.example.cn", "backup.place_secret"),
        ("sftp://store.example.cn/b", "", ""),
        ("sftp://other.example.cn/b", "", "backup.place_endpoint"),
        ("ftp://store.example.cn/b", "", "backup.place_scheme"),
        ("gs://bucket/b", "", "backup.place_scheme"),
        ("memory://b", "", "backup.place_scheme"),
    ],
)
def test_a_host_must_be_declared(tmp_path: Path, place: str, endpoint: str, key: str) -> None:
    rules = policy(DECLARED, {**DECLARED, "host": "s3.us-east-1.amazonaws.com"})
    made = settings(tmp_path, place, backups_endpoint=endpoint)
    if key:
        assert refused(made, rules) == key
    else:
        check_place(made, rules)


def test_a_refusal_does_not_repeat_a_secret(tmp_path: Path) -> None:
    made = settings(tmp_path, "s3://user:hunter2@bucket", backups_region="cn-north-1")
    with pytest.raises(PolicyError) as caught:
        open_repository(made, policy())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "replacement", "where"),
    [
        ("  daily: 14", "  daily: 0", "keep.daily"),
        ("  weekly: 4", "  weekly: many", "keep.weekly"),
        ("  monthly: 1", "", "keep.monthly"),
        ("drill:", "dril:", "drill"),
        ("endpoints: []", "endpoints: [{host: x.cn}]", "endpoints.0.declared_by"),
    ],
)
def test_a_wrong_policy_names_the_entry(
    tmp_path: Path, line: str, replacement: str, where: str
) -> None:
    shutil.copy(POLICY / "backup.yaml", tmp_path)
    path = tmp_path / "backup.yaml"
    content = path.read_text(encoding="utf-8")
    assert line in content
    path.write_text(content.replace(line, replacement, 1), encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_backup_policy(tmp_path)
    assert caught.value.params["where"] == where


def test_generations_expire_within_what_certificates_say() -> None:
    keep = load_backup_policy(POLICY).keep
    assert keep.at_most_days == 35
