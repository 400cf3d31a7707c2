"""Shards side by side in worker processes, for the command line; Airflow has workers of its own.

The workers are forked from a server process that has the heavy imports done and holds no
database connection, lock or thread of this one.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from threading import Thread
from typing import Any

from safehands.errors import StepFailed

__all__ = ["Event", "spread", "warm_up"]

Event = tuple[str, str, str]

_events: SimpleQueue[Event | None] | None = None


def spread(
    work: Callable[[Any, Callable[[str, str, str], None]], Any],
    jobs: Sequence[Any],
    workers: int,
    tell: Callable[[str, str, str], None],
    preload: Sequence[str],
) -> list[Any]:
    """Return ``work(job, tell)`` for each job, in order, using up to ``workers`` processes.

    ``work`` must be importable and its result picklable; it should return errors rather than
    raise them. ``preload`` names modules that the workers find imported.

    Raises ``StepFailed`` when a worker ends unasked: killed, or out of memory.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    events: SimpleQueue[Event | None] = context.SimpleQueue()
    listener = Thread(target=_forward, args=(events, tell), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(events,))
    try:
        with pool:
            return list(pool.map(_do, [(work, job) for job in jobs]))
    except BrokenProcessPool:
        raise StepFailed("step.worker_gone", workers=workers) from None
    finally:
        events.put(None)
        listener.join()


def _begin(events: SimpleQueue[Event | None]) -> None:
    global _events
    _events = events


def _do(task: tuple[Callable[[Any, Callable[[str, str, str], None]], Any], Any]) -> Any:
    work, job = task
    return work(job, _report)


def _report(step: str, shard: str, event: str) -> None:
    if _events is not None:
        _events.put((step, shard, event))


def _forward(events: SimpleQueue[Event | None], tell: Callable[[str, str, str], None]) -> None:
    while (event := events.get()) is not None:
        tell(*event)


def warm_up(preload: Sequence[str]) -> None:
    """Start the server process and let it import ``preload``, so that later work need not."""
    spread(_nothing, [None], 1, _nothing, preload)


def _nothing(*_: Any) -> None:
    return None
