"""Errors by force: in each step one inner function raises and quotes people.

The error carries what the function was given, the planted people, a note and a cause: the ways in
which a library's error quotes cells.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NoReturn

import pyarrow as pa

from safehands import guard
from safehands.sample.canaries import CANARIES

__all__ = ["STEPS", "force", "take_the_filter_off"]

_INNER = {
    "ingest": ("safehands.ingest.ingest", "_FileReader._raw"),
    "validate": ("safehands.validate.step", "_Bench.judge"),
    "minimise": ("safehands.minimise.step", "_district"),
    "pseudonymise": ("safehands.pseudonymise.step", "_sightings"),
    "purge": ("safehands.purge.step", "_apply"),
    "backup": ("safehands.backup.step", "_keep"),
    "report": ("safehands.report.step", "compose"),
}
STEPS = tuple(_INNER)


def force(step: str) -> None:
    """Make ``step`` fail in this process from now on; an empty name forces nothing."""
    if step:
        module, path = _INNER[step]
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        assert callable(getattr(owner, name))
        setattr(owner, name, _quoting)


def take_the_filter_off() -> None:
    """Let every error through as it is: the control of the search."""
    guard.guarded = _straight_through


def _straight_through(step: str, work: Callable[[], Any]) -> Any:
    return work()


def _quoting(*args: Any, **kwargs: Any) -> NoReturn:
    people = "; ".join(" ".join(canary.values()) for canary in CANARIES)
    given = " ".join(_spelled(value) for value in (*args, *kwargs.values()))
    error = ValueError(f"cannot use {people} {given}")
    error.add_note(people)
    raise error from KeyError(people)


def _spelled(value: Any) -> str:
    """Return all text in tables, columns, mappings and lists of them."""
    if isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        return str(value.to_pylist())
    if isinstance(value, dict):
        return _spelled(list(value.values()))
    if isinstance(value, list | tuple):
        return " ".join(_spelled(item) for item in value)
    columns = getattr(value, "columns", None)
    return _spelled(columns) if isinstance(columns, dict | list | tuple) else str(value)
