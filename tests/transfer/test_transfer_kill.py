"""A transfer that is killed at any moment and done again is an undisturbed one.

Package, receive, receipts, delta, reconcile, stock-takes, cut-over and final erasure run in a child
that kills itself right before the n-th statement or write. Once the whole is done again, at sampled
points; and step by step: each step is killed and done again from the state before it, at sampled
points, with ``SAFEHANDS_TORTURE=1`` at every one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from transfer_world import CLASSES, Deal, deal_of, people_of_a

from minimised import World
from nights import BUSINESS_DATE, NOW
from safehands import journal
from safehands.keys import FileProvider, RunKey
from safehands.night import Night
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.digest import store_digest

SAMPLES = 10
TORTURE = os.environ.get("SAFEHANDS_TORTURE") == "1"
POINTS = Path(__file__).resolve().parents[1] / "promises" / "promise_points.py"
ID = UUID("0badc0de-aaaa-4bbb-8ccc-addeddeadbee")
_CHANGE = (
    "UPDATE parcel SET tags = 1 WHERE status = 2 AND arrived_at = (SELECT max(arrived_at)"
    " FROM parcel WHERE status = 2)"
)
_BODIES = "SELECT body FROM ledger_entry ORDER BY id"


def points_of(die_at: int | None) -> Any:
    """Return the counter of moments; it belongs to the tests of promises."""
    spec = importlib.util.spec_from_file_location("promise_points", POINTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Points(die_at)


def deal_at(home: Path, url: str, policy: Policy) -> Deal:
    settings = Settings.read({}, home=str(home), lang="en", workers="1")
    store = Store(url, FileProvider(settings.keys, settings.keys_second))
    night = Night("nightly-test", BUSINESS_DATE, settings, policy, RunKey("t", b"k" * 32))
    world = World(store, night, NOW)
    return Deal(world, world, home / "package.age", ID)


class Stage:
    """An approved hand-over to start from as often as needed."""

    def __init__(self, cluster: Any, policy: Policy, base: Path) -> None:
        self.server, self.policy, self.base, self.made = cluster.server, policy, base, 0
        self.calm: dict[str, dict[str, Any]] = {}
        (base / "keys").mkdir(parents=True, mode=0o700)
        for name in cluster.keys.glob("*.key"):
            shutil.copy2(name, base / "keys")
        url = cluster.clone()
        self.template = _database(url)
        deal = deal_at(base, url, policy)
        people_of_a(deal.world)
        deal_of(deal.world, deal.path)
        deal.approved(CLASSES)
        deal.recipient()
        deal.world.store.close()

    def fresh(self) -> tuple[Path, str]:
        self.made += 1
        home = self.base.with_name(f"home-{self.made}")
        shutil.copytree(self.base, home)
        name = f"killed_{os.getpid()}_{id(self)}_{self.made}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY FILE_COPY")
        return home, self.server.url(name)

    def drop(self, home: Path, url: str) -> None:
        name = _database(url)
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        shutil.rmtree(home)

    def before(self, step: str) -> dict[str, Any]:
        """Go undisturbed to the state before ``step``; return what the step makes of it."""
        for name in STEPS:
            if name not in self.calm:
                home, url = self.fresh()
                code, found = self.run(home, url, None, name)
                assert code == 0, name
                self.calm[name] = {**found, "home": home, "database": _database(url)}
            if name == step:
                return self.calm[name]
            self.base, self.template = self.calm[name]["home"], self.calm[name]["database"]
        raise KeyError(step)

    def run(
        self, home: Path, url: str, die_at: int | None, step: str = ""
    ) -> tuple[int, dict[str, Any]]:
        result = home / "result.json"
        result.unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _in_child(lambda: _work(home, url, self.policy, die_at, result, step))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return code, json.loads(result.read_text()) if result.exists() else {}

    def _admin(self, statement: str) -> None:
        with psycopg.connect(**self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


def _in_child(work: Callable[[], None]) -> None:
    code = 1
    try:
        work()
        code = 0
    except Exception:  # noqa: BLE001 - whatever it is, the child tells it and ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Nothing of the parent's (fixtures, buffers, the server) is closed by its child.
        os._exit(code)


def _work(
    home: Path, url: str, policy: Policy, die_at: int | None, result: Path, step: str
) -> None:
    deal = deal_at(home, url, policy)
    points = points_of(die_at)
    points.install()
    STEPS.get(step, _whole)(deal)
    points.close()
    result.write_text(json.dumps({"points": points.seen, "state": _state(deal)}))
    deal.world.store.close()


def _whole(deal: Deal) -> None:
    """Go from the package to the proof, with one parcel changed in between."""
    deal.package()
    deal.receive()
    deal.accept()
    change(deal)
    deal.delta()
    deal.receive_delta()
    deal.accept_delta()
    deal.reconcile()
    if deal.state() == "reconciled":
        deal.stock(deltas=1)
    deal.bundle()
    deal.cut_alone()
    deal.finish()


def change(deal: Deal) -> None:
    """Change one parcel after it was packaged."""
    with deal.world.store.admin().begin() as connection:
        connection.execute(text(_CHANGE))


STEPS: dict[str, Callable[[Deal], object]] = {
    "package": Deal.package,
    "receive": Deal.receive,
    "accept": Deal.accept,
    "change": change,
    "delta": Deal.delta,
    "receive delta": Deal.receive_delta,
    "accept delta": Deal.accept_delta,
    "reconcile": Deal.reconcile,
    "stock": lambda deal: deal.stock(deltas=1),
    "bundle": Deal.bundle,
    "cut over": Deal.cut_alone,
    "finish": Deal.finish,
}
"""The same as ``_whole``, in the same order."""


def _database(url: str) -> str:
    return url.split("?")[0].rpartition("/")[2]


def _state(deal: Deal) -> dict[str, Any]:
    """Return what must be the same after any kill; random names and tokens are left out."""
    store, settings = deal.world.store, deal.world.night.settings
    # As every command does at its end.
    journal.sequence(store, deal.world.now)
    journal.verify(store, deal.verifier)
    with store.begin("safehands_backup") as connection:
        bodies = [json.loads(b) for b in connection.execute(text(_BODIES)).scalars()]
    events = Counter(f"{b['event']} {b['facts'].get('key', '')}" for b in bodies)
    people = {
        code: sorted(row["record"]["phone"] for row in deal.world.people(code)) for code in "AB"
    }
    return {
        "digest": store_digest(store),
        "people": people,
        "census": deal.world.census(),
        "events": dict(sorted(events.items())),
        "state": deal.state(),
        "keys": sorted(store.provider.names("epoch") + store.provider.names("handover")),
        "left": sorted(p.name for p in settings.home.glob(".*partial")),
    }


@pytest.fixture(scope="module")
def stage(cluster: Any, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(cluster, policy, tmp_path_factory.mktemp("kill") / "home")


@pytest.fixture(scope="module")
def steps(cluster: Any, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Another stage, which goes from step to step."""
    return Stage(cluster, policy, tmp_path_factory.mktemp("kill") / "home")


def test_a_killed_transfer_done_again_is_an_undisturbed_one(stage: Stage) -> None:
    home, url = stage.fresh()
    code, calm = stage.run(home, url, None)
    assert code == 0
    assert calm["state"]["state"] == "cut_over"
    again, second = stage.run(home, url, None)
    assert again == 0
    assert second["state"] == calm["state"], "a second run changed something"
    stage.drop(home, url)
    whole = calm["points"]
    step = whole // SAMPLES
    for die_at in range(step // 2 + 1, whole + 1, step):
        home, url = stage.fresh()
        code, _ = stage.run(home, url, die_at)
        assert code == -signal.SIGKILL, die_at
        again, found = stage.run(home, url, None)
        assert again == 0, f"after a kill at point {die_at} of {whole}"
        assert found["state"] == calm["state"], f"point {die_at} of {whole}"
        stage.drop(home, url)


@pytest.mark.parametrize("step", [name for name in STEPS if name != "change"])
def test_a_killed_step_done_again_is_an_undisturbed_one(steps: Stage, step: str) -> None:
    calm = steps.before(step)
    whole = calm["points"]
    for die_at in range(1, whole + 1) if TORTURE else {whole // 3 + 1, whole}:
        if TORTURE:
            print(f"\r{step}: killed at point {die_at} of {whole}", end="", flush=True)  # noqa: T201
        home, url = steps.fresh()
        code, _ = steps.run(home, url, die_at, step)
        assert code == -signal.SIGKILL, die_at
        again, found = steps.run(home, url, None, step)
        assert again == 0, f"after a kill at point {die_at} of {whole}"
        assert found["state"] == calm["state"], f"point {die_at} of {whole}"
        steps.drop(home, url)
