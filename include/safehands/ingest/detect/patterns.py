"""What cells look like without saying what they are: masked patterns with their shares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["mask_pattern", "patterns", "shown"]

_MOBILE = re.compile(r"(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}")
_RUNS = re.compile(r"\d+|[A-Za-z]+|[\u3400-\u9fff\U00020000-\U0003ffff]+|\s+|.", re.DOTALL)
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_KEPT = frozenset("-./:()+*@#,_转")
_SHORT = 4
_RARE = 0.05


def mask_pattern(cell: str) -> str:
    """Return the shape of one cell: digits as ``x``, letters ``A``, Chinese characters ``字``.

    Longer runs are counted: ``x{13}``. Nothing of the cell but its punctuation is left.
    """
    if _MOBILE.fullmatch(cell):
        return "1xx-xxxx-xxxx"
    shapes = [_shape(run) for run in _RUNS.findall(cell)]
    short = shapes if len(shapes) <= 12 else [*shapes[:12], "…"]
    return "".join(short)


def _shape(run: str) -> str:
    if run[0] in _KEPT and len(run) == 1:
        return run
    if run.isspace():
        return " "
    if run[0].isdecimal():
        return _times("x", len(run))
    if run[0].isascii() and run[0].isalpha():
        return _times("A", len(run))
    return _times("字", len(run)) if _HAN.match(run) else "·"


def _times(sign: str, count: int) -> str:
    return sign * count if count <= _SHORT else f"{sign}{{{count}}}"


def patterns(cells: Sequence[str], most: int = 3) -> tuple[tuple[str, float], ...]:
    """Return up to ``most`` frequent shapes and their shares; rare ones are one ``other``.

    Texts of different lengths count as one shape, so that no single cell stands out.
    """
    if not cells:
        return ()
    counts = Counter(_folded(mask_pattern(cell)) for cell in cells)
    usual = [(s, n) for s, n in counts.most_common(most) if n / len(cells) >= _RARE]
    rest = len(cells) - sum(n for _, n in usual)
    found = [(shape, n / len(cells)) for shape, n in usual]
    return (*found, *([("…", rest / len(cells))] if rest else []))


def _folded(shape: str) -> str:
    # An address or a remark has a shape of its own; only what it is made of is told.
    if len(shape) <= 16:
        return shape
    made_of = re.sub(r"(.)(?:\1+|\{\d+\})", r"\1", shape)
    return made_of[:6] + "…"


def shown(found: Iterable[tuple[str, float]]) -> str:
    """Return patterns as they are printed: ``1xx-xxxx-xxxx 98 %, … 2 %``."""
    return ", ".join(f"{shape} {round(100 * share)} %" for shape, share in found) or "-"
