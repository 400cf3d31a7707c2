"""Quarantine and landing archive of a station end with their day keys, in every copy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from erasure_world import Scene
from sqlalchemy import text

from minimised import parcel
from nights import BUSINESS_DATE, NOW
from safehands import erasure
from safehands.archive import open_archived
from safehands.errors import KeyProblem, PolicyError
from safehands.keys import DayBox
from safehands.keys.box import day_name

DAYS = [(BUSINESS_DATE - timedelta(days=n)).isoformat() for n in (0, 1)]
ROW = {"_sheet": "", "_row": 2, "dataset": "parcels", "rule": "r", "column": "", "payload": "x"}


@pytest.fixture
def filled(scene: Scene) -> Scene:
    """Two stations of one owner with quarantine on two days, and an archived export each."""
    for station in ("A1", "A2"):
        for n in (0, 1):
            earlier = scene.on(BUSINESS_DATE - timedelta(days=n)).world
            earlier.load([parcel(f"{station}{n}", NOW)], quarantine=[ROW], stations=[station])
        box = DayBox(scene.store.provider, "archive", station, DAYS[0])
        folder = archive_of(scene) / station / DAYS[0]
        folder.mkdir(parents=True)
        (block,) = box.seal([(0).to_bytes(8, "big") + b"\1" + b"export"])
        head = b"safehands-archive/1\n" + len(block).to_bytes(4, "big")
        (folder / "f.sealed").write_bytes(head + block)
    return scene


def archive_of(scene: Scene) -> Path:
    return scene.night.settings.archive


def destroy(scene: Scene, station: str = "A1") -> dict[str, int]:
    folder = archive_of(scene)
    return erasure.destroy_station_days(scene.store, folder, station, "cut-over", NOW)


def test_a_stations_days_end_and_no_other_stations(filled: Scene) -> None:
    provider = filled.store.provider
    sealed = filled.world.rows(
        "SELECT q.sealed, s.code, q.day FROM quarantine q"
        " JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    )
    counts = destroy(filled)
    assert counts == {
        "quarantine_keys": 2,
        "minors_keys": 0,
        "archive_keys": 1,
        "rows": 2,
        "files": 1,
    }
    assert {n.split("/")[2] for n in provider.names("day")} == {"A2"}
    opened = 0
    for row in sealed:
        box = DayBox(provider, "quarantine", row["code"], row["day"].isoformat())
        if row["code"] == "A1":
            with pytest.raises(KeyProblem):
                box.unseal([bytes(row["sealed"])])
        else:
            opened += len(box.unseal([bytes(row["sealed"])]))
    assert opened == 2
    assert [p.parent.parent.name for p in archive_of(filled).rglob("*.sealed")] == ["A2"]
    assert len(filled.world.rows("SELECT * FROM quarantine")) == 2


def test_opening_a_destroyed_box_does_not_make_a_new_key(filled: Scene) -> None:
    path = archive_of(filled) / "A1" / DAYS[0] / "f.sealed"
    kept = path.read_bytes()
    destroy(filled)
    path.write_bytes(kept)
    box = DayBox(filled.store.provider, "archive", "A1", DAYS[0])
    with pytest.raises(KeyProblem):
        list(open_archived(path, box))
    assert not filled.store.provider.has(day_name("archive", "A1", DAYS[0]))


def test_the_second_call_records_nothing(filled: Scene) -> None:
    destroy(filled)
    entries = filled.world.census()["ledger_entry"]
    assert set(destroy(filled).values()) == {0}
    assert filled.world.census()["ledger_entry"] == entries


def test_what_was_killed_after_its_record_is_finished_and_recorded_once(
    filled: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = filled.store.provider
    monkeypatch.setattr(type(provider), "destroy", _killed)
    with pytest.raises(KeyboardInterrupt):
        destroy(filled)
    monkeypatch.undo()
    entries = filled.world.census()["ledger_entry"]
    assert len(provider.names("day/quarantine/A1")) == 2
    destroy(filled)
    assert provider.names("day/quarantine/A1") == provider.names("day/archive/A1") == []
    assert filled.world.census()["ledger_entry"] == entries
    with filled.store.begin() as connection:
        left = connection.execute(text("SELECT count(*) FROM outbox WHERE NOT done")).scalar()
    assert left == 0


def _killed(*_: object) -> bool:
    raise KeyboardInterrupt


def test_an_unknown_station_is_refused(filled: Scene) -> None:
    with pytest.raises(PolicyError):
        destroy(filled, "A9")


def test_archived_exports_go_when_their_key_is_past_its_time(filled: Scene) -> None:
    assert erasure.remove_unreadable(filled.store.provider, archive_of(filled)) == 0
    filled.store.provider.destroy(day_name("archive", "A1", DAYS[0]))
    assert erasure.remove_unreadable(filled.store.provider, archive_of(filled)) == 1
