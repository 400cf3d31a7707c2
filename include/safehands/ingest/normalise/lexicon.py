"""Word lists about names: surnames, characters of given names, ordinary words like names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["compound_surnames", "given", "is_word", "surnames"]

_FOLDER = Path(__file__).parent


def _lines(name: str) -> list[str]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def surnames() -> frozenset[str]:
    """Return surnames of one character, in both scripts."""
    return frozenset(_lines("surnames.txt")[0])


@cache
def compound_surnames() -> frozenset[str]:
    """Return surnames of two or more characters."""
    return frozenset(_lines("surnames.txt")[1].split())


@cache
def given() -> frozenset[str]:
    """Return the characters that given names are made of."""
    return frozenset(_lines("given.txt")[0])


@cache
def _words() -> frozenset[str]:
    return frozenset(_lines("words.txt")[0].split())


def is_word(text: str) -> bool:
    """Say whether ``text`` is an ordinary word of two or three characters beginning like a name."""
    return text in _words()
