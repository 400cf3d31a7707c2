"""Several owners' shards in one task: each with its own fate, none twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from many_owners import many_owners
from nights import BUSINESS_DATE
from safehands import pipeline
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.errors import HandoverRefused, SafehandsError, SetupProblem, StepFailed
from safehands.installation import Installation
from safehands.lots import MOST, Lot, in_lots

STEPS = ("ingest", "validate", "minimise", "pseudonymise")


def shard(number: int, size: int) -> dict[str, Any]:
    file = SourceFile(f"S{number}", f"S{number}/a.csv", size, f"{number:064}")
    return asdict(Shard(f"o{number}-1", f"o{number}", (file,)))


def shards_of(record: Mapping[str, Any]) -> list[str]:
    lot = Lot.from_dict(record)
    return [one["key"] for one in ([record] if lot is None else lot.records)]


@given(st.lists(st.integers(0, 10**8), max_size=80))
def test_every_shard_is_in_one_lot_and_there_are_never_too_many(sizes: list[int]) -> None:
    shards = [shard(number, size) for number, size in enumerate(sizes)]
    lots = in_lots(shards)
    assert len(lots) == min(len(shards), MOST)
    assert sorted(key for lot in lots for key in shards_of(lot)) == sorted(s["key"] for s in shards)
    assert lots == in_lots(list(reversed(shards))) or len(shards) <= MOST
    assert json.loads(json.dumps(lots)) == json.loads(json.dumps(lots, sort_keys=True))


def test_few_shards_are_left_as_they_are() -> None:
    shards = [shard(number, 100 - number) for number in range(MOST)]
    assert in_lots(shards) == shards


def test_lots_are_about_as_large_as_each_other() -> None:
    lots = in_lots([shard(number, 1_000_000 // (number + 10)) for number in range(1_000)])
    counts = [len(shards_of(lot)) for lot in lots]
    assert max(counts) - min(counts) <= 0.2 * max(counts)


def once(refused: Mapping[str, SafehandsError], seen: list[str]) -> Any:
    def step(record: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(record["key"])
        if record["key"] in refused:
            raise refused[record["key"]]
        return record

    return step


def lot_of(count: int) -> Lot:
    return Lot("lot-01", tuple(shard(number, 1) for number in range(count)))


def test_one_that_fails_drops_out_and_the_others_go_on() -> None:
    refused = HandoverRefused("transfer.frozen", station="S1", files=1)
    seen: list[str] = []
    left = lot_of(3).each(once({"o1-1": refused}, seen), patient=True)
    assert shards_of(left.as_dict()) == ["o0-1", "o2-1"]
    [told] = left.problems
    assert (told.shard, told.code) == ("o1-1: S1", 32)
    assert str(told.problem()) == str(refused)
    # Plain data, as it travels between tasks; the next step has the problem still.
    again = Lot.from_dict(json.loads(json.dumps(left.as_dict())))
    assert again is not None
    assert again.each(once({}, seen), patient=True).problems == left.problems


def test_what_may_pass_is_tried_again_while_there_are_tries() -> None:
    broken = StepFailed("step.failed", step="ingest", kind="OperationalError", place="x")
    seen: list[str] = []
    step = once({"o0-1": broken}, seen)
    with pytest.raises(StepFailed):
        lot_of(2).each(step, patient=True)
    assert seen == ["o0-1", "o1-1"]
    left = lot_of(2).each(step, patient=False)
    assert shards_of(left.as_dict()) == ["o1-1"]
    assert [one.code for one in left.problems] == [StepFailed.exit_code]


def test_an_error_that_is_none_of_ours_is_not_swallowed() -> None:
    def step(record: Mapping[str, Any]) -> Mapping[str, Any]:
        raise KeyError(record["key"])

    with pytest.raises(KeyError):
        lot_of(1).each(step, patient=False)


def test_the_kind_of_a_problem_survives_the_way_between_tasks() -> None:
    left = lot_of(1).each(once({"o0-1": SetupProblem("store.unreachable")}, []), patient=False)
    assert type(left.problems[0].problem()) is SetupProblem


def done(
    inst: Installation, head: pipeline.Head, step: str, record: Mapping[str, Any]
) -> Mapping[str, Any]:
    if step == "ingest":
        return pipeline.ingest(inst, head, Shard.from_dict(record)).as_dict()
    return getattr(pipeline, step)(inst, head, Handoff.from_dict(record)).as_dict()  # type: ignore[no-any-return]


def through(inst: Installation, lot: Lot, head: pipeline.Head, lost: str = "") -> Lot:
    """All four steps; the work files of the owner ``lost`` vanish after they were read."""
    for step in STEPS:
        lot = lot.each(partial(done, inst, head, step), patient=False)
        travelled = Lot.from_dict(json.loads(json.dumps(lot.as_dict())))
        assert travelled is not None
        lot = travelled
        if lost and step == "ingest":
            files = list(Path(str(inst.settings.work)).rglob(f"{lost}-*.parquet"))
            assert files
            for file in files:
                file.unlink()
    return lot


def loaded(inst: Installation) -> dict[str, int]:
    with inst.store.begin("safehands_backup") as connection:
        rows = connection.execute(text(_PARCELS)).all()
    return {row[0]: row[1] for row in rows}


def test_each_shard_of_a_lot_has_its_own_fate_in_a_real_store(inst: Installation) -> None:
    """One that fails stops neither the shards behind it in its lot nor another lot."""
    codes = many_owners(inst.settings.landing, 4)
    plan = pipeline.plan(inst, BUSINESS_DATE)
    shards = sorted((asdict(one) for one in plan.shards), key=lambda one: str(one["controller"]))
    lot, other = Lot("lot-01", tuple(shards[:3])), Lot("lot-02", tuple(shards[3:]))
    left = through(inst, lot, plan.head, lost="owner0001")
    assert [one.shard for one in left.problems] == [f"owner0001-1: {codes[1]}"]
    assert through(inst, other, plan.head).problems == ()
    assert loaded(inst) == {code: 2 for code in codes if code != codes[1]}
    # Gone through again, as by a retry: that one shard is loaded, the others not again.
    assert through(inst, lot, plan.head).problems == ()
    assert loaded(inst) == dict.fromkeys(codes, 2)
    with inst.store.begin("safehands_backup") as connection:
        batches = connection.execute(text("SELECT count(*) FROM batch")).scalar_one()
    assert batches == len(codes)


_PARCELS = (
    "SELECT s.code, count(*) FROM parcel p JOIN station s ON s.id = p.station_id"
    " GROUP BY s.code ORDER BY s.code"
)
