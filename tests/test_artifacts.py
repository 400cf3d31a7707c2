"""What lies between two steps is unreadable, complete, and believed only unchanged."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from safehands.artifacts import file_digest, read_artifact, write_artifact
from safehands.datasets import Artifact
from safehands.errors import StepFailed
from safehands.keys import RunKey

KEY = RunKey("night", b"k" * 32)
PHONE, NAME = "13800000001", "张伟"
TABLE = pa.table({"receiver_phone": [PHONE] * 500, "receiver_name": [NAME] * 500})


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return write_artifact(TABLE, tmp_path / "work", "A-1-ingest-parcels", KEY)


def test_what_is_written_is_read(artifact: Artifact) -> None:
    assert read_artifact(artifact, KEY).equals(TABLE)
    assert read_artifact(artifact, KEY, ["receiver_name"]).column_names == ["receiver_name"]
    assert artifact.rows == 500


def test_an_empty_table_keeps_its_schema(tmp_path: Path) -> None:
    made = write_artifact(TABLE.slice(0, 0), tmp_path, "x", KEY)
    assert read_artifact(made, KEY).schema == TABLE.schema


def test_the_file_shows_neither_values_nor_columns(artifact: Artifact) -> None:
    content = Path(artifact.path).read_bytes()
    for text in (PHONE, NAME, "receiver_phone", "receiver_name"):
        assert text.encode() not in content
    assert content[:4] == content[-4:] == b"PARE"


def test_the_folder_is_private_and_holds_nothing_unfinished(artifact: Artifact) -> None:
    folder = Path(artifact.path).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.suffix for path in folder.iterdir()] == [".parquet"]


def test_two_tries_write_two_files(artifact: Artifact) -> None:
    again = write_artifact(TABLE, Path(artifact.path).parent, "A-1-ingest-parcels", KEY)
    assert again.path != artifact.path
    assert read_artifact(artifact, KEY).equals(read_artifact(again, KEY))


@pytest.mark.parametrize("place", [0, 10, -1, -10])
def test_a_changed_byte_is_refused(artifact: Artifact, place: int) -> None:
    path = Path(artifact.path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(StepFailed):
        read_artifact(artifact, KEY)


def test_a_file_that_is_gone_is_refused(artifact: Artifact) -> None:
    Path(artifact.path).unlink()
    with pytest.raises(StepFailed):
        read_artifact(artifact, KEY)


def test_even_with_its_digest_corrected_a_changed_file_does_not_open(artifact: Artifact) -> None:
    path = Path(artifact.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r".*"):
        read_artifact(replace(artifact, digest=file_digest(path)), KEY)


@pytest.mark.parametrize("key", [RunKey("night", b"x" * 32), RunKey("other", b"x" * 32)])
def test_another_key_is_refused(artifact: Artifact, key: RunKey) -> None:
    with pytest.raises(OSError, match=r".*") as caught:
        read_artifact(artifact, key)
    assert PHONE not in str(caught.value)


def test_a_file_under_another_name_does_not_open(artifact: Artifact) -> None:
    path = Path(artifact.path)
    moved = path.rename(path.with_name("B-1-ingest-parcels-00000000.parquet"))
    with pytest.raises(OSError, match=r".*"):
        read_artifact(replace(artifact, path=str(moved)), KEY)


def test_a_run_key_has_its_full_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RunKey("night", b"short")
