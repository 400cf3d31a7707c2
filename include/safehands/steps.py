"""One step of a night by hand: the record of the step before it is picked up from the work folder.

The records hold ids, digests and counts, never a value, and lie in the home folder, by default
beside the encrypted artifacts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from safehands import pipeline
from safehands.datasets import Handoff, Outcome
from safehands.errors import PolicyError
from safehands.installation import Installation
from safehands.messages import say

__all__ = ["do"]

_BEFORE = {"validate": "ingest", "minimise": "validate", "pseudonymise": "minimise"}
_Chain = Callable[[Installation, pipeline.Head, Handoff], Handoff]
_SHARDED: dict[str, _Chain] = {
    "validate": pipeline.validate,
    "minimise": pipeline.minimise,
    "pseudonymise": pipeline.pseudonymise,
}
_WHOLE: dict[str, Callable[[Installation, pipeline.Head], Outcome]] = {
    "purge": pipeline.purge,
    "backup": pipeline.backup,
    "prove": pipeline.prove,
    "report": pipeline.report,
}


def do(inst: Installation, step: str, day: date) -> Iterator[str]:
    """Do ``step`` for all shards of the night of ``day``; yield a line for each.

    Raises ``PolicyError`` when the step before it was not done yet.
    """
    head, lang = pipeline.Head.of(day), inst.settings.lang
    if step in _WHOLE:
        outcome = _WHOLE[step](inst, head)
        yield _line(lang, step, head.run, {**outcome.counts})
        return
    done = _ingest(inst, head) if step == "ingest" else _chain(inst, head, step)
    for handoff in done:
        _keep(inst, handoff)
        yield _line(lang, step, handoff.shard.label, dict(handoff.counts))
        for problem in handoff.problems.values():
            yield "  ✗ " + say(problem.key, lang, **problem.params)


def _ingest(inst: Installation, head: pipeline.Head) -> Iterator[Handoff]:
    return (
        pipeline.ingest(inst, head, shard)
        for shard in pipeline.plan(inst, head.business_date).shards
    )


def _chain(inst: Installation, head: pipeline.Head, step: str) -> Iterator[Handoff]:
    folder = _folder(inst, head.run)
    waiting = sorted(folder.glob(f"*.{_BEFORE[step]}.json"))
    if not waiting:
        raise PolicyError("cli.step_before", step=step, before=_BEFORE[step])
    for path in waiting:
        before = Handoff.from_dict(json.loads(path.read_text(encoding="utf-8")))
        yield _SHARDED[step](inst, head, before)
        path.unlink()


def _keep(inst: Installation, handoff: Handoff) -> None:
    folder = _folder(inst, handoff.run)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{handoff.shard.key}.{handoff.step}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(handoff.as_dict()), encoding="utf-8")
    os.replace(partial, path)


def _folder(inst: Installation, run: str) -> Path:
    return inst.settings.home / "work" / run / "records"


def _line(lang: str, step: str, what: str, counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} {number:,}" for name, number in counts.items())
    return f"{say(f'step.{step}', lang)} · {what} · {shown}"
