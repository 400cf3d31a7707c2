"""What is found in the landing folder."""

from __future__ import annotations

import hashlib
import os

from ingest_door import Door

from safehands.ingest import inventory
from safehands.stations import Controller, RecordSet, Register, Station


def register(**folders: str) -> Register:
    stations = tuple(Station(code=c, name=c, folder=f) for c, f in folders.items())
    sets = {"parcels": RecordSet(role="unknown")}
    owner = Controller(code="owner", name="owner", record_sets=sets, stations=stations)
    return Register(controllers=(owner,))


def test_exports_are_listed_with_size_and_digest(door: Door) -> None:
    door.put("b.csv", b"hello")
    door.put("a.weird", b"")
    (door.folder / "older").mkdir()
    door.put("older/c.xlsx", b"x")
    found = inventory(door.night.settings.landing, register(S1="station"))
    assert [(f.station, f.path, f.size) for f in found] == [
        ("S1", "station/a.weird", 0),
        ("S1", "station/b.csv", 5),
        ("S1", "station/older/c.xlsx", 1),
    ]
    assert found[1].digest == hashlib.sha256(b"hello").hexdigest()


def test_hidden_and_temporary_files_are_left_out(door: Door) -> None:
    for name in (
        "~$a.xlsx",
        ".DS_Store",
        ".hidden.csv",
        "Thumbs.db",
        "a.csv.part",
        "stations.yaml",
    ):
        door.put(name, b"x")
    assert inventory(door.night.settings.landing, register(S1="station")) == []


def test_a_station_in_the_landing_folder_itself(door: Door) -> None:
    door.put("a.csv", b"x")
    (door.night.settings.landing / "b.csv").write_bytes(b"y")
    found = inventory(door.night.settings.landing, register(S0=".", S1="station"))
    assert [(f.station, f.path) for f in found] == [("S0", "b.csv"), ("S1", "station/a.csv")]


def test_what_is_no_file_does_not_block(door: Door) -> None:
    os.mkfifo(door.folder / "a.csv")
    (door.folder / "b.csv").symlink_to(door.folder / "gone.csv")
    assert [f.digest for f in door.shard().files] == ["", ""]
    keys = [problem.key for problem in door.run().problems.values()]
    assert keys == ["ingest.not_a_file", "ingest.cannot_open"]


def test_folder_that_is_a_link_is_not_followed(door: Door) -> None:
    (door.folder / "loop").symlink_to(door.folder)
    assert door.run().problems["station/loop"].key in {"ingest.not_a_file", "ingest.cannot_open"}
