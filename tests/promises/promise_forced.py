"""Errors by force: in each step one inner function raises and quotes people.

The error carries what the function was given, the planted people, a note and a cause: the ways in
which a library's error quotes cells.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any, NoReturn

import pyarrow as pa

from safehands import guard
from safehands.sample.canaries import CANARIES

__all__ = ["STEPS", "forced"]

_INNER = {
    "ingest": ("safehands.ingest.ingest", "FileReader._raw"),
    "validate": ("safehands.validate.step", "_Bench.judge"),
    "minimise": ("safehands.minimise.step", "_district"),
    "pseudonymise": ("safehands.pseudonymise.step", "_sightings"),
    "purge": ("safehands.purge.step", "_apply"),
    "backup": ("safehands.backup.step", "_keep"),
    "report": ("safehands.report.step", "compose"),
    # Last: in Airflow the report is written although the proof failed, and written once.
    "prove": ("safehands.erasure.proving", "_open_turns"),
}
STEPS = tuple(_INNER)


@contextmanager
def forced(step: str, filtered: bool = True) -> Iterator[None]:
    """Make ``step`` fail; an empty name forces nothing. Unfiltered: the control of the search."""
    changes: list[tuple[Any, str, Any]] = []
    if step:
        module, path = _INNER[step]
        *outer, name = path.split(".")
        owner: Any = reduce(getattr, outer, importlib.import_module(module))
        changes.append((owner, name, _quoting))
    if not filtered:
        changes.append((guard, "guarded", _straight_through))
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(changes: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in changes:
        setattr(owner, name, value)


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
