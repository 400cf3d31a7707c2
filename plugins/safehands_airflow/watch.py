"""Watching a run: the states of its tasks as a moving table, fed by whoever can read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from safehands.messages import say

__all__ = ["STEPS", "TaskState", "Watch"]

STEPS = (
    *("plan", "ingest", "validate", "minimise", "pseudonymise"),
    *("purge", "backup", "prove", "report", "verdict", "close"),
)

_FAILED = {"failed", "upstream_failed"}
_DONE = {"success", "skipped", "removed", *_FAILED}
_MARKS = {"waiting": " ", "running": "▸", "done": "[green]✓[/]", "failed": "[red]✗[/]"}


@dataclass(frozen=True)
class TaskState:
    """One task instance: the step, the shard's label or "", and Airflow's state."""

    step: str
    shard: str
    state: str


States = Callable[[], Iterable[TaskState]]


class Watch:
    """Shows the steps of one run on ``console``; without a terminal it prints nothing."""

    def __init__(self, console: Console, lang: str) -> None:
        self._lang = lang
        self._progress = Progress(
            TextColumn("{task.fields[mark]}"),
            TextColumn("{task.description}"),
            BarColumn(24),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("{task.fields[shard]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._rows: dict[str, TaskID] = {step: self._row(step) for step in STEPS}

    def follow(self, states: States, over: Event, seconds: float) -> None:
        """Show ``states()`` every ``seconds`` until ``over`` is set, and once more."""
        with self.shown():
            while not over.wait(seconds):
                self.show(states())
            self.show(states())

    def shown(self) -> Progress:
        """Return the context in which the table is on the screen."""
        return self._progress

    def show(self, states: Iterable[TaskState]) -> None:
        """Show one picture of the run."""
        by_step: dict[str, list[TaskState]] = {}
        for state in states:
            by_step.setdefault(state.step, []).append(state)
        for step, row in self._rows.items():
            self._update(row, by_step.get(step, []))

    def _row(self, step: str) -> TaskID:
        name = say(f"step.{step}", self._lang)
        return self._progress.add_task(name, start=False, total=1, mark=" ", shard="")

    def _update(self, row: TaskID, found: list[TaskState]) -> None:
        kind = kind_of(found)
        if kind != "waiting" and self._progress.tasks[row].start_time is None:
            self._progress.start_task(row)
        done = sum(state.state in _DONE for state in found)
        self._progress.update(
            row,
            completed=done,
            total=max(1, len(found)),
            mark=_MARKS[kind],
            shard=next((s.shard for s in found if s.state == "running"), ""),
        )
        if kind in {"done", "failed"}:
            self._progress.stop_task(row)


def kind_of(found: list[TaskState]) -> str:
    """Return what a step's instances amount to: waiting, running, done or failed."""
    counts = Counter(state.state for state in found)
    finished = bool(found) and all(state in _DONE for state in counts)
    if finished:
        return "failed" if any(state in _FAILED for state in counts) else "done"
    return "running" if counts.keys() & {"running", "success", "up_for_retry"} else "waiting"
