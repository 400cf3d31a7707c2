"""Canonical JSON: one spelling for one value, so that a digest or a signature means something.

The subset of RFC 8785 (JCS) that needs no number formatting: objects with printable ASCII names,
arrays, strings, integers within ±(2^53-1), true, false and null. Names sorted, no whitespace,
UTF-8, only the escapes that JSON demands. What is written here any RFC 8785 library writes byte
for byte the same.

Why a subset: floats have no spelling that all languages agree on without care, and counts and
digests need none; names beyond ASCII sort differently by code point and by UTF-16 unit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeAlias

from safehands.errors import LedgerBroken

__all__ = ["MAX_DEPTH", "Json", "canonical_json", "parse_canonical", "parse_strict", "walk"]

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 32

_LARGEST_INT = (1 << 53) - 1
_NAME = re.compile(r"[\x20-\x7e]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_NAME = re.compile(r"[a-z][a-z_]{0,39}")


def canonical_json(value: object) -> bytes:
    """Return the canonical bytes of ``value``, without a newline.

    Raises ``LedgerBroken`` with the place of the first thing that has no canonical spelling: a
    float, a larger integer, a tuple or other type, a name that is not ASCII, half a surrogate
    pair, or more than 32 levels. The value itself is never repeated.
    """
    for place, item in walk(value):
        _check_item(place, item)
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def parse_canonical(text: str) -> Json:
    """Read canonical JSON. Raises ``LedgerBroken`` for any other spelling of the same value."""
    value = _parse(text)
    if canonical_json(value).decode() != text:
        raise LedgerBroken("ledger.json_spelling")
    return value


def parse_strict(text: str) -> Json:
    """Read JSON that may be indented, but means one thing only.

    Raises ``LedgerBroken`` for what is not JSON, a name that stands twice in one object, or a
    value that ``canonical_json`` refuses.
    """
    value: Json = _parse(text)
    canonical_json(value)
    return value


def walk(value: object, place: str = "$", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield every item in ``value`` with its place, such as ``$.counts[2]``, containers first.

    Names are yielded as items too, with the place of their object. A name that is not lower-case
    letters becomes ``*`` in a place, because a place is shown in errors and a name can be
    anything. Raises ``LedgerBroken`` below 32 levels.
    """
    if depth > MAX_DEPTH:
        raise LedgerBroken("ledger.json_depth", most=MAX_DEPTH)
    yield place, value
    if type(value) is list:
        for number, item in enumerate(value):
            yield from walk(item, f"{place}[{number}]", depth + 1)
    elif type(value) is dict:
        for name, item in value.items():
            yield place, name
            if type(name) is not str or not _NAME.fullmatch(name):
                raise LedgerBroken("ledger.json_name", place=place)
            shown = name if _SHOWN_NAME.fullmatch(name) else "*"
            yield from walk(item, f"{place}.{shown}", depth + 1)


def _check_item(place: str, item: object) -> None:
    # Exact types: a subclass may print itself differently from what it compares as.
    if item is None or type(item) in (bool, list, dict):
        return
    if type(item) is int:
        if abs(item) > _LARGEST_INT:
            raise LedgerBroken("ledger.json_integer", place=place)
    elif type(item) is str:
        if _SURROGATE.search(item):
            raise LedgerBroken("ledger.json_text", place=place)
    else:
        raise LedgerBroken("ledger.json_type", place=place, type=type(item).__name__)


def _parse(text: str) -> Json:
    try:
        value: Json = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        pass
    else:
        return value
    # Raised outside of the handler: the parser's error carries the whole text.
    raise LedgerBroken("ledger.json_malformed")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LedgerBroken("ledger.json_twice")
    return found
