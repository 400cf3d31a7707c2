"""Rows of children under fourteen leave quarantine after 15 days, all others after 30 (PIPL 31)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from minimised import World
from nights import BUSINESS_DATE, NOW
from safehands.daykeys import box_to_open
from safehands.errors import KeyProblem
from safehands.night import Night
from safehands.purge import purge
from safehands.store import Store


@pytest.fixture
def world(store: Store, night: Night) -> World:
    return World(store, night, NOW)


def waiting(rule: str, phone: str) -> dict[str, object]:
    payload = json.dumps({"receiver_phone": phone})
    place = {"_file": 0, "_sheet": "", "_row": 7, "dataset": "customers", "column": "birth"}
    return {**place, "rule": rule, "payload": payload}


def left(world: World) -> set[str]:
    return {row["rule"] for row in world.rows("SELECT rule FROM quarantine")}


def test_children_go_after_fifteen_days_with_their_key(world: World) -> None:
    young, other = "minor_without_guardian", "phone_format"
    world.load(quarantine=[waiting(young, "13800000001"), waiting(other, "13800000002")])
    [sealed] = world.rows(f"SELECT sealed FROM quarantine WHERE rule = '{young}'")
    provider, day = world.store.provider, BUSINESS_DATE.isoformat()
    box = box_to_open(provider, young, "A1", day)
    assert box is not None
    assert box.unseal([sealed["sealed"]]) == [b'{"receiver_phone": "13800000001"}']
    for days, rules, gone in ((15, {young, other}, 0), (16, {other}, 1), (30, {other}, 0)):
        later = world.on(BUSINESS_DATE + timedelta(days=days))
        counts = purge(later.night, later.store, later.now, confirmed=later.night.business_date)
        assert counts.counts.get("minors_keys", 0) == gone
        assert left(world) == rules
    # Not even somebody with an old copy of the database reads it: only the others' key is left.
    assert provider.names("day/minors") == []
    common = box_to_open(provider, young, "A1", day)
    assert common is not None
    with pytest.raises(KeyProblem):
        common.unseal([sealed["sealed"]])
    later = world.on(BUSINESS_DATE + timedelta(days=31))
    purge(later.night, later.store, later.now, confirmed=later.night.business_date)
    assert left(world) == set()
    assert box_to_open(provider, other, "A1", day) is None
