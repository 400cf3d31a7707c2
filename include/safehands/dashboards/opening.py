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
from safehands.dashboards.overview import overview
from safehands.dashboards.page import render
from safehands.dashboards.quality import quality, quality_rule
from safehands.dashboards.view import View

__all__ = ["DETAILS", "WHOLE", "figures", "open_page", "owner_codes"]

Figures = dict[str, Any]

WHOLE: Mapping[str, Callable[[Asking, Books], Figures]] = {
    "overview": lambda asking, books: overview(asking, books.drill_days),
    "quality": lambda asking, _: quality(asking),
    "backups": lambda asking, books: backups(asking, books.drill_days),
}
"""The pages of the navigation that this package draws."""

DETAILS: Mapping[str, Callable[[Asking, Books, str], Figures]] = {
    "quality": lambda asking, books, rule: {
        **quality_rule(asking, rule),
        "why": books.whys.get(rule),
    },
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
    return {"day": asking.day.isoformat(), **found, **_drawn(view, found)}


def owner_codes(connection: Connection) -> list[str]:
    """Return the codes of all owners that the connection may see."""
    return list(connection.execute(text("SELECT code FROM controller ORDER BY code")).scalars())


def _drawn(view: View, found: Mapping[str, Any]) -> Figures:
    """Return the charts of a page that hang on nights; rows get the words of their value."""
    drawn: Figures = {}
    for name in ("trend", "history"):
        if name in found:
            drawn[name], drawn[f"{name}_chart"] = _scores(view, found[name])
    return drawn


def _scores(view: View, rows: list[Figures]) -> tuple[list[Figures], Markup | str]:
    words = view.words()
    shown = [{**row, "shown": f"{words.score(row['score'])} %"} for row in rows]
    known = [row for row in shown if row["score"] is not None]
    if len(known) < 2:
        return shown, ""
    spec = charts.line(
        [{**row, "percent": row["score"] / 100} for row in known], "percent", unit="%"
    )
    first, last = known[0], known[-1]
    told = words.dash(
        "trend.told",
        start=first["day"],
        end=last["day"],
        low=min(known, key=lambda r: int(r["score"]))["shown"],
        now=last["shown"],
    )
    return shown, charts.draw(spec, told)
