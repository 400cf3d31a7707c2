"""Charts as SVG: the matrix before and after controls, sizes of groups, the trend over nights.

One drawing serves the page and the PDF: no style sheet, no script, nothing fetched. Numbers are
written beside every mark, so that no colour is needed to read one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from safehands.messages import say

__all__ = ["heat_map", "histogram", "trend"]

_FONTS = "Noto Sans CJK SC, Source Han Sans SC, Microsoft YaHei, PingFang SC, SimSun, sans-serif"
_LEVELS = {1: "#d9ead3", 2: "#fff2cc", 3: "#f6c89f", 4: "#e6a3a0"}
_INK, _SOFT, _BAR = "#1f2933", "#52606d", "#3d6f9e"
_MARKS = "①②③④"


def heat_map(document: Mapping[str, Any], lang: str) -> str:
    """Return the 4 × 4 matrix twice; each group of sources is a numbered mark in its cell."""
    left = _grid(document, document["before"], say("pipia.page.before", lang), lang, 0)
    right = _grid(document, document["after"], say("pipia.page.after", lang), lang, 330)
    return _svg(650, 300, [*left, *right], say("pipia.page.heat", lang))


def histogram(bands: Sequence[Sequence[Any]], lang: str) -> str:
    """Return a bar per size of group with the people in it; an empty text without people."""
    if not bands:
        return ""
    most = max((n for _, _, n in bands if isinstance(n, int)), default=0) or 1
    parts = []
    for place, (low, high, people) in enumerate(bands):
        top = 8 + place * 30
        width = 380 * people / most if isinstance(people, int) else 2
        label = f"{low}" if low == high else f"{low}–{high}" if high else f"≥ {low}"
        shown = f"{people:,}" if isinstance(people, int) else str(people)
        parts += [
            _text(80, top + 15, label, "end"),
            f'<rect x="90" y="{top}" width="{max(width, 1):.1f}" height="20" fill="{_BAR}"/>',
            _text(98 + max(width, 1), top + 15, shown),
        ]
    return _svg(650, 16 + 30 * len(bands), parts, say("pipia.page.histogram", lang))


def trend(nights: Sequence[Mapping[str, Any]], lang: str) -> str:
    """Return the smallest group k per night as a line; an empty text without nights."""
    if not nights:
        return ""
    most = max(max(n["k"] for n in nights), 5)
    wide = 560 / max(1, len(nights) - 1)
    points = [(60 + i * wide, 130 - 100 * n["k"] / most) for i, n in enumerate(nights)]
    least = 130 - 100 * 5 / most
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_BAR}"/>' for x, y in points]
    last = "end" if len(nights) > 1 else "start"
    parts = [
        f'<line x1="60" y1="130" x2="630" y2="130" stroke="{_SOFT}" stroke-width="1"/>',
        f'<line x1="60" y1="{least:.1f}" x2="630" y2="{least:.1f}" stroke="#b03a2e"'
        ' stroke-width="1" stroke-dasharray="4 3"/>',
        _text(52, least + 4, "k = 5", "end"),
        f'<polyline points="{line}" fill="none" stroke="{_BAR}" stroke-width="2"/>',
        *dots,
        _text(points[-1][0], points[-1][1] - 8, f"k = {nights[-1]['k']}", last),
        _text(60, 150, nights[0]["day"]),
    ]
    parts += [_text(630, 150, nights[-1]["day"], "end")] if len(nights) > 1 else []
    return _svg(650, 160, parts, say("pipia.page.trend", lang))


def _grid(
    document: Mapping[str, Any],
    risks: Sequence[Mapping[str, Any]],
    title: str,
    lang: str,
    left: int,
) -> list[str]:
    """Return one matrix: impact upwards, likelihood to the right."""
    names, cell = [risk["source"] for risk in document["after"]], 56
    parts = [_text(left + 62 + 2 * cell, 18, title, "middle", bold=True)]
    for impact in range(1, 5):
        top = 30 + (4 - impact) * cell
        parts.append(_text(left + 54, top + 32, document["levels"][str(impact)][lang], "end"))
        for likelihood in range(1, 5):
            x = left + 62 + (likelihood - 1) * cell
            level = document["cells"][str(impact)][likelihood - 1]
            marks = "".join(
                _MARKS[names.index(r["source"])]
                for r in risks
                if (r["impact"], r["likelihood"]) == (impact, likelihood)
            )
            parts += [
                f'<rect x="{x}" y="{top}" width="{cell}" height="{cell}" fill="{_LEVELS[level]}"'
                ' stroke="#ffffff" stroke-width="2"/>',
                _text(x + 5, top + 15, document["levels"][str(level)][lang], small=True),
                _text(x + cell / 2, top + 40, marks, "middle", bold=True),
            ]
    for likelihood in range(1, 5):
        middle = left + 62 + (likelihood - 0.5) * cell
        words = document["likelihoods"][str(likelihood)][lang]
        parts.append(_text(middle, 30 + 4 * cell + 16, words, "middle"))
    axes = say("pipia.page.axes", lang)
    return [*parts, _text(left + 62 + 2 * cell, 30 + 4 * cell + 36, axes, "middle", small=True)]


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    *,
    bold: bool = False,
    small: bool = False,
) -> str:
    weight = ' font-weight="700"' if bold else ""
    size, ink = (9, _SOFT) if small else (13, _INK)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{ink}"'
        f"{weight}>{escape(words)}</text>"
    )


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(title, quote=True)}" font-family="{_FONTS}">{"".join(parts)}</svg>'
    )
