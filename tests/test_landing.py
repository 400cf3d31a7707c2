"""Every file is in one shard of its owner, the same each time, and shards are of a size."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimised import World, declared
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.datasets import Shard, SourceFile
from safehands.landing import cut_shards, set_aside, without_repeats
from safehands.night import Night
from safehands.store import Store

TARGET = 100
FILES = st.lists(
    st.tuples(st.sampled_from(["A1", "A2", "B1"]), st.integers(0, 250)), max_size=30
).map(
    lambda rows: [
        SourceFile(station, f"{station}/{i:02}.csv", size, f"d{i}")
        for i, (station, size) in enumerate(rows)
    ]
)


def cut(files: list[SourceFile]) -> tuple[Shard, ...]:
    return cut_shards(files, declared(), TARGET)


@given(FILES)
def test_every_file_is_in_exactly_one_shard_of_its_owner(files: list[SourceFile]) -> None:
    shards = cut(files)
    assert Counter(f for shard in shards for f in shard.files) == Counter(files)
    for shard in shards:
        assert shard.files
        assert {f.station[0] for f in shard.files} == {shard.controller}
    assert len({shard.key for shard in shards}) == len(shards)


@given(FILES, st.randoms(use_true_random=False))
def test_the_cut_does_not_hang_on_the_order_of_files(files: list[SourceFile], random: Any) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)
    assert cut(files) == cut(shuffled)


@given(FILES)
def test_shards_are_balanced_and_no_more_than_the_files_fill(files: list[SourceFile]) -> None:
    shards = cut(files)
    for owner in "AB":
        owned = [f.size for f in files if f.station[0] == owner]
        weights = [sum(f.size for f in s.files) for s in shards if s.controller == owner]
        assert len(weights) <= max(1, -(-sum(owned) // TARGET))
        assert all(weight <= TARGET + max(owned) for weight in weights)
        for shard in shards:
            if any(f.size > TARGET for f in shard.files):
                assert sum(f.size > 0 for f in shard.files) == 1


def test_neighbours_belong_to_different_owners_as_long_as_there_are_both() -> None:
    files = [SourceFile(s, f"{s}/{i}", TARGET, f"{s}{i}") for s in ("A1", "B1") for i in range(3)]
    assert [shard.controller for shard in cut(files)] == ["A", "B"] * 3


def test_the_same_content_twice_at_one_station_is_read_once() -> None:
    def file(station: str, name: str, digest: str) -> SourceFile:
        return SourceFile(station, f"{station}/{name}", 1, digest)

    files = [
        file("A1", "b.csv", "same"),
        file("A1", "a.csv", "same"),
        file("A2", "a.csv", "same"),
        file("A1", "x", ""),
        file("A1", "y", ""),
    ]
    kept = [f.path for f in without_repeats(files)]
    assert kept == ["A1/a.csv", "A1/x", "A1/y", "A2/a.csv"]


@pytest.mark.parametrize("digest", ["d" * 64, ""])
def test_a_file_named_after_a_person_is_set_aside_once(
    store: Store, night: Night, digest: str
) -> None:
    world = World(store, night, NOW)
    file = SourceFile("A1", "A1/张伟13800000001.csv", 1, digest)
    for _ in range(2):
        set_aside(store, [file], night.run, BUSINESS_DATE, night.policy, NOW)
    (batch,) = world.rows("SELECT state, label, problem::text, facts FROM batch")
    assert batch["state"] == "set_aside"
    assert "13800000001" not in str(batch)
    journal.sequence(store, NOW)
    with store.begin() as connection:
        (entry,) = journal.entries(connection)
    assert "13800000001" not in entry
