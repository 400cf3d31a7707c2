"""Jobs side by side: results in order, events as they happen, nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from safehands.errors import BadInput, SafehandsError, StepFailed
from safehands.workers import spread

Tell = Callable[[str, str, str], None]


def slow_first(job: int, tell: Tell) -> tuple[int, int]:
    tell("work", str(job), "start")
    time.sleep(0.2 if job == 0 else 0)
    tell("work", str(job), "done")
    return job * job, os.getpid()


def problem(job: int, tell: Tell) -> SafehandsError | None:
    return BadInput("ingest.truncated", file="a.csv", row=job) if job == 1 else None


def explode(job: int, tell: Tell) -> None:
    tell("work", str(job), "start")
    if job:
        raise RuntimeError("job failed")


def vanish(job: int, tell: Tell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def chatter(job: int, tell: Tell) -> None:
    for i in range(500):
        tell("work", str(job), str(i))


def silent(*_: Any) -> None:
    return None


def test_results_are_in_order_and_made_elsewhere() -> None:
    events: list[tuple[str, str, str]] = []
    results = spread(slow_first, range(4), 2, lambda *e: events.append(e), ())
    assert [square for square, _ in results] == [0, 1, 4, 9]
    makers = {pid for _, pid in results}
    assert os.getpid() not in makers
    assert len(makers) == 2
    assert sorted(events) == sorted(
        ("work", str(i), e) for i in range(4) for e in ("start", "done")
    )
    assert events.index(("work", "1", "done")) < events.index(("work", "0", "done"))


def test_a_returned_error_comes_back_whole() -> None:
    first, second = spread(problem, [0, 1], 2, silent, ())
    assert first is None
    assert isinstance(second, BadInput)
    assert (second.key, second.params) == ("ingest.truncated", {"file": "a.csv", "row": 1})


def test_every_event_has_arrived_when_it_returns() -> None:
    events: list[tuple[str, ...]] = []
    spread(chatter, [0, 1, 2], 2, lambda *e: events.append(e), ())
    assert len(events) == 1500
    for job in "012":
        assert [e[2] for e in events if e[1] == job] == [str(i) for i in range(500)]


def test_a_job_that_raises_ends_the_work_and_leaves_nothing_running() -> None:
    events: list[tuple[str, ...]] = []
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="job failed"):
        spread(explode, [0, 1], 2, lambda *e: events.append(e), ())
    assert ("work", "0", "start") in events
    assert threading.active_count() == threads
    assert multiprocessing.active_children() == []


def test_no_jobs_are_no_results() -> None:
    assert spread(slow_first, [], 2, silent, ()) == []


def test_a_worker_that_is_killed_is_a_problem_with_a_name() -> None:
    with pytest.raises(StepFailed) as caught:
        spread(vanish, [0, 1], 2, lambda *_: None, [])
    assert caught.value.key == "step.worker_gone"
    assert "SAFEHANDS_WORKERS" in caught.value.say("en")
