"""A thousand stations become a few dozen tasks, cut by bytes."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from pathlib import Path

import yaml
from chain_landing import write_chain
from composed import PROJECT

from many_owners import many_owners
from safehands.datasets import SourceFile
from safehands.landing import cut_shards
from safehands.lots import in_lots
from safehands.settings import Settings
from safehands.stations import load_register

STATIONS, NIGHT_BYTES = 1_000, 190_000_000
WHOLE, EACH = 7, 4


def test_the_dag_has_so_many_tasks() -> None:
    """What the sums below are made of."""
    text = (PROJECT / "dags" / "nightly_governance.py").read_text(encoding="utf-8")
    assert len(re.search(r"for step in \((.+)\)", text)[1].split(",")) == EACH  # type: ignore[index]
    assert (
        len(re.findall(r"^    (?:plan|purge|backup|prove|report|verdict|close) = ", text, re.M))
        == WHOLE
    )


def test_a_thousand_stations_are_at_most_sixty_even_tasks(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    small = write_chain(landing, date(2026, 11, 23), STATIONS, 20_000, 2_000)
    register = load_register(landing, ("parcels", "customers", "preferences"))
    declared = yaml.safe_load((landing / "stations.yaml").read_text(encoding="utf-8"))
    assert sum(len(owner["stations"]) for owner in declared["controllers"]) == STATIONS
    # The same proportions at the size of a million parcels.
    files = [
        SourceFile(path.parent.name, f"{path.parent.name}/{path.name}", size, path.parent.name)
        for path in landing.rglob("*.csv")
        for size in [path.stat().st_size * NIGHT_BYTES // small]
    ]
    target = Settings.read({}, home=str(tmp_path)).shard_megabytes * 1_000_000
    shards = cut_shards(files, register, target)
    assert sum(len(shard.files) for shard in shards) == STATIONS
    assert EACH * len(shards) + WHOLE <= 60
    weights = [sum(file.size for file in shard.files) for shard in shards]
    assert max(weights) <= 1.05 * min(weights)


def test_a_thousand_owners_are_no_more_tasks_than_that(tmp_path: Path) -> None:
    codes = many_owners(tmp_path / "landing", 1_000)
    register = load_register(tmp_path / "landing", ("parcels", "customers", "preferences"))
    files = [
        SourceFile(code, f"{code}/parcels.csv", 200_000 + 17 * number, code)
        for number, code in enumerate(codes)
    ]
    target = Settings.read({}, home=str(tmp_path)).shard_megabytes * 1_000_000
    shards = [asdict(shard) for shard in cut_shards(files, register, target)]
    assert len(shards) == 1_000
    lots = in_lots(shards)
    assert EACH * len(lots) + WHOLE <= 60
    counts = [len(lot["records"]) for lot in lots]
    assert sum(counts) == 1_000
    assert max(counts) - min(counts) <= 1
