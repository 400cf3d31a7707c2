"""Measures from folders: exports in clear, and numbers that look like a person's in reports."""

from __future__ import annotations

import re
from datetime import date

from safehands.rulebook.judge import Measured
from safehands.settings import Settings

__all__ = ["place_measures"]

# A mobile or resident ID number that stands alone: not inside a digest, a key or a fraction.
_PERSONAL = re.compile(r"(?<![\w+/.=])(1[3-9]\d{9}|[1-9]\d{16}[\dXx])(?![\w+/=])")


def place_measures(settings: Settings, until: date) -> dict[str, Measured]:
    """Return ``settings.*``: files of exports in clear, hits in the newest report up to ``until``.

    Without a report there is no fact about it. Hits are counted, never quoted.
    """
    found = {"settings.clear_exports": Measured(_clear(settings), "", "landing folder")}
    hits = _hits(settings, until)
    if hits is not None:
        found["settings.report_hits"] = Measured(hits[1], hits[0], "reports folder")
    return found


def _clear(settings: Settings) -> int:
    if settings.archive_landing or not settings.landing.is_dir():
        return 0
    return sum(
        path.is_file() and path.name != "stations.yaml" and path.name[0] not in "._"
        for path in settings.landing.rglob("*")
    )


def _hits(settings: Settings, until: date) -> tuple[str, int] | None:
    """Return the newest report's date and its number of hits."""
    if not settings.reports.is_dir():
        return None
    days = sorted(p.name for p in settings.reports.iterdir() if _day(p.name) is not None)
    known = [name for name in days if name <= until.isoformat()]
    if not known:
        return None
    files = [p for p in (settings.reports / known[-1]).iterdir() if p.suffix in (".html", ".json")]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return known[-1], sum(len(_PERSONAL.findall(text)) for text in texts)


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
