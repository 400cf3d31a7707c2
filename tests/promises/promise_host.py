"""A process with all imports done that forks a child for each job it reads from its input.

A job is one line of JSON: ``task`` (a function below), its arguments, ``out`` and ``err`` (files
for the child's output), ``result`` (file for what the task returns). The answer is one line: the
child's exit code, negative for a signal, as ``subprocess`` has it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import great_expectations  # noqa: F401 - what the steps import late
from promise_forced import forced
from promise_points import Faults, Points
from promise_repository import repository
from sqlalchemy import text

from safehands import cli, journal, pipeline, show, steps, workers  # noqa: F401
from safehands.errors import SafehandsError
from safehands.sample.canaries import write_canary_landing
from safehands.settings import Settings
from safehands.status import status
from safehands.validate import verdicts  # noqa: F401


def canaries(landing: str, day: str, broken: bool) -> None:
    """Write the landing folder with the planted people."""
    write_canary_landing(Path(landing), date.fromisoformat(day), broken)


def command(argv: list[str], environ: dict[str, str], force: str, filtered: bool) -> None:
    """Do what ``safehands …`` does, with an error by force and with or without the filter."""
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["safehands", *argv]
    with forced(force, filtered):
        cli.main()


def nights(
    settings: dict[str, str],
    day: str,
    at: str,
    die_at: int | None,
    times: int,
    how: str = "killed",
) -> dict[str, Any]:
    """Do the night ``times`` times; return the points passed and the state after each."""
    points = Points(die_at) if how == "killed" else Faults(die_at, how)
    points.install()
    if how != "killed":
        ended = _disturbed(Settings.read({}, **settings), day, datetime.fromisoformat(at))
        points.close()
        return ended
    moment = datetime.fromisoformat(at)
    states = []
    for _ in range(times):
        points.open = True
        states.append(_night(Settings.read({}, **settings), day, lambda: moment, points))
    return {"points": points.seen, "states": states}


def _disturbed(settings: Settings, day: str, moment: datetime) -> dict[str, Any]:
    """Do a night in which something fails; whatever it raises, it is told."""
    error = ""
    try:
        inst = pipeline.open_installation(settings, lambda: moment)
        pipeline.nightly(inst, date.fromisoformat(day), lambda step, shard, event: None)
    except Exception as problem:  # noqa: BLE001 - the next night has to bring all in order
        error = type(problem).__name__
    return {"error": error}


def _night(settings: Settings, day: str, clock: pipeline.Clock, points: Points) -> dict[str, Any]:
    exit_code = 0
    inst = pipeline.open_installation(settings, clock)
    try:
        pipeline.nightly(inst, date.fromisoformat(day), lambda step, shard, event: None)
    except SafehandsError as error:
        exit_code = error.exit_code
    points.close()
    try:
        return {"exit_code": exit_code, **_state(inst)}
    finally:
        inst.close()


def _state(inst: pipeline.Installation) -> dict[str, Any]:
    """Return what must be the same after any kill, and what must not be left over."""
    journal.verify(inst.store, journal.signing_key(inst.provider).verifier)
    found = status(inst)
    with inst.store.admin().begin() as connection:
        tables = [row[0] for row in connection.execute(text(_TABLES))]
        rows = {t: connection.execute(text(f"SELECT count(*) FROM {t}")).scalar() for t in tables}
        loose = connection.execute(text(_UNNUMBERED)).scalar()
        misrecorded = connection.execute(text(_MISRECORDED)).scalar()
        recorded = {str(row[0]) for row in connection.execute(text(_RECORDED))}
    repository = _below(inst.settings.backups)
    return {
        "store_digest": found["store_digest"],
        "checkpoint": found["checkpoint"],
        "objects": [rows.pop("backup_object"), rows.pop("backup_reference")],
        "misrecorded": misrecorded,
        "checkpoints": rows.pop("ledger_checkpoint"),
        "rows": rows,
        "unnumbered": loose,
        "repository": {name: sum(f.startswith(name) for f in repository) for name in _FOLDERS},
        "not_in_repository": sorted(recorded - repository),
        "not_recorded": sorted(n for n in repository - recorded if not n.startswith("prunes/")),
        "keys": sorted(_below(inst.settings.keys) | _below(inst.settings.keys_second)),
        "work": sorted(_below(inst.settings.work)),
        "other": sorted(
            name
            for name in _below(inst.settings.home)
            if name.split("/")[0] not in {"postgres", "backups", "keys", "keys-second", "work"}
        ),
    }


def _below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


_FOLDERS = ("keys", "manifests", "prunes", ".")
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') AND relname <> 'alembic_version' ORDER BY 1"
)
_UNNUMBERED = "SELECT count(*) FROM ledger_entry WHERE seq IS NULL"
# A generation needs one object for each of its parts, and each of them is recorded.
_MISRECORDED = (
    "SELECT count(*) FROM backup b WHERE prune_id IS NULL AND (facts ->> 'parts')::int <>"
    " (SELECT count(*) FROM backup_reference r JOIN backup_object o USING (object)"
    " WHERE r.manifest = b.manifest)"
)
_RECORDED = (
    "SELECT manifest FROM backup WHERE prune_id IS NULL"
    " UNION SELECT object FROM backup_object UNION SELECT k ->> 'name'"
    " FROM (SELECT facts FROM backup ORDER BY id DESC LIMIT 1) b,"
    " jsonb_array_elements(b.facts -> 'keys') k"
)
_TASKS: dict[str, Callable[..., Any]] = {
    "canaries": canaries,
    "command": command,
    "nights": nights,
    "repository": repository,
}


def main() -> None:
    """Fork a child per job until the input ends."""
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_the_child(job)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _be_the_child(job: Mapping[str, Any]) -> None:
    """Do the job and end the process; nothing of the parent's own goes on in the child."""
    code = 1
    try:
        _redirect(job["out"], job["err"])
        result = _TASKS[job["task"]](**job["arguments"])
        Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the end of a process, as the interpreter does it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(out: str, err: str) -> None:
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), number)


if __name__ == "__main__":
    main()
