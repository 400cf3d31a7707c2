from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup_home import Home
from safehands.backup import Repository, verify_repository
from safehands.backup.manifest import Manifest, open_manifest, seal_manifest
from safehands.backup.repository import digest, manifest_name, object_name
from safehands.backup.verifying import Report
from safehands.errors import BackupBroken
from safehands.journal import ORIGIN, signing_key
from safehands.keys import FileProvider, age
from safehands.ledger import SigningKey


@pytest.fixture
def copy(grown: Home, tmp_path: Path) -> Path:
    """A copy of the grown repository, to be damaged."""
    return Path(shutil.copytree(grown.folder, tmp_path / "copy"))


@pytest.fixture
def no_identity(grown: Home, tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "none", tmp_path / "none")


def refused(home: Home, folder: Path, newest: str | None = None) -> str:
    with pytest.raises(BackupBroken) as caught:
        verify_repository(folder, home.provider, home.verifier, newest)
    return caught.value.key


def opened(home: Home, folder: Path) -> list[tuple[str, Manifest]]:
    """The manifests of a repository, the oldest first."""
    identity, repository = age.identity(home.provider), Repository(folder)
    found = [
        (name, open_manifest(name, repository.get(name), identity, home.verifier))
        for name in repository.list("manifests")
    ]
    return sorted(found, key=lambda pair: pair[1].number)


def test_a_clean_repository_is_told_in_full(grown: Home) -> None:
    report = verify_repository(grown.folder, grown.provider, grown.verifier)
    files = grown.files()
    objects = sum(name.startswith("objects/") for name in files)
    size = sum(map(len, files.values()))
    name, newest = opened(grown, grown.folder)[-1]
    rows = sum(newest.tables.values())
    assert report == Report(3, objects, 2, size, rows, 0, opened=True, newest=name)


def test_without_the_identity_every_byte_is_still_read(
    grown: Home, no_identity: FileProvider
) -> None:
    report = verify_repository(grown.folder, no_identity, grown.verifier)
    assert report.bytes == sum(map(len, grown.files().values()))
    assert not report.opened
    assert verify_repository(grown.folder, None, grown.verifier) == report


def test_without_the_root_key_the_rest_is_still_checked(grown: Home, tmp_path: Path) -> None:
    shutil.copy2(grown.settings.keys / "backup-identity.key", tmp_path / "backup-identity.key")
    provider = FileProvider(tmp_path, tmp_path)
    assert verify_repository(grown.folder, provider, grown.verifier).opened


@pytest.mark.parametrize("with_identity", [True, False])
def test_any_flipped_byte_is_seen(
    grown: Home, no_identity: FileProvider, with_identity: bool
) -> None:
    files = grown.files()
    provider = grown.provider if with_identity else no_identity

    @settings(max_examples=35, deadline=None)
    @given(st.sampled_from(sorted(files)), st.integers(0), st.integers(1, 255))
    def flip(name: str, place: int, mask: int) -> None:
        whole = bytearray(files[name])
        whole[place % len(whole)] ^= mask
        with written(grown.folder / name, bytes(whole)), pytest.raises(BackupBroken) as caught:
            verify_repository(grown.folder, provider, grown.verifier)
        assert caught.value.key == "backup.differs"

    flip()
    verify_repository(grown.folder, provider, grown.verifier)


@pytest.mark.parametrize("with_identity", [True, False])
def test_any_truncation_is_seen(
    grown: Home, no_identity: FileProvider, with_identity: bool
) -> None:
    files = grown.files()
    provider = grown.provider if with_identity else no_identity

    @settings(max_examples=25, deadline=None)
    @given(st.sampled_from(sorted(files)), st.integers(0))
    def cut(name: str, length: int) -> None:
        short = files[name][: length % len(files[name])]
        with written(grown.folder / name, short), pytest.raises(BackupBroken) as caught:
            verify_repository(grown.folder, provider, grown.verifier)
        assert caught.value.key == "backup.differs"

    cut()


class written:
    """Put bytes into a file for a moment."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.kept = path, data, path.read_bytes()

    def __enter__(self) -> None:
        self.path.write_bytes(self.data)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.kept)


def test_every_missing_file_is_seen(grown: Home, copy: Path) -> None:
    newest = digest((copy / opened(grown, copy)[-1][0]).read_bytes())
    for name, data in grown.files().items():
        (copy / name).unlink()
        seen = refused(grown, copy, newest)
        assert seen in {"backup.missing", "backup.rolled_back"}, name
        (copy / name).write_bytes(data)


@pytest.mark.parametrize("kind", ["objects", "keys", "manifests"])
def test_swapped_files_are_seen(grown: Home, copy: Path, kind: str) -> None:
    first, second = list(Repository(copy).list(kind))[:2]
    (copy / first).rename(copy / "aside")
    (copy / second).rename(copy / first)
    (copy / "aside").rename(copy / second)
    assert refused(grown, copy) == "backup.differs"


DOUBLES: dict[str, Callable[[str], str]] = {
    "objects": lambda name: "objects/" + "0" * 64,
    "keys": lambda name: name.replace("keys/00000", "keys/00001"),
    "manifests": lambda name: name.replace("manifests/2026", "manifests/2025"),
}


@pytest.mark.parametrize("kind", DOUBLES)
@pytest.mark.parametrize("with_identity", [True, False])
def test_a_duplicate_under_another_name_is_seen(
    grown: Home, copy: Path, no_identity: FileProvider, kind: str, with_identity: bool
) -> None:
    name = Repository(copy).list(kind)[0]
    shutil.copy(copy / name, copy / DOUBLES[kind](name))
    provider = grown.provider if with_identity else no_identity
    with pytest.raises(BackupBroken) as caught:
        verify_repository(copy, provider, grown.verifier)
    assert caught.value.key in {"backup.differs", "backup.twice", "backup.unexpected"}


def test_a_file_of_another_kind_of_name_is_seen(grown: Home, copy: Path) -> None:
    name = Repository(copy).list("objects")[0]
    shutil.copy(copy / name, copy / f"{name}.bak")
    assert refused(grown, copy) == "backup.unknown_file"


def test_a_manifest_under_another_date_is_seen(grown: Home, copy: Path) -> None:
    name = opened(grown, copy)[-1][0]
    (copy / name).rename(copy / name.replace("2026-11", "2026-12"))
    assert refused(grown, copy) == "backup.manifest"


def test_the_newest_generation_taken_away_is_seen_by_who_knows_it(
    grown: Home, copy: Path, no_identity: FileProvider
) -> None:
    name = opened(grown, copy)[-1][0]
    newest = digest((copy / name).read_bytes())
    (copy / name).unlink()
    assert refused(grown, copy, newest) == "backup.rolled_back"
    with pytest.raises(BackupBroken) as caught:
        verify_repository(copy, no_identity, grown.verifier, newest)
    assert caught.value.key == "backup.rolled_back"


def reissue(home: Home, folder: Path, signer: SigningKey, **changes: object) -> str:
    """Replace the newest manifest by one that says something else; return its name."""
    name, manifest = opened(home, folder)[-1]
    forged = replace(manifest, **changes)  # type: ignore[arg-type]
    data = seal_manifest(forged, signer, [age.recipient(home.provider)])
    (folder / name).unlink()
    fresh = manifest_name(forged.business_date, data)
    (folder / fresh).write_bytes(data)
    return fresh


def test_an_old_manifest_put_back_is_seen(grown: Home, copy: Path) -> None:
    # The newest generation knows two earlier ones; let it know one, as after a prune.
    known = opened(grown, copy)[-1][1].generations[1:]
    reissue(grown, copy, signing_key(grown.provider), generations=known)
    assert refused(grown, copy) == "backup.unexpected"


def test_an_old_key_segment_put_back_is_seen(grown: Home, copy: Path) -> None:
    old = b"an old segment"
    (copy / f"keys/000000-{digest(old)[:8]}.age").write_bytes(old)
    assert refused(grown, copy) == "backup.unexpected"


def test_a_segment_that_a_killed_backup_had_no_time_to_remove_is_no_offence(
    grown: Home, copy: Path
) -> None:
    newest = opened(grown, copy)[-1][1].keys[:1]
    reissue(grown, copy, signing_key(grown.provider), keys=newest)
    assert verify_repository(copy, grown.provider, grown.verifier).keys == 2


def test_an_unfinished_backup_is_no_offence(grown: Home, copy: Path) -> None:
    fresh = b"written by a backup that still runs"
    Repository(copy).announce(object_name(fresh))
    Repository(copy).put(object_name(fresh), fresh)
    (copy / "objects" / ".partial-00").write_bytes(b"half")
    assert verify_repository(copy, grown.provider, grown.verifier).leftovers == 1


def test_a_manifest_that_somebody_else_made_is_seen(grown: Home, copy: Path) -> None:
    # Everybody can encrypt to the public recipient; nobody else can sign.
    reissue(grown, copy, SigningKey.generate(ORIGIN), tables={})
    assert refused(grown, copy) == "backup.signature"


def test_a_manifest_whose_line_was_exchanged_under_its_signature_is_seen(
    grown: Home, copy: Path
) -> None:
    name = opened(grown, copy)[-1][0]
    plain = age.decrypt((copy / name).read_bytes(), age.identity(grown.provider))
    data = age.encrypt(plain.replace(b'"number":3', b'"number":4'), [age.recipient(grown.provider)])
    (copy / name).unlink()
    (copy / manifest_name("2026-11-25", data)).write_bytes(data)
    assert refused(grown, copy) == "backup.signature"


def contradictions(manifest: Manifest) -> Iterator[tuple[str, dict[str, object]]]:
    """Manifests that are signed rightly and wrong: what a defect of ours would write."""
    first, *others = manifest.parts
    other = others[-1]
    segment = manifest.keys[0]
    tables = {**manifest.tables, first.table: manifest.tables[first.table] + 1}
    grown = replace(first, rows=first.rows + 1)
    yield "backup.manifest", {"tables": tables}
    yield "backup.manifest", {"parts": (first, *manifest.parts)}
    yield "backup.manifest", {"checkpoint": "no note"}
    yield "backup.manifest", {"checkpoint": ""}
    yield "backup.manifest", {"number": 2}
    yield "backup.manifest", {"keys": ()}
    yield "backup.manifest", {"parts": (replace(first, bytes=1), *others)}
    yield "backup.part", {"parts": (first, *others[:-1], replace(other, content=first.content))}
    own = [replace(p, bytes=p.bytes + 1) if p.table == "effect" else p for p in manifest.parts]
    yield "backup.part", {"parts": tuple(own)}
    yield "backup.part", {"keys": (replace(segment, tombstones=9), *manifest.keys[1:])}
    yield "backup.differs", {"keys": (replace(segment, digest="0" * 64), *manifest.keys[1:])}
    yield "backup.manifest", {"parts": (grown, *others), "tables": tables}


def test_every_contradiction_is_seen(grown: Home, copy: Path) -> None:
    name, manifest = opened(grown, copy)[-1]
    kept = (copy / name).read_bytes()
    for wanted, changes in contradictions(manifest):
        fresh = reissue(grown, copy, signing_key(grown.provider), **changes)
        assert refused(grown, copy) == wanted, changes.keys()
        (copy / fresh).unlink()
        (copy / name).write_bytes(kept)
    verify_repository(copy, grown.provider, grown.verifier)


def test_another_identity_is_told_apart(grown: Home, tmp_path: Path) -> None:
    other = FileProvider(tmp_path / "k1", tmp_path / "k2")
    age.make_identity(other)
    with pytest.raises(BackupBroken) as caught:
        verify_repository(grown.folder, other, grown.verifier)
    assert caught.value.key == "backup.does_not_open"


def test_an_empty_folder_is_no_backup(grown: Home, tmp_path: Path) -> None:
    assert refused(grown, tmp_path) == "backup.empty"
    (tmp_path / "manifests").mkdir()
    (tmp_path / manifest_name("2026-11-23", b"")).write_bytes(b"")
    assert refused(grown, tmp_path) == "backup.does_not_open"


class Held:
    """One file in memory, with a bit that can be flipped: a disk would be too slow for each."""

    label = "held"

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, name: str) -> bytes:
        return self.data


@pytest.mark.parametrize("kind", ["objects", "keys", "manifests"])
def test_every_single_bit_counts(grown: Home, kind: str) -> None:
    name = min(Repository(grown.folder).list(kind), key=lambda n: len(grown.files()[n]))
    whole = bytearray(grown.files()[name])
    held = Held(bytes(whole))
    repository = Repository(held)  # type: ignore[arg-type]
    unseen = []
    for place in range(len(whole)):
        for bit in range(8):
            whole[place] ^= 1 << bit
            held.data = bytes(whole)
            try:
                repository.get(name)
                unseen.append((place, bit))
            except BackupBroken:
                pass
            whole[place] ^= 1 << bit
    assert unseen == []
