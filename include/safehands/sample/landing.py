"""Putting made files into a landing folder, without ever touching anybody else's.

The marker ``.sample.json`` lists what was written, with digests. It is written before the files
are (then ``complete`` is false) and after, so that a kill in between leaves nothing unaccounted
for. A file of ours that somebody changed is theirs from then on: neither replaced nor removed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safehands.errors import SetupProblem

__all__ = ["MARKER", "find_laid", "lay"]

MARKER = ".sample.json"


def find_laid(landing: Path, stamp: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the facts stored with the sample of ``stamp``, if all of its files are there."""
    marker = _read(landing)
    if marker.get("stamp") != dict(stamp) or not marker.get("complete"):
        return None
    there = all((landing / path).exists() for path in marker["files"])
    facts: dict[str, Any] = marker["facts"]
    return facts if there else None


def lay(
    landing: Path, files: Mapping[str, bytes], stamp: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write ``files`` (relative path → bytes) and remove those of an earlier sample.

    Raises ``SetupProblem`` when somebody else's file has one of the names, before writing any.
    """
    earlier: dict[str, list[str]] = _read(landing).get("files", {})
    fresh = {path: _digest(content) for path, content in files.items()}
    state = {path: _look(landing / path, earlier.get(path, []), fresh[path]) for path in files}
    for path, found in state.items():
        if found == "foreign":
            raise SetupProblem("sample.in_the_way", file=path)
    names = {*earlier, *fresh}
    known = {p: sorted({*earlier.get(p, []), *([fresh[p]] if p in fresh else [])}) for p in names}
    landing.mkdir(parents=True, exist_ok=True)
    _write_marker(landing, known, stamp, facts, complete=False)
    for path, content in files.items():
        if state[path] in {"absent", "ours"}:
            _put(landing / path, content)
    for path in earlier.keys() - fresh.keys():
        _remove(landing / path, earlier[path])
    _write_marker(landing, {p: [d] for p, d in fresh.items()}, stamp, facts, complete=True)


def _look(path: Path, ours: list[str], fresh: str) -> str:
    if not path.exists():
        return "absent"
    digest = _digest(path.read_bytes())
    if digest == fresh:
        return "same"
    if digest in ours:
        return "ours"
    return "changed" if ours else "foreign"


def _remove(path: Path, ours: list[str]) -> None:
    if path.is_file() and _digest(path.read_bytes()) in ours:
        path.unlink()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(landing: Path) -> dict[str, Any]:
    try:
        marker = json.loads((landing / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _write_marker(
    landing: Path,
    files: Mapping[str, list[str]],
    stamp: Mapping[str, Any],
    facts: Mapping[str, Any],
    complete: bool,
) -> None:
    body = {"stamp": dict(stamp), "complete": complete, "files": dict(files), "facts": dict(facts)}
    text = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True)
    _put(landing / MARKER, text.encode("utf-8"))


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names that start with a dot are not picked up as exports while they are half written.
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
