"""The one catalogue of what people read, in Chinese and English.

Sentences live beside this module in ``*.yaml``, one file per module of the package, as
``key: {zh: …, en: …}`` with ``{name}`` placeholders. A test proves that every key has both
languages and the same placeholders.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

__all__ = ["LANGUAGES", "catalogue", "say"]

LANGUAGES = ("zh", "en")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Return every message: key → language → sentence."""
    merged: dict[str, dict[str, str]] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            # libyaml's safe loader: the pure Python one takes most of a second at every command.
            loaded = yaml.load(entry.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            merged.update(loaded or {})
    return merged


def say(key: str, lang: str, /, **params: str | int | float) -> str:
    """Return the sentence ``key`` in ``lang``, filled with ``params``.

    Raises ``KeyError`` for an unknown key, language or placeholder: a missing sentence is a
    defect that a test must see, not something to paper over.
    """
    return catalogue()[key][lang].format(**params)
