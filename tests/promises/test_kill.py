"""A night that is cut off at any moment and done again leaves what an undisturbed night leaves.

It is killed, or meets an I/O error, or a disk that is full from then on. Two nights are cut off at
sampled points: the very first one, from a root key and no database, and a later one that has to
mask, forget and drop what is past its time, to prove and to prune. ``SAFEHANDS_TORTURE=1`` takes
every point.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from promise_base import Host
from promise_exports import STATIONS, lay, parcels

from safehands import embedded
from safehands.keys import FileProvider
from safehands.sample.canaries import write_canary_landing
from safehands.sample.formats import csv_bytes

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 11, 23)
EARLIER = (DAY - timedelta(days=400), DAY - timedelta(days=40))
SAMPLES = {"first": 6, "later": 6}
TORTURE = os.environ.get("SAFEHANDS_TORTURE") == "1"


@dataclass
class Scene:
    """A state to start from, as often as needed, and what an undisturbed night makes of it."""

    host: Host
    server: embedded.Server
    base: Path
    template: str
    made: int = 0

    def fresh(self) -> dict[str, str]:
        """Return settings of a new home with a new database, both as the scene begins."""
        self.made += 1
        home = self.base.with_name(f"{self.base.name}-{self.made}")
        shutil.copytree(self.base, home)
        name = f"sh_kill_{self.base.name}_{self.made}"
        if self.template:
            _create(self.server, name, self.template)
        return _settings(home, self.server.url(name))

    def night(
        self, settings: dict[str, str], die_at: int | None, times: int, how: str = "killed"
    ) -> Any:
        """Do the night in a child; return the finished run."""
        return self.host.run(
            "nights",
            settings=settings,
            day=DAY.isoformat(),
            at=_after(DAY).isoformat(),
            die_at=die_at,
            times=times,
            how=how,
        )

    def drop(self, settings: dict[str, str]) -> None:
        """Remove a home and its database."""
        shutil.rmtree(settings["home"])
        name = settings["database_url"].split("?")[0].rpartition("/")[2]
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    place = embedded.Place(tmp_path_factory.mktemp("kill-server"))
    yield embedded.start(place, durable=False)
    embedded.remove(place)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the landing of tonight and a home that has a root key and nothing else."""
    folder = tmp_path_factory.mktemp("kill")
    write_canary_landing(folder / "landing", DAY, broken=True)
    FileProvider(folder / "first" / "keys", folder / "first" / "keys-second").create("root")
    # The nights lie further apart than a purge believes without being told.
    shutil.copytree(ROOT / "include" / "policy", folder / "policy")
    retention = folder / "policy" / "retention.yaml"
    text = retention.read_text(encoding="utf-8")
    assert "max_gap_days: 14 " in text
    retention.write_text(text.replace("max_gap_days: 14 ", "max_gap_days: 500 "), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def first(host: Host, server: embedded.Server, base: Path) -> Scene:
    return Scene(host, server, base / "first", template="")


@pytest.fixture(scope="module")
def later(host: Host, server: embedded.Server, base: Path) -> Scene:
    """The state after two nights of long ago, whose people and rows are past their time now."""
    home = base / "later"
    shutil.copytree(base / "first", home)
    settings = _settings(home, server.url("sh_kill_later"))
    for number, day in enumerate(EARLIER):
        landing = base / f"landing-{number}"
        rows = [*parcels(day, f"13{number}4"), ("", "顺丰速运", "旧客", *[""] * 5)]
        old = csv_bytes(rows, "utf-8")
        lay(landing, {f"{station}/old.csv": old for station in STATIONS.values()})
        ended = host.run(
            "nights",
            settings={**settings, "landing": str(landing)},
            day=day.isoformat(),
            at=_after(day).isoformat(),
            die_at=None,
            times=1,
        )
        assert ended.code == 0, ended.err
    return Scene(host, server, home, template="sh_kill_later")


@pytest.mark.parametrize("how", ["killed", "eio", "full"])
@pytest.mark.parametrize("name", ["first", "later"])
def test_a_night_that_was_cut_off_and_done_again_is_an_undisturbed_night(
    name: str, how: str, request: pytest.FixtureRequest
) -> None:
    scene: Scene = request.getfixturevalue(name)
    undisturbed = _undisturbed(scene)
    expected = undisturbed["states"][0]
    points = undisturbed["points"]
    differing = {}
    for at in _sampled(points, SAMPLES[name] if how == "killed" else SAMPLES[name] // 2):
        settings = scene.fresh()
        killed = scene.night(settings, die_at=at, times=1, how=how)
        assert killed.code == (-signal.SIGKILL if how == "killed" else 0), (at, killed.err)
        again = scene.night(settings, die_at=None, times=2)
        assert again.code == 0, (at, again.err)
        second, third = again.result["states"]
        if how != "killed":
            # What could be done was done, backed up and told; the rest follows a night later.
            differences = _differences(_kept(expected), _kept(second))
        else:
            differences = _differences(expected, second)
        differences |= _later_change(second, third)
        if differences:
            differing[f"{at}: {killed.err}"] = differences
        scene.drop(settings)
    assert differing == {}


def test_the_later_night_has_something_to_lose(later: Scene) -> None:
    settings = later.fresh()
    state = later.night(settings, die_at=None, times=1).result["states"][0]
    assert state["rows"]["tombstone"] > 0
    # It proves a generation, because that is overdue, and removes what policy keeps no longer.
    assert state["rows"]["generation_proof"] == 2
    assert state["repository"]["manifests"] == state["repository"]["prunes"] == 1
    assert not any(EARLIER[1].isoformat() in key for key in state["keys"])
    assert any(DAY.isoformat() in key for key in state["keys"])
    later.drop(settings)


def _undisturbed(scene: Scene) -> Any:
    settings = scene.fresh()
    ended = scene.night(settings, die_at=None, times=1)
    assert ended.code == 0, ended.err
    (state,) = ended.result["states"]
    assert state["unnumbered"] == state["misrecorded"] == 0
    assert state["not_in_repository"] == state["not_recorded"] == state["work"] == []
    scene.drop(settings)
    return ended.result


def _sampled(points: int, wanted: int) -> list[int]:
    if TORTURE:
        return list(range(1, points + 1))
    return sorted({round(1 + i * (points - 1) / (wanted - 1)) for i in range(wanted)})


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    # The checkpoint signs random ids, random ids decide how many hash buckets stay empty, and what
    # a killed night has entered is signed before the next goes on. The rest follows from the files.
    names = sorted(expected.keys() - {"checkpoint", "checkpoints", "objects"})
    return {n: (expected[n], found[n]) for n in names if expected[n] != found[n]}


def _kept(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is the same however many nights it took: data, keys, nothing left over."""
    rows = {table: state["rows"][table] for table in _DATA}
    told = {"repository", "other", "rows"}
    return {**{n: value for n, value in state.items() if n not in told}, "rows": rows}


_DATA = (
    *("subject", "parcel", "custody", "preference", "tombstone", "batch", "quarantine"),
    *("listing", "correction", "controller", "station", "epoch", "parcel_history"),
)


def _later_change(second: dict[str, Any], third: dict[str, Any]) -> dict[str, Any]:
    return {f"third {n}": (second[n], third[n]) for n in second if second[n] != third[n]}


def _settings(home: Path, url: str) -> dict[str, str]:
    landing = str(home.parent / "landing")
    return {
        "home": str(home),
        "landing": landing,
        "database_url": url,
        "lang": "en",
        "workers": "1",
        "policy": str(home.parent / "policy"),
    }


def _after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 2, tzinfo=ZoneInfo("Asia/Shanghai")) + timedelta(
        1
    )


def _create(server: embedded.Server, name: str, template: str) -> None:
    with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as connection:
        statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        connection.execute(statement.encode())


def test_a_key_whose_destruction_was_killed_halfway_is_gone(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "keys", tmp_path / "second")
    first = provider.create("run/one")
    path = tmp_path / "keys" / "run" / "one.key"
    path.write_bytes(bytes(path.stat().st_size))
    assert not provider.has("run/one")
    second = provider.create("run/one")
    assert second != first
    assert provider.get("run/one") == second


def test_what_a_killed_process_left_beside_a_key_is_tidied_away(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "keys", tmp_path / "second")
    kept = provider.create("epoch/north/1")
    for place in ("keys", "second"):
        key = tmp_path / place / "epoch" / "north" / "1.key"
        os.link(key, key.with_name(".1.key.0badcafe"))
    provider.tidy()
    assert len(list(tmp_path.rglob("*.key*"))) == 2
    assert provider.get("epoch/north/1") == kept
