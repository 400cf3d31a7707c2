from __future__ import annotations

import stat
from pathlib import Path

import pytest

from safehands.backup import Repository, recipients
from safehands.backup.repository import manifest_name, object_name
from safehands.errors import BackupBroken, KeyProblem
from safehands.keys import FileProvider, age

NAME = object_name(b"abc")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups")


def test_what_was_put_is_there_for_the_owner_alone(repository: Repository) -> None:
    repository.put(NAME, b"abc")
    path = repository.files.folder / NAME
    assert repository.get(NAME) == b"abc"
    assert repository.list("objects") == [NAME]
    assert repository.size(NAME) == 3
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]


def test_what_is_not_there_is_said(repository: Repository) -> None:
    assert repository.list("objects") == []
    assert repository.size(NAME) is None
    repository.remove(NAME)
    with pytest.raises(BackupBroken) as caught:
        repository.get(NAME)
    assert caught.value.key == "backup.missing"


def test_a_changed_file_is_not_given_out(repository: Repository) -> None:
    repository.put(NAME, b"abd")
    with pytest.raises(BackupBroken) as caught:
        repository.get(NAME)
    assert caught.value.key == "backup.differs"


def test_a_strange_name_is_told_without_its_digits(repository: Repository) -> None:
    repository.put(NAME, b"abc")
    (repository.files.folder / "objects" / "13800138000.csv").write_bytes(b"")
    with pytest.raises(BackupBroken) as caught:
        repository.list("objects")
    assert "13800138000" not in str(caught.value)
    assert "***********.csv" in str(caught.value)


def test_announcements_survive_and_are_settled(repository: Repository) -> None:
    manifest = manifest_name("2026-11-23", b"m")
    repository.announce(NAME)
    repository.announce(manifest)
    with (repository.files.folder / ".pending").open("a") as file:
        file.write("objects/" + "0" * 20)
    repository.put(NAME, b"abc")
    (repository.files.folder / "objects" / ".partial-1").write_bytes(b"half")
    assert repository.announced() == [NAME, manifest]
    repository.settle()
    assert repository.announced() == []
    assert [p.name for p in (repository.files.folder / "objects").iterdir()] == [NAME[8:]]


def test_nothing_announced_leads_out_of_the_folder(repository: Repository) -> None:
    repository.announce("../keys/root.key")
    repository.announce("objects/../../root.key")
    assert repository.announced() == []


@pytest.fixture
def provider(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path, tmp_path)


def test_recipients_are_read_as_age_reads_them(provider: FileProvider) -> None:
    first = age.make_identity(provider)
    (provider.first / "backup-recipients.txt").write_text(f"# ours\n\n  {first}\n{first}\n")
    assert recipients(provider) == [first, first]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (None, "backup.no_recipients"),
        (b"# nobody\n", "backup.no_recipients"),
        (b"\xff\xfe", "backup.no_recipients"),
        (b"AGE-SECRET-KEY-1QQQ\n", "backup.bad_recipient"),
        (b"# a\nage1 and more\n", "backup.bad_recipient"),
    ],
)
def test_a_bad_recipients_file_is_refused_and_not_quoted(
    provider: FileProvider, content: bytes | None, key: str
) -> None:
    if content is not None:
        (provider.first / "backup-recipients.txt").write_bytes(content)
    with pytest.raises(KeyProblem) as caught:
        recipients(provider)
    assert caught.value.key == key
    assert "QQQ" not in str(caught.value)
