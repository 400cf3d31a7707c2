"""Pages of a hand-over: plan, calendar, poster, sheet to sign, report. Chinese first, no script."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from safehands.installation import Installation
from safehands.messages import LANGUAGES, say

__all__ = ["Section", "folder_of", "keep", "page"]

Section = Mapping[str, Any]
"""``title`` and ``text`` are sentences, ``lines`` a list, ``head`` and ``rows`` a table."""


def page(title: str, parts: Mapping[str, Sequence[Section]], **params: str | int) -> bytes:
    """Return a page as UTF-8: the message ``title``, and for each language its sections."""
    made = _environment().get_template("handover.html.j2")
    shown = {lang: say(title, lang, **params) for lang in LANGUAGES}
    style = Markup(_sources()["handover.css"])  # noqa: S704 - our own file, no value in it
    languages = [lang for lang in LANGUAGES if lang in parts]
    return made.render(title=shown, parts=parts, languages=languages, style=style).encode()


def folder_of(inst: Installation, handover: object) -> Path:
    """Return the folder of a hand-over's documents, for its owner alone."""
    folder = inst.settings.reports / "handover" / str(handover)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def keep(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, readable by its owner alone."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return path


@cache
def _sources() -> dict[str, str]:
    folder = files("safehands.handover") / "templates"
    names = ("handover.html.j2", "handover.css")
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


@cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader(_sources()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
