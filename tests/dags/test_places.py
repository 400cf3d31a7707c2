"""A landing folder behind an Airflow connection is read like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from safehands.errors import SetupProblem
from safehands.ingest import inventory
from safehands.ingest.door import open_source
from safehands.settings import Settings
from safehands.stations import load_register


@pytest.fixture
def exports() -> Any:
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pipe("/bucket/exports/S1/a.csv", b"a,b\n1,2\n")
    return store


def test_a_connection_id_makes_an_object_storage_path(airflow: Any, exports: Any) -> None:
    from airflow.sdk.io import attach

    from safehands_airflow.places import settings_of

    attach("s3", conn_id="station_exports", fs=exports)
    made = settings_of({"SAFEHANDS_LANDING": "s3://station_exports@bucket/exports"})
    listed = inventory(made.landing, load_register(made.landing, ()))
    assert [file.path for file in listed] == ["S1/a.csv"]
    with open_source(made.landing, listed[0]) as handle:
        assert handle.read() == b"a,b\n1,2\n"


def test_other_folders_are_as_ever(airflow: Any, tmp_path: Path) -> None:
    from safehands_airflow.places import settings_of

    given = {"SAFEHANDS_LANDING": str(tmp_path), "SAFEHANDS_HOME": str(tmp_path)}
    assert settings_of(given) == Settings.read(given)
    assert (
        settings_of(given, "memory://x").landing == Settings.read({}, landing="memory://x").landing
    )


def test_the_package_itself_takes_no_connection() -> None:
    with pytest.raises(SetupProblem):
        Settings.read({"SAFEHANDS_LANDING": "s3://station_exports@bucket/exports"})
