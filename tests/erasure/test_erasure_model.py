"""Any sequence of nights, erasures and repeated exports agrees with a model of ten lines."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from typing import Any

import pytest
from erasure_world import Scene, after, scene_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimised import World, collected, customer
from nights import BUSINESS_DATE, NOW
from safehands import erasure
from safehands.errors import PolicyError
from safehands.keys import FileProvider
from safehands.night import Night
from safehands.store import Store

PHONES = tuple(f"1380000000{n}" for n in range(4))
FIRST = BUSINESS_DATE - timedelta(days=20)

people = st.sampled_from(PHONES)
steps = st.one_of(
    st.tuples(st.just("arrive"), people),
    st.tuples(st.just("export again"), st.just("")),
    st.tuples(st.just("list of customers"), st.just("")),
    st.tuples(st.just("erase"), people),
    st.tuples(st.just("night"), st.just("")),
)


class Model:
    """Who has which parcels, who was erased when, and whose key is still there."""

    def __init__(self) -> None:
        self.parcels: dict[str, set[str]] = {phone: set() for phone in PHONES}
        self.erased: dict[str, datetime] = {}
        self.export: list[tuple[str, str, datetime]] = []
        self.epoch, self.waiting, self.ended = 1, 0, 0

    def load(self) -> None:
        for phone, number, at in self.export:
            if at > self.erased.get(phone, datetime.min.replace(tzinfo=at.tzinfo)):
                self.parcels[phone].add(number)

    def known(self) -> dict[str, int]:
        return {phone: len(numbers) for phone, numbers in self.parcels.items() if numbers}


class Kit:
    """What a new store needs; without a repr that fills a screen."""

    def __init__(self, cluster: Any, provider: FileProvider, night: Night) -> None:
        self.cluster, self.provider, self.night = cluster, provider, night

    def scene(self) -> Scene:
        """Return a new, empty store with the keys of the one before gone."""
        for name in self.provider.names("epoch"):
            self.provider.destroy(name)
        folder = self.night.settings.backups
        shutil.rmtree(folder, ignore_errors=True)
        return scene_of(World(Store(self.cluster.clone(), self.provider), self.night, NOW))


@pytest.fixture
def kit(cluster: Any, provider: FileProvider, night: Night) -> Kit:
    return Kit(cluster, provider, night)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, min_size=3, max_size=10))
def test_the_store_is_what_the_model_says(kit: Kit, plan: list[tuple[str, str]]) -> None:
    scene = kit.scene()
    try:
        _follow(scene, plan)
    finally:
        scene.store.close()


def _follow(scene: Scene, plan: list[tuple[str, str]]) -> None:
    model, day = Model(), FIRST
    for number, (what, phone) in enumerate([*plan, ("night", "")]):
        tonight = scene.on(day)
        now = after(day)
        if what == "arrive":
            model.export.append((phone, f"W{number}", now - timedelta(hours=1)))
        if what in ("arrive", "export again"):
            rows = [collected(n, at, receiver_phone=p) for p, n, at in model.export]
            counts = tonight.world.load(rows)
            old = [p for p, _, at in model.export if p in model.erased and at <= model.erased[p]]
            assert counts["erased_before"] == len(old)
            model.load()
        elif what == "list of customers":
            known = sorted(model.known().keys() | model.erased.keys())
            rows = [customer(now, receiver_phone=p) for p in known]
            tonight.world.load([], customers=rows)
        elif what == "erase" and model.parcels[phone]:
            tonight.ask(phone, f"R-{number}")
            assert tonight.erase_alone()["erased"] == 1
            model.erased[phone], model.parcels[phone] = now, set()
            model.waiting += 1
        elif what == "erase":
            try:
                tonight.ask(phone, f"R-{number}")
            except PolicyError:
                pass
            else:
                raise AssertionError("somebody unknown was found")
        elif what == "night":
            _night(tonight, model)
        day += timedelta(days=1)
        _compare(scene, model)


def _night(tonight: Scene, model: Model) -> None:
    done = tonight.finish()
    if model.waiting:
        model.epoch, model.ended, model.waiting = model.epoch + 1, model.ended + model.waiting, 0
        assert done.counts["epochs_closed"] == 1
    assert tonight.epochs() == [f"epoch/A/{model.epoch}"]


def _compare(scene: Scene, model: Model) -> None:
    found: dict[str, int] = {}
    people = {row["subject_id"]: row["record"]["phone"] for row in scene.world.people()}
    assert len(set(people.values())) == len(people)
    for row in scene.world.parcels():
        found[people[row["subject_id"]]] = found.get(people[row["subject_id"]], 0) + 1
    assert found == model.known()
    assert set(people.values()) == set(model.known())
    graves = scene.world.rows("SELECT token FROM tombstone")
    assert len(graves) == len(model.erased)
    everything = erasure.list_requests(scene.store, [scene.world.owner()])
    final = [one for one in everything if one.state == "final"]
    assert len(final) == model.ended
