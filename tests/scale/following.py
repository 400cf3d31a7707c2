"""Follow a run through Airflow's API, and ``kill -9`` the worker that is amid a step."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from stack import Stack

from safehands.errors import SetupProblem
from safehands_airflow.api import Api

__all__ = ["Followed", "asked", "follow"]

_LOOK_SECONDS, _ATTEMPTS = 0.25, 10
_FINAL = ("success", "failed")
# A task that has nothing to do is skipped.
_DONE = ("success", "skipped")


@dataclass
class Followed:
    """How a run went. ``recovered``: seconds from the kill in a step to that task's end."""

    state: str = ""
    seconds: float = 0.0
    workers: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    noticed: dict[str, float] = field(default_factory=dict)
    recovered: dict[str, float] = field(default_factory=dict)
    instances: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> str:
        """Return the figures as text."""
        kills = [
            f"  killed in {step}: running again after {self.noticed.get(step, -1):.1f} s,"
            f" done after {seconds:.1f} s"
            for step, seconds in self.recovered.items()
        ]
        lines = [f"{self.state} in {self.seconds:.1f} s, tasks by worker {self.workers}", *kills]
        return "\n".join(lines)


@dataclass
class _Kill:
    task: tuple[str, int]
    at: float
    attempt: int


def follow(
    stack: Stack, dag: str, conf: dict[str, Any], kill_in: Iterable[str] = (), seconds: float = 900
) -> Followed:
    """Start a run and watch it to its end; kill the worker once in each step of ``kill_in``.

    A worker that was killed is started again, as compose would. Steps are named without their
    group. Raises ``AssertionError`` when the run takes longer than ``seconds``.
    """
    api = stack.api()
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(api.trigger(dag, conf), safe='')}"
    begun, wanted = time.monotonic(), list(kill_in)
    found, kills, seen = Followed(), dict[str, _Kill](), set[tuple[str, int, int]]()
    while True:
        run = asked(api, path)
        found.instances = asked(api, f"{path}/taskInstances?limit=200")["task_instances"]
        for one in found.instances:
            step = one["task_id"].rsplit(".", 1)[-1]
            attempt = (one["task_id"], one["map_index"], one["try_number"])
            worker = stack.worker_of(one["pid"]) if one["pid"] else ""
            if worker and attempt not in seen:
                seen.add(attempt)
                found.workers[worker] = found.workers.get(worker, 0) + 1
            if one["state"] == "running" and worker and step in wanted:
                wanted.remove(step)
                kills[step] = _Kill(attempt[:2], time.monotonic(), attempt[2])
                stack.kill(worker)
                stack.run("worker", int(worker.rsplit("-", 1)[-1]))
            _note(found, kills, step, one)
        found.state = run["state"]
        found.seconds = time.monotonic() - begun
        if found.state in _FINAL:
            break
        assert found.seconds < seconds, f"{found.told()}\n{_open(found.instances)}"
        time.sleep(_LOOK_SECONDS)
    assert not wanted, f"nobody was killed in {wanted}"
    found.failed = [t["task_id"] for t in found.instances if t["state"] not in _DONE]
    for one in found.instances:
        found.tasks[one["task_id"]] = found.tasks.get(one["task_id"], 0) + 1
    return found


def asked(api: Api, path: str) -> Any:
    """Ask again when nobody answers: a machine may be busy for longer than a request waits."""
    for _ in range(_ATTEMPTS):
        try:
            return api.get(path)
        except SetupProblem:
            time.sleep(_LOOK_SECONDS)
    return api.get(path)


def _note(found: Followed, kills: dict[str, _Kill], step: str, one: dict[str, Any]) -> None:
    kill = kills.get(step)
    if kill is None or kill.task != (one["task_id"], one["map_index"]):
        return
    if one["try_number"] <= kill.attempt or step in found.recovered:
        return
    if one["state"] in ("running", *_DONE):
        found.noticed.setdefault(step, time.monotonic() - kill.at)
    if one["state"] in _DONE:
        found.recovered[step] = time.monotonic() - kill.at


def _open(instances: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{one['task_id']}[{one['map_index']}] try {one['try_number']}: {one['state']}"
        for one in instances
        if one["state"] not in _DONE
    )
