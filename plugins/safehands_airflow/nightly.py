"""``make nightly``: one night in Airflow, shown while it runs and told at the end.

``python -m safehands_airflow.nightly [--landing DIR] [--date YYYY-MM-DD] [--lang zh|en]``

When ``make up`` runs, the night is triggered through its API like any other; otherwise the same DAG
runs inside this process, on the same databases, without any server. The exit code is that of the
first problem, 0 when there is none.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console

from safehands.errors import SafehandsError, SetupProblem
from safehands.installation import Installation, open_installation
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.settings import Settings
from safehands_airflow import components, home

if TYPE_CHECKING:
    from safehands_airflow.watch import TaskState

__all__ = ["DAG", "main", "run"]

DAG = "nightly_governance"

_FAILED_WITHOUT_NOTICE = 90


@dataclass(frozen=True)
class Result:
    """How a run ended: Airflow's id of it, its state and the last picture of its tasks."""

    run: str
    state: str
    tasks: tuple[TaskState, ...]


def main(arguments: list[str] | None = None) -> int:
    """Do the night of the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    given = {k: v for k, v in vars(options).items() if k != "date" and v}
    lang = given.get("lang", "en")
    try:
        settings = Settings.read(os.environ, **given)
        lang = settings.lang
        return run(settings, os.environ, _day(options.date), _console())
    except SafehandsError as error:
        _complain(error.say(lang))
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run(settings: Settings, environ: Mapping[str, str], day: date, console: Console) -> int:
    """Do one night and print it; return 0 or the exit code of the first problem.

    Lays the sample exports when nobody named a landing folder and nobody's files are in it.
    """
    with _alone(settings):
        inst = open_installation(settings, lambda: datetime.now(UTC))
        try:
            _lay_sample(settings, day, console)
            before = _checkpoint(inst)
            done = _govern(settings, environ, day, console)
            return _tell(inst, day, done, before, console)
        finally:
            inst.close()


def _govern(settings: Settings, environ: Mapping[str, str], day: date, console: Console) -> Result:
    conf = {"business_date": day.isoformat(), "landing": str(settings.landing)}
    running = components.read_running(home.airflow_home(settings))
    if running is not None:
        from safehands_airflow.remote import govern_remote

        return Result(*govern_remote(DAG, settings, running["port"], conf, console))
    from safehands_airflow.local import govern_here

    return Result(*govern_here(DAG, settings, home.prepare(settings, environ), conf, console))


# What is told


def _checkpoint(inst: Installation) -> str:
    from safehands import pipeline

    return pipeline.checkpoint(inst)


def _tell(inst: Installation, day: date, done: Result, before: str, console: Console) -> int:
    from safehands import pipeline, show
    from safehands_airflow.board import notices_of

    lang = inst.settings.lang
    problems = notices_of(inst.settings, done.run)
    if not any(problem["step"] == "plan" for problem in problems):
        show.night(inst, pipeline.Head.of(day), lang, console)
    if done.state == "success" and not _worked(done):
        same = pipeline.checkpoint(inst) == before
        console.print(say("show.nothing_new" if same else "show.no_files", lang), soft_wrap=True)
    for problem in problems:
        _print_problem(problem, lang, console)
    if done.state == "success":
        return 0
    return int(problems[0]["exit_code"]) if problems else _FAILED_WITHOUT_NOTICE


def _worked(done: Result) -> bool:
    return any(task.step == "ingest" and task.state != "skipped" for task in done.tasks)


def _print_problem(problem: Mapping[str, Any], lang: str, console: Console) -> None:
    where = " · ".join(part for part in (problem["step"], problem["shard"]) if part)
    console.print(f"✗ {where}", style="bold red", highlight=False, soft_wrap=True)
    console.print(problem[lang], highlight=False, soft_wrap=True, markup=False)
    console.print(problem["todo"][lang], style="dim", highlight=False, soft_wrap=True)


# What comes before


def _lay_sample(settings: Settings, day: date, console: Console) -> None:
    """Lay the sample into the installation's own landing folder, unless somebody uses that."""
    from safehands.sample import write_sample
    from safehands.sample.landing import MARKER

    landing = settings.landing
    if landing != settings.home / "landing":
        return
    if landing.is_dir() and any(landing.iterdir()) and not (landing / MARKER).exists():
        return
    write_sample(landing, day)
    console.print(
        say("airflow.sample", settings.lang, folder=str(landing)), style="dim", soft_wrap=True
    )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let one ``make nightly`` run at a time: a second one waits and then finds nothing to do."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    handle = os.open(settings.home / "nightly.lock", flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="safehands_airflow.nightly")
    parser.add_argument("--landing", default="")
    parser.add_argument("--date", default="")
    parser.add_argument("--lang", choices=LANGUAGES)
    return parser


def _day(text: str) -> date:
    if not text:
        return datetime.now(SHANGHAI).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SetupProblem("airflow.bad_date") from None


def _console() -> Console:
    # A copy of the output: the original is turned away to a log file while Airflow works.
    return Console(file=os.fdopen(os.dup(1), "w", encoding="utf-8"))


def _complain(text: str) -> None:
    Console(stderr=True).print(f"✗ {text}", style="bold red", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
