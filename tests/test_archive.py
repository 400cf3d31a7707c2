"""Loaded exports move into the encrypted archive only when asked, and only when they read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from nights import NOW
from safehands.archive import archive, open_archived
from safehands.artifacts import file_digest
from safehands.errors import KeyProblem, SetupProblem
from safehands.keys import DayBox
from safehands.night import Night
from safehands.store import Store

CONTENT = "运单号,收件人\n".encode() * 100_000


def _load(store: Store, night: Night, path: Path) -> str:
    digest = file_digest(path)
    with store.admin().begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO controller (code, name, kind) VALUES ('a', 'a', 'company');"
            "INSERT INTO station (controller_id, code, name) VALUES (1, 'S1', 'S1')"
        )
        statement = (
            "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
            " business_date, state, facts) VALUES (1, 1, :digest, :policy, 'a.csv', 'r', :day,"
            " 'loaded', '{}')"
        )
        values = {"digest": digest, "policy": night.policy.digest, "day": night.business_date}
        connection.execute(text(statement), values)
    return digest


@pytest.fixture
def export(night: Night) -> Path:
    path = night.settings.landing / "S1" / "a.csv"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def _sealed(night: Night, digest: str) -> Path:
    return night.settings.archive / "S1" / night.business_date.isoformat() / f"{digest}.sealed"


def test_a_loaded_file_is_sealed_read_back_and_removed(
    store: Store, night: Night, export: Path
) -> None:
    digest = _load(store, night, export)
    assert archive(night, store, NOW).counts == {"files": 1}
    assert not export.exists()
    path = _sealed(night, digest)
    assert CONTENT[:30] not in path.read_bytes()
    box = DayBox(store.provider, "archive", "S1", night.business_date.isoformat())
    assert b"".join(open_archived(path, box)) == CONTENT
    assert archive(night, store, NOW).already


def test_a_file_that_was_not_loaded_stays(store: Store, night: Night, export: Path) -> None:
    archive(night, store, NOW)
    assert export.read_bytes() == CONTENT


def test_a_file_changed_after_loading_stays(store: Store, night: Night, export: Path) -> None:
    _load(store, night, export)
    export.write_bytes(CONTENT + b"x")
    archive(night, store, NOW)
    assert export.exists()


def test_a_cut_or_changed_archive_is_refused(store: Store, night: Night, export: Path) -> None:
    path = _sealed(night, _load(store, night, export))
    archive(night, store, NOW)
    box = DayBox(store.provider, "archive", "S1", night.business_date.isoformat())
    whole = path.read_bytes()
    first = 20 + 4 + int.from_bytes(whole[20:24], "big")
    path.write_bytes(whole[:first])
    with pytest.raises(SetupProblem):
        list(open_archived(path, box))
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(KeyProblem):
        list(open_archived(path, box))
    destroyed = store.provider.destroy(box.key_id)
    assert destroyed
    other = DayBox(store.provider, "archive", "S1", night.business_date.isoformat())
    path.write_bytes(whole)
    with pytest.raises(KeyProblem):
        list(open_archived(path, other))
