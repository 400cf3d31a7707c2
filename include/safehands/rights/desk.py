"""The page at which a request is registered: pure functions of what is shown.

A form without script; what was typed never comes back in the page. Texts stand in the message
catalogue under ``rights.desk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from safehands.messages import say
from safehands.policy import Policy
from safehands.rights.book import RightsBook
from safehands.rights.requests import OPEN, Request

__all__ = ["Desk", "desk_style", "form", "one_request"]


@dataclass(frozen=True)
class Desk:
    """What every view of the desk needs. ``token`` proves that a form is ours; ``day``: today.

    ``pages``: names of the dashboards' pages that the reader may open; ``theme``: auto, light or
    dark.
    """

    book: RightsBook
    policy: Policy
    lang: str
    day: date
    token: str
    problem: str = ""
    pages: Sequence[str] = ()
    theme: str = "auto"


def form(desk: Desk, owners: Sequence[tuple[str, str]], requests: Sequence[Request]) -> str:
    """Return the form and, below it, what is still open. ``owners``: code and name."""
    waiting = [one for one in requests if one.state in OPEN]
    return _render("form", desk, owners=owners, waiting=waiting)


def one_request(desk: Desk, request: Request, *, known: bool = False, sent: bool = False) -> str:
    """Return one request as it stands, and what is to be done next.

    ``known``: it was open already when it was registered again. ``sent``: a code is on its way.
    """
    return _render("request", desk, r=request, known=known, sent=sent)


def desk_style() -> str:
    """Return what a form adds to the style sheet of the pages."""
    return _source("desk.css")


def _render(view: str, desk: Desk, **shown: object) -> str:
    def words(key: str, **params: str | int) -> str:
        return say(f"rights.desk.{key}", desk.lang, **params)

    return (
        _environment()
        .get_template("desk.html.j2")
        .render(
            view=view,
            d=desk,
            t=words,
            dash=lambda key: say(f"dash.{key}", desk.lang),
            state=lambda name: say(f"rights.state.{name}", desk.lang),
            field=lambda name: say(f"rights.field.{name}", desk.lang),
            label=lambda named: getattr(named.label, desk.lang),
            tag="zh-Hans" if desk.lang == "zh" else "en",
            other="en" if desk.lang == "zh" else "zh",
            **shown,
        )
    )


def _source(name: str) -> str:
    return (files("safehands.rights") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader({"desk.html.j2": _source("desk.html.j2")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
