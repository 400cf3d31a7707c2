"""An erasure that is killed at any moment and done again is an undisturbed one.

A night with one request is done in a child that kills itself right before the n-th statement or
write; then the night is done again. Sampled points; ``SAFEHANDS_TORTURE=1`` takes every one.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from erasure_world import Scene, scene_of
from sqlalchemy import text

from minimised import PHONE, World, at, collected, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands import erasure, journal
from safehands.keys import FileProvider, RunKey
from safehands.ledger import verify_document
from safehands.night import Night
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.digest import store_digest

OTHER = "13900000002"
SAMPLES = 6
TORTURE = os.environ.get("SAFEHANDS_TORTURE") == "1"
POINTS = Path(__file__).resolve().parents[1] / "promises" / "promise_points.py"


def load_points() -> Any:
    """Return the module that counts moments; it belongs to the tests of promises."""
    spec = importlib.util.spec_from_file_location("promise_points", POINTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Stage:
    """A state to start from as often as needed: a home and a database with one open request."""

    server: Any
    base: Path
    template: str
    policy: Policy
    made: int = 0

    def fresh(self) -> tuple[Path, str]:
        """Return a copy of the home and the URL of a copy of the database."""
        self.made += 1
        home = self.base.with_name(f"home-{self.made}")
        shutil.copytree(self.base, home)
        name = f"{self.template}_{self.made}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY FILE_COPY")
        return home, self.server.url(name)

    def drop(self, home: Path, url: str) -> None:
        name = url.split("?")[0].rpartition("/")[2]
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        shutil.rmtree(home)

    def night(self, home: Path, url: str, die_at: int | None) -> tuple[int, dict[str, Any]]:
        """Do the night in a child; return how it ended and what it left, if it came so far."""
        result = home / "result.json"
        result.unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _in_child(lambda: _night(home, url, self.policy, die_at, result))
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


def _night(home: Path, url: str, policy: Policy, die_at: int | None, result: Path) -> None:
    scene = _scene(home, url, policy)
    points = load_points().Points(die_at)
    points.install()
    scene.finish()
    points.close()
    result.write_text(json.dumps({"points": points.seen, "state": _state(scene)}))
    scene.store.close()


def _scene(home: Path, url: str, policy: Policy) -> Scene:
    settings = Settings.read({}, home=str(home), lang="en", workers="1")
    store = Store(url, FileProvider(settings.keys, settings.keys_second))
    night = Night("nightly-test", BUSINESS_DATE, settings, policy, RunKey("t", b"k" * 32))
    return Scene(World(store, replace(night), NOW))


def _state(scene: Scene) -> dict[str, Any]:
    """Return what must be the same after any kill."""
    journal.verify(scene.store, scene.verifier)
    request = scene.request()
    settings = scene.night.settings
    document = verify_document(erasure.issue(scene.store, request), scene.verifier)
    (path,) = (settings.reports / "certificates").iterdir()
    verify_document(json.loads(path.read_text(encoding="utf-8")), scene.verifier)
    with scene.store.begin("safehands_backup") as connection:
        bodies = [json.loads(b) for b in connection.execute(text(_BODIES)).scalars()]
        steps = [[s, sorted(c.items())] for s, c in connection.execute(text(_STEPS))]
        waiting = connection.execute(text(_WAITING)).scalar()
    events = Counter(f"{b['event']} {b['facts'].get('state', '')}" for b in bodies)
    return {
        "digest": store_digest(scene.store),
        "census": scene.world.census(),
        "state": request.state,
        "counts": request.counts,
        "epoch": request.epoch,
        "not reached": document.body["not_reached"],
        "events": dict(sorted(events.items())),
        "steps": sorted(row for row in steps if row[0] != "backup"),
        "waiting": waiting,
        "keys": sorted(_below(settings.keys) | _below(settings.keys_second)),
        "generations": len(list((settings.backups / "manifests").iterdir())),
        "segments": len(list((settings.backups / "keys").iterdir())),
        "left": sorted(p for p in _below(settings.backups) if "partial" in p or "pending" in p),
    }


def _below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


@pytest.fixture(scope="module")
def stage(cluster: Any, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    home = tmp_path_factory.mktemp("kill") / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    for name in cluster.keys.glob("*.key"):
        shutil.copy2(name, home / "keys")
    url = cluster.clone()
    scene = scene_of(_scene(home, url, policy).world)
    for phone, number in ((PHONE, "1"), (OTHER, "2")):
        rows = [
            parcel(f"W{number}", at(2026, 11, 20), receiver_phone=phone),
            collected(f"C{number}", at(2026, 11, 1), receiver_phone=phone),
        ]
        wishes = [preference(at(2026, 11, 2), receiver_phone=phone)]
        scene.world.load(rows, preferences=wishes)
    scene.backup()
    scene.ask(PHONE)
    scene.store.close()
    name = url.split("?")[0].rpartition("/")[2]
    return Stage(cluster.server, home, name, policy)


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> dict[str, Any]:
    home, url = stage.fresh()
    code, found = stage.night(home, url, None)
    assert code == 0
    again, second = stage.night(home, url, None)
    assert again == 0
    assert second["state"] == found["state"], "a second run of the night changed something"
    stage.drop(home, url)
    return found


def test_the_undisturbed_night_is_what_it_should_be(undisturbed: dict[str, Any]) -> None:
    state = undisturbed["state"]
    assert state["state"] == "final"
    assert [name for name in state["keys"] if "epoch/A" in name] == ["epoch/A/2.key"]
    assert state["events"]["erasure final"] == state["events"]["epoch "] == 1
    assert state["waiting"] == 0
    assert undisturbed["points"] > 100


def test_a_killed_erasure_done_again_is_an_undisturbed_one(
    stage: Stage, undisturbed: dict[str, Any]
) -> None:
    whole = undisturbed["points"]
    step = 1 if TORTURE else whole // SAMPLES
    for die_at in range(step // 2 + 1, whole + 1, step):
        home, url = stage.fresh()
        code, _ = stage.night(home, url, die_at)
        assert code == -signal.SIGKILL, die_at
        again, found = stage.night(home, url, None)
        assert again == 0, f"after a kill at point {die_at} of {whole}"
        assert found["state"] == undisturbed["state"], f"point {die_at} of {whole}"
        stage.drop(home, url)


_BODIES = "SELECT body FROM ledger_entry ORDER BY id"
_STEPS = "SELECT step, counts FROM step_result"
_WAITING = "SELECT count(*) FROM outbox WHERE NOT done"
