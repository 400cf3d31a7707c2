"""Charts: a Vega-Lite specification as data becomes SVG here on the server.

Colours are variables of the style sheet, so one drawing follows light and dark; letters are text
in the page's own font, so Chinese needs no font file. A chart is drawn twice, wide and narrow,
because a shrunken one cannot be read on a phone. The same specification is drawn once a process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

__all__ = ["HALF", "WIDTHS", "bars", "draw", "line", "warm"]

WIDTHS = {"wide": 960, "narrow": 326}
"""Widths of the whole drawing in pixels, by class of the style sheet."""

HALF = {"wide": 460, "narrow": 326}
"""The same for a drawing that shares the line with something else."""

_FIT = {"type": "fit-x", "contains": "padding"}
_KEPT = 400
# What speaks to assistive software inside the drawing: the figure has one description instead.
_SPOKEN = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')
_SIZE = re.compile(r'^<svg [^>]*?width="([0-9.]+)" height="([0-9.]+)" viewBox="([^"]+)"[^>]*>')
_BACK = re.compile(r'<rect width="[0-9.]+" height="[0-9.]+" fill="white"/>')

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

_INK, _SOFT, _LINE, _BAR = "var(--ink)", "var(--soft)", "var(--line)", "var(--bar)"
_CONFIG: Spec = {
    "font": "inherit",
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "domainColor": _LINE,
        "gridColor": _LINE,
        "tickColor": _LINE,
        "labelColor": _SOFT,
        "titleColor": _SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelPadding": 6,
    },
}


def draw(spec: Spec, described: str, widths: Mapping[str, int] = WIDTHS) -> Markup:
    """Return the chart at both widths; ``described`` is what a screen reader says instead."""
    parts = []
    for name, width in widths.items():
        # Names leave at least half of a narrow drawing to the bars; the table has them in full.
        axis = {**_CONFIG["axis"], "labelLimit": min(320, width * 43 // 100)}
        whole = {**spec, "width": width, "autosize": _FIT, "config": {**_CONFIG, "axis": axis}}
        drawn = _svg(json.dumps(whole, sort_keys=True))
        label = f'<svg class="{name}" role="img" aria-label="{escape(described)}" '
        parts.append(drawn.replace("<svg ", label, 1))
    return Markup("".join(parts))  # noqa: S704 - drawn here from numbers; the label is escaped


def line(rows: Rows, value: str, *, low: float | None = None, unit: str = "") -> Spec:
    """Return a line over nights: ``day`` (ISO date) across, ``value`` upwards.

    The foot is ``low``, or just below the lowest value: what matters are small changes of shares
    near one hundred.
    """
    scale: Spec = {"zero": False, "nice": True} if low is None else {"domainMin": low, "nice": True}
    across: Spec = {
        "field": "day",
        "type": "temporal",
        "axis": {"title": None, "format": "%m-%d", "grid": False, "labelOverlap": "greedy"},
    }
    upwards: Spec = {
        "field": value,
        "type": "quantitative",
        "scale": scale,
        "axis": {
            "title": unit or None,
            "tickCount": 4,
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "end",
            "titleY": -8,
            "titleX": 0,
            "domain": False,
            "ticks": False,
        },
    }
    marks: list[Spec] = [
        {"mark": {"type": "line", "color": _BAR, "strokeWidth": 2}},
        {
            "mark": {"type": "point", "color": _BAR, "fill": _BAR, "size": 36, "opacity": 1},
            "transform": [
                {
                    "window": [{"op": "row_number", "as": "n"}],
                    "sort": [{"field": "day", "order": "descending"}],
                },
                {"filter": "datum.n == 1"},
            ],
        },
    ]
    data = [{"day": row["day"], value: row[value]} for row in rows if row[value] is not None]
    return {
        "height": 150,
        "padding": {"left": 4, "right": 12, "top": 16, "bottom": 4},
        "data": {"values": data},
        "encoding": {"x": across, "y": upwards},
        "layer": marks,
    }


def bars(rows: Rows, label: str, value: str, *, late: str = "", mark: str = "") -> Spec:
    """Return horizontal bars in the order of ``rows``, each with its number at its end.

    ``late``: a field that is true where a bar is alarming. ``mark``: a field with the bound that
    the bar is measured against, drawn as a stroke across it.
    """
    order = [row[label] for row in rows]
    kept = [name for name in (label, value, late, mark) if name]
    colour: Spec = {"value": _BAR}
    if late:
        colour = {"condition": {"test": f"datum['{late}']", "value": "var(--bad)"}, "value": _BAR}
    name: Spec = {
        "field": label,
        "type": "nominal",
        "sort": order,
        "axis": {
            "title": None,
            "domain": False,
            "ticks": False,
            "labelColor": _INK,
            "labelPadding": 10,
        },
    }
    size: Spec = {
        "field": value,
        "type": "quantitative",
        "axis": None,
        "scale": {"nice": False, "zero": True, "padding": 36},
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "cornerRadiusEnd": 3, "height": 14},
            "encoding": {"x": size, "color": colour},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 12, "color": _INK},
            "encoding": {
                "x": size,
                "text": {"field": value, "type": "quantitative", "format": ","},
            },
        },
    ]
    if mark:
        stroke: Spec = {
            "mark": {"type": "tick", "color": _INK, "thickness": 2, "size": 20},
            "encoding": {"x": {**size, "field": mark}},
        }
        layers.insert(1, stroke)
    return {
        "height": {"step": 28},
        "padding": {"left": 4, "right": 12, "top": 4, "bottom": 4},
        "data": {"values": [{key: row[key] for key in kept} for row in rows]},
        "encoding": {"y": name},
        "layer": layers,
    }


def warm() -> None:
    """Load the drawing engine (about 0.8 s and 65 MB once a process)."""
    draw(bars([{"a": "a", "n": 1}], "a", "n"), "")


@lru_cache(maxsize=_KEPT)
def _svg(spec: str) -> str:
    # Loaded when the first chart is drawn: the engine is not needed to import this package.
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(spec))
    bare = _BACK.sub("", _SPOKEN.sub("", drawn), count=1)
    return _SIZE.sub(r'<svg width="\1" height="\2" viewBox="\3" focusable="false">', bare)
