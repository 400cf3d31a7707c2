"""What the moving table makes of the states of a run's tasks."""

from __future__ import annotations

import io
from threading import Event

import pytest
from rich.console import Console

from safehands.messages import say
from safehands_airflow.watch import STEPS, TaskState, Watch, kind_of


def states(*given: str) -> list[TaskState]:
    return [TaskState("ingest", f"owner-{n}: S{n}", state) for n, state in enumerate(given)]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((), "waiting"),
        (("",), "waiting"),
        (("queued", "scheduled"), "waiting"),
        (("queued", "running"), "running"),
        (("success", "queued"), "running"),
        (("up_for_retry",), "running"),
        (("success", "skipped"), "done"),
        (("success", "failed"), "failed"),
        (("upstream_failed",), "failed"),
        (("failed", "running"), "running"),
    ],
)
def test_a_steps_instances_amount_to_one_kind(given: tuple[str, ...], kind: str) -> None:
    assert kind_of(states(*given)) == kind


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_table_names_every_step_and_the_shard_at_work(lang: str) -> None:
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=True, width=120)
    watch = Watch(console, lang)
    over = Event()
    over.set()
    watch.follow(lambda: states("success", "running"), over, 0.01)
    shown = paper.getvalue()
    assert all(say(f"step.{step}", lang) in shown for step in STEPS)
    assert "owner-1: S1" in shown
    assert "1/2" in shown


def test_nothing_is_printed_without_a_terminal() -> None:
    paper = io.StringIO()
    over = Event()
    over.set()
    Watch(Console(file=paper), "en").follow(lambda: states("running"), over, 0.01)
    assert paper.getvalue().strip() == ""
