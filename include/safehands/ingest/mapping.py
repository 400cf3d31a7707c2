"""Confirmed source policies at the door: which one a table has, and its columns by it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from safehands.ingest.tables import Line, letter
from safehands.policy import Policy
from safehands.sourcepolicy import IGNORE, SourcePolicy

__all__ = ["fingerprint", "mapped", "nameless_fingerprint", "positions"]


def fingerprint(cleaned: Sequence[str]) -> str:
    """Return what a header is found again by: a digest of its cleaned wordings, in their order."""
    used = "\x1f".join(cleaned).rstrip("\x1f")
    return hashlib.sha256(used.encode()).hexdigest()[:16]


def nameless_fingerprint(head: Sequence[Line]) -> str:
    """Return the fingerprint of a table without a header: its usual number of columns."""
    widths = Counter(len(line.cells) for line in head)
    usual = max(widths, key=lambda width: widths[width], default=0)
    return hashlib.sha256(f"no header, {usual} columns".encode()).hexdigest()[:16]


def mapped(
    head: Sequence[Line], cleaned: Sequence[Sequence[str]], policy: Policy, station: str
) -> tuple[SourcePolicy, int] | None:
    """Return the station's confirmed source policy for a table, and the position of its header.

    ``cleaned``: the wordings of the rows that may be the header. The position is -1 where the
    table has none. None: nothing was confirmed for such a table.
    """
    known = {s.fingerprint: s for s in policy.mappings if s.station == station}
    if not known:
        return None
    for position, cells in enumerate(cleaned):
        source = known.get(fingerprint(cells))
        if source is not None and source.header:
            return source, position
    source = known.get(nameless_fingerprint(head))
    return None if source is None or source.header else (source, -1)


def positions(source: SourcePolicy, width: int) -> dict[int, str]:
    """Return the columns that are read: position → field."""
    letters = {letter(position): position for position in range(width)}
    return {
        letters[column]: rule.field
        for column, rule in source.columns.items()
        if column in letters and rule.field != IGNORE
    }
