"""A notice as people get it: a page in both languages, and one short text message."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from safehands.messages import LANGUAGES, say

__all__ = ["SEGMENT", "html", "sms"]

SEGMENT = 67
"""Characters of one part of a text message in Chinese (3GPP TS 23.038, UCS-2, concatenated)."""


def html(document: dict[str, Any], number: int | None, valid_from: date) -> bytes:
    """Return the page as UTF-8: Chinese first, no script, nothing fetched from anywhere.

    ``number`` is None for a draft, which says so.
    """
    template = _environment().get_template("notice.html.j2")
    page = template.render(
        d=document,
        number=number,
        valid_from=valid_from.isoformat(),
        languages=LANGUAGES,
        say=say,
        style=Markup(_sources()["notice.css"]),  # noqa: S704 - our own file, no value in it
    )
    return page.encode()


def sms(document: dict[str, Any], where: str, lang: str) -> str:
    """Return the text message: who, what for, where the whole text is, whom to ask.

    ``where``: an address or a place where the page can be read. It is at most three parts long
    unless name, place or contact are themselves longer than that.
    """
    labels = [one["label"][lang] for one in document["purposes"] if one["basis"] == 1]
    asks = say("notices.sms.asks", lang, purposes=("、" if lang == "zh" else ", ").join(labels))
    return say(
        "notices.sms",
        lang,
        name=document["name"],
        where=where,
        contact=document["contact"],
        asks=asks if labels else "",
    ).strip()


@cache
def _sources() -> dict[str, str]:
    folder = files(__package__) / "templates"
    return {
        name: (folder / name).read_text(encoding="utf-8")
        for name in ("notice.html.j2", "notice.css")
    }


@cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader(_sources()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
