"""What changed between two notices, and which change needs a fresh consent (PIPL 14 ¶2, 17 ¶2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Change", "difference"]

Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One change. ``item``: what of the notice; ``name``: which entry, where it is a list.

    ``fresh_consent``: those who agreed before have to be asked again. Every change has to be told.
    """

    item: str
    name: str
    what: Literal["added", "removed", "changed"]
    fresh_consent: bool = False


_LISTS = ("purposes", "collected", "sensitive", "recipients", "retention")
_ASKED = ("purposes", "recipients")


def difference(old: Document, new: Document) -> list[Change]:
    """Return the changes from ``old`` to ``new``, in the order in which a notice says things.

    A fresh consent is needed where a purpose rests on consent in the new notice and its terms
    (purpose, methods, categories) are not those of the old one, and where a recipient that gets
    something on consent is new or gets other fields, or for something else, or in another way
    (PIPL 14 ¶2, 23).
    """
    changes: list[Change] = []
    for item in new:
        if item in ("version", "controller"):
            continue
        if item in _LISTS:
            changes += _entries(item, old.get(item, []), new[item])
        elif old.get(item) != new[item]:
            changes.append(Change(item, "", "changed"))
    return changes


def _entries(item: str, old: list[Document], new: list[Document]) -> list[Change]:
    # Recipients had no id once; their name was it.
    before, after = (
        {one["id"] if "id" in one else one["who"]["zh"]: one for one in entries}
        for entries in (old, new)
    )
    found = [Change(item, name, "removed") for name in before if name not in after]
    for name, entry in after.items():
        consent = item in _ASKED and entry["basis"] == 1
        if name not in before:
            found.append(Change(item, name, "added", consent))
        elif before[name] != entry:
            found.append(Change(item, name, "changed", consent and _differs(before[name], entry)))
    return found


def _differs(old: Document, new: Document) -> bool:
    """Say whether people agreed to something else: a new telephone number is no such thing."""
    asked = ("terms", "basis", "purpose", "method", "fields")
    return any(old.get(name) != new.get(name) for name in asked)
