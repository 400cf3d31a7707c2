"""A page as HTML: pure functions of figures, language and policy; no script, no inline style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from safehands.dashboards.figures import PAGES
from safehands.messages import say
from safehands.policy import Policy
from safehands.report.document import DIMENSIONS
from safehands.report.page import Texts

__all__ = ["render", "style"]

_STATIONS_SHOWN = 200


def render(figures: Mapping[str, Any], lang: str, policy: Policy) -> str:
    """Return one page. ``figures`` come from ``gather``; ``lang`` is ``zh`` or ``en``."""
    words = _Words(lang, policy)
    template = _environment().get_template("page.html.j2")
    return template.render(
        f=figures,
        t=words,
        pages=PAGES,
        other="en" if lang == "zh" else "zh",
        dimensions=DIMENSIONS,
        heat=_heat(figures.get("stations", ()))[:_STATIONS_SHOWN],
        line=_line(figures.get("trend", ())),
    )


def style() -> str:
    """Return the one style sheet: the report's, and what these pages add to it."""
    ours = _source("safehands.dashboards", "pages.css")
    return f"{_source('safehands.report', 'page.css')}\n{ours}"


class _Words(Texts):
    """The report's words, and the sentences ``dash.<key>``."""

    def dash(self, key: str, **params: str | int) -> str:
        return say(f"dash.{key}", self.lang, **params)


def _heat(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per station with a score per dimension, the worst station first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        empty = {"station": row["station"], "name": row["name"], "scores": {}}
        found.setdefault(row["station"], empty)["scores"][row["dimension"]] = row["score"]
    return sorted(found.values(), key=lambda s: (_worst(s), s["station"]))


def _worst(station: Mapping[str, Any]) -> int:
    return min((s for s in station["scores"].values() if s is not None), default=10_001)


def _line(trend: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the points of the trend in a box of 600 × 100; its foot is the worst night or 90 %."""
    scores = [row["score"] for row in trend if row["score"] is not None]
    if not scores:
        return []
    foot = min(9_000, *scores)
    wide = 600 / max(1, len(scores) - 1)
    return [(i * wide, 100 - 100 * (s - foot) / (10_000 - foot)) for i, s in enumerate(scores)]


@cache
def _source(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    loader = DictLoader({"page.html.j2": _source("safehands.dashboards", "page.html.j2")})
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
