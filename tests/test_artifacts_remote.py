"""Artifacts in an object store: the same promises as in a folder."""

from __future__ import annotations

import secrets
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from upath import UPath

from safehands.artifacts import read_artifact, remove_artifacts, write_artifact
from safehands.errors import StepFailed
from safehands.keys import RunKey

KEY = RunKey("night", b"k" * 32)
PHONE = "13800000001"
TABLE = pa.table({"receiver_phone": [PHONE] * 500})


@pytest.fixture
def folder() -> Any:
    made = UPath(f"memory://work-{secrets.token_hex(4)}/night-1")
    yield made
    remove_artifacts(made)


def objects(folder: Any) -> list[str]:
    store = fsspec.filesystem("memory")
    store.invalidate_cache()
    return sorted(store.find(folder.path))


def test_what_is_stored_is_read_and_shows_nothing(folder: Any) -> None:
    made = write_artifact(TABLE, folder, "A-1-ingest-parcels", KEY)
    assert read_artifact(made, KEY).equals(TABLE)
    [key] = objects(folder)
    content = fsspec.filesystem("memory").cat_file(key)
    assert PHONE.encode() not in content
    assert b"receiver_phone" not in content


def test_two_tries_store_two_objects(folder: Any) -> None:
    made = [write_artifact(TABLE, folder, "x", KEY) for _ in range(2)]
    assert len(objects(folder)) == 2
    assert all(read_artifact(one, KEY).equals(TABLE) for one in made)


def test_a_changed_or_missing_object_is_refused(folder: Any) -> None:
    made = write_artifact(TABLE, folder, "x", KEY)
    [key] = objects(folder)
    store = fsspec.filesystem("memory")
    content = bytearray(store.cat_file(key))
    content[10] ^= 1
    store.pipe_file(key, bytes(content))
    with pytest.raises(StepFailed):
        read_artifact(made, KEY)
    store.rm(key)
    with pytest.raises(StepFailed):
        read_artifact(made, KEY)


def test_closing_removes_them_and_may_be_repeated(folder: Any) -> None:
    write_artifact(TABLE, folder, "x", KEY)
    remove_artifacts(folder)
    assert objects(folder) == []
    remove_artifacts(folder)
