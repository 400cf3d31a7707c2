"""A page as HTML: pure functions of figures and view; no script, no inline style.

Every template extends ``frame.html.j2``, which brings navigation, language, theme and the choice
of an owner. Another part of the program that adds a page puts its template beside these, extends
the frame in the same way and calls ``render``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from safehands.dashboards.view import THEMES, View

__all__ = ["render", "style", "style_edition"]


def render(template: str, view: View, figures: Mapping[str, Any]) -> str:
    """Return the page of ``<template>.html.j2``; in it ``f`` is ``figures``, ``t`` the words.

    Raises ``jinja2.UndefinedError`` for a figure that the template wants and nobody gave.
    """
    page = _environment().get_template(f"{template}.html.j2")
    return page.render(f=figures, view=view, t=view.words(), themes=THEMES, edition=style_edition())


@cache
def style() -> str:
    """Return the one style sheet."""
    source = files("safehands.dashboards") / "templates" / "pages.css"
    return source.read_text(encoding="utf-8")


@cache
def style_edition() -> str:
    """Return a short digest of the style sheet, so that a browser never shows an old one."""
    return hashlib.sha256(style().encode()).hexdigest()[:12]


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("safehands.dashboards", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
