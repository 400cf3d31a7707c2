"""Opening a page: evidence is gathered, charts are drawn, the template is filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, text

from safehands.dashboards import charts
from safehands.dashboards.asking import Asking
from safehands.dashboards.backups import backups
from safehands.dashboards.books import Books
from safehands.dashboards.handovers import handover, handovers
from safehands.dashboards.incidents import incidents
from safehands.dashboards.overview import overview
from safehands.dashboards.page import render
from safehands.dashboards.privacy import privacy
from safehands.dashboards.quality import quality, quality_rule
from safehands.dashboards.risk import risk, risk_rule
from safehands.dashboards.view import View
from safehands.rulebook.words import citation, duty_words, number_words, whom

__all__ = ["DETAILS", "WHOLE", "figures", "open_page", "owner_codes"]

Figures = dict[str, Any]

WHOLE: Mapping[str, Callable[[Asking, Books], Figures]] = {
    "overview": lambda asking, books: overview(asking, books.drill_days),
    "quality": lambda asking, _: quality(asking),
    "privacy": lambda asking, books: {**privacy(asking, books.policy), "books": books},
    "risk": risk,
    "handovers": lambda asking, _: handovers(asking),
    "incidents": lambda asking, _: incidents(asking),
    "backups": lambda asking, books: backups(asking, books.drill_days),
}
"""The pages of the navigation that this package draws."""

DETAILS: Mapping[str, Callable[[Asking, Books, str], Figures]] = {
    "quality": lambda asking, books, rule: {
        **quality_rule(asking, rule),
        "why": books.whys.get(rule),
    },
    "risk": risk_rule,
    "handovers": lambda asking, _, number: handover(asking, number),
}
"""Pages of one thing below a page of the navigation: a rule, a hand-over."""


def open_page(
    connection: Connection, view: View, books: Books, detail: str = "", **more: Any
) -> str:
    """Return a page as HTML. ``connection`` is the auditor's, bound to ``view.owner`` if there is
    one; ``detail`` names the one thing below the page; ``more`` is given to the template.

    Raises ``KeyError`` for a page that is drawn elsewhere or has no details.
    """
    found = figures(connection, view, books, detail)
    template = f"{view.page}_one" if detail else view.page
    return render(template, view, {**found, **more})


def figures(connection: Connection, view: View, books: Books, detail: str = "") -> Figures:
    """Return what the template of a page is filled with; ``day`` is empty before any night."""
    asking = Asking.of(connection, view.owner)
    if asking.day is None:
        return {"day": ""}
    found = DETAILS[view.page](asking, books, detail) if detail else WHOLE[view.page](asking, books)
    return {"day": asking.day.isoformat(), **found, **_drawn(view, found), **_said(view, books)}


def owner_codes(connection: Connection) -> list[str]:
    """Return the codes of all owners that the connection may see."""
    return list(connection.execute(text("SELECT code FROM controller ORDER BY code")).scalars())


def _said(view: View, books: Books) -> Figures:
    """Return how the rule book is cited in the language of the view."""
    book, lang = books.rulebook, view.lang
    return {
        "cited": lambda rule: citation(book, rule, lang),
        "number": lambda rule: number_words(rule, lang),
        "duty": lambda rule: duty_words(rule, lang),
        "bound": lambda rule: whom(rule, lang),
    }


def _drawn(view: View, found: Mapping[str, Any]) -> Figures:
    """Return the charts of a page; rows of a trend get the words of their value."""
    drawn: Figures = {}
    for name in ("trend", "history"):
        if name in found:
            drawn[name], drawn[f"{name}_chart"] = _scores(view, found[name])
    if "histogram" in found:
        drawn["histogram_chart"] = _groups(view, found["histogram"])
    if "crowd" in found:
        drawn["crowd"], drawn["crowd_chart"] = _crowd(view, found["crowd"])
    if "held" in found:
        drawn["held_chart"] = _ages(view, found["held"])
    return drawn


def _scores(view: View, rows: list[Figures]) -> tuple[list[Figures], Markup | str]:
    words = view.words()
    shown = [{**row, "shown": f"{words.score(row['score'])} %"} for row in rows]
    known = [
        {**row, "percent": row["score"] / 100, "value": row["score"]}
        for row in shown
        if row["score"] is not None
    ]
    return shown, _line(view, known, "percent", "%")


def _crowd(view: View, rows: list[Figures]) -> tuple[list[Figures], Markup | str]:
    shown = [{**row, "shown": view.words().number(row["value"])} for row in rows]
    return shown, _line(view, shown, "value", "", low=0)


def _line(
    view: View, known: list[Figures], value: str, unit: str, low: float | None = None
) -> Markup | str:
    """Return the line of two nights or more; one night is no trend."""
    if len(known) < 2:
        return ""
    first, last = known[0], known[-1]
    least = min(known, key=lambda row: int(row["value"]))
    told = view.words().dash(
        "trend.told", start=first["day"], end=last["day"], low=least["shown"], now=last["shown"]
    )
    return charts.draw(charts.line(known, value, unit=unit, low=low), told)


def _groups(view: View, bands: list[Figures]) -> Markup | str:
    words = view.words()
    rows = [
        {
            "label": words.band(band["low"], band["high"]),
            "people": band["people"],
            "late": band["high"] and band["high"] < 5,
        }
        for band in bands
    ]
    told = "; ".join(f"{row['label']}: {words.number(row['people'])}" for row in rows)
    return (
        charts.draw(charts.bars(rows, "label", "people", late="late"), told, charts.HALF)
        if rows
        else ""
    )


def _ages(view: View, held: list[Figures]) -> Markup | str:
    """Return the age of the oldest row of each category beside the time it may be kept."""
    words = view.words()
    rows = [
        {
            "label": words.retention(row["rule"]),
            "oldest": row["oldest"],
            "keep": row["keep_days"],
            "late": row["overdue"] > 0,
        }
        for row in held
        if row["oldest"] is not None and row["held"] and row["keep_days"]
    ]
    told = words.dash("held.told", count=len(rows), late=sum(row["late"] for row in rows))
    spec = charts.bars(rows, "label", "oldest", late="late", mark="keep")
    return charts.draw(spec, told) if rows else ""
