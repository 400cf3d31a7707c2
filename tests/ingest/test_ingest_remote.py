"""A landing folder in an object store: S3 as moto's server speaks it, and any fsspec URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fsspec
import pytest
from hostile import bomb
from ingest_door import HEADER, Door, csv_text, rows, xlsx
from moto.server import ThreadedMotoServer

from safehands.datasets import Shard
from safehands.errors import SetupProblem
from safehands.ingest import Limits, cut_big, ingest, inventory
from safehands.settings import Settings
from safehands.stations import load_register

_REGION = {"LocationConstraint": "cn-north-1"}
GOOD = csv_text([HEADER, *rows(4)])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    if store.exists("stations"):
        store.rm("stations", recursive=True)
    store.call_s3("create_bucket", Bucket="stations", CreateBucketConfiguration=_REGION)
    fsspec.filesystem("s3").invalidate_cache()
    return store


def far(door: Door, url: str) -> Door:
    settings = Settings.read({}, landing=url, home=str(door.night.settings.home))
    return Door(replace(door.night, settings=settings))


def shard(door: Door) -> Shard:
    landing = door.night.settings.landing
    return Shard("s", "owner", tuple(inventory(landing, load_register(landing, ("parcels",)))))


@pytest.fixture(params=["s3", "memory"])
def place(request: pytest.FixtureRequest, door: Door) -> tuple[Any, str, Door]:
    if request.param == "s3":
        return request.getfixturevalue("bucket"), "stations/day", far(door, "s3://stations/day")
    store = fsspec.filesystem("memory")
    store.store.clear()
    return store, "/day", far(door, "memory://day")


def test_exports_are_read_where_they_lie(place: tuple[Any, str, Door]) -> None:
    store, root, door = place
    store.pipe(f"{root}/S1/a.csv", GOOD.encode("gb18030"))
    store.pipe(f"{root}/S1/2026/b.xlsx", xlsx(("A", [HEADER, *rows(3)])))
    store.pipe(f"{root}/S1/.hidden.csv", GOOD.encode())
    store.pipe(f"{root}/S1/c.csv", b"\xff\xff")
    listed = shard(door)
    assert [f.path for f in listed.files] == ["S1/2026/b.xlsx", "S1/a.csv", "S1/c.csv"]
    handoff = ingest(listed, door.night)
    assert handoff.counts["out"] == 7
    assert [p.key for p in handoff.problems.values()] == ["ingest.wrong_encoding"]


def test_several_stations_are_declared_there(place: tuple[Any, str, Door]) -> None:
    store, root, door = place
    text = (
        "controllers:\n- {code: c, name: c, record_sets: {}, stations: ["
        "{code: A1, name: a, folder: a}, {code: A2, name: b, folder: a/b}]}\n"
    )
    store.pipe(f"{root}/stations.yaml", text.encode())
    store.pipe(f"{root}/a/x.csv", GOOD.encode())
    store.pipe(f"{root}/a/b/y.csv", GOOD.encode())
    assert [(f.station, f.path) for f in shard(door).files] == [
        ("A2", "a/b/y.csv"),
        ("A1", "a/x.csv"),
    ]


def test_big_objects_are_read_in_parts(place: tuple[Any, str, Door]) -> None:
    store, root, door = place
    store.pipe(f"{root}/S1/a.csv", csv_text([HEADER, *rows(150_000)]).encode())
    [file] = shard(door).files
    parts = cut_big(door.night.settings.landing, [file], 4_000_000, Limits())
    assert len(parts) > 1
    handoffs = [ingest(Shard("s", "owner", (part,)), door.night) for part in parts]
    assert sum(h.counts["out"] for h in handoffs) == 150_000


def test_an_object_that_changed_is_refused_and_then_known_as_another(
    place: tuple[Any, str, Door],
) -> None:
    store, root, door = place
    store.pipe(f"{root}/S1/a.csv", GOOD.encode())
    listed = shard(door)
    store.pipe(f"{root}/S1/a.csv", csv_text([HEADER, *rows(9)]).encode())
    handoff = ingest(listed, door.night)
    assert [p.key for p in handoff.problems.values()] == ["ingest.changed_while_reading"]
    assert shard(door).files[0].identity != listed.files[0].identity
    assert shard(door).files[0].identity == shard(door).files[0].identity


def test_a_hostile_object_is_refused(place: tuple[Any, str, Door]) -> None:
    store, root, door = place
    store.pipe(f"{root}/S1/a.xlsx", bomb(700))
    handoff = ingest(shard(door), door.night)
    assert [p.key for p in handoff.problems.values()] == ["ingest.too_large"]


def test_credentials_do_not_belong_into_the_url() -> None:
    with pytest.raises(SetupProblem) as caught:
        Settings.read({}, landing="s3://key:secret@bucket/x")
    assert "secret" not in str(caught.value)
