"""The pages and who may look at them, as data.

Three roles, whatever the login system calls them: the operator runs the nights, the officer
answers for personal information (PIPL 52), the auditor reads evidence and changes nothing. A page
of another part of the program adds its line here and its router to the web application.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

__all__ = ["PAGES", "ROLES", "Page", "find_page", "visible"]

Role = Literal["operator", "officer", "auditor"]
ROLES: tuple[Role, ...] = ("operator", "officer", "auditor")

_EVERYBODY: frozenset[Role] = frozenset(ROLES)
_EVIDENCE: frozenset[Role] = frozenset(("officer", "auditor"))
_DESK: frozenset[Role] = frozenset(("operator", "officer"))


@dataclass(frozen=True)
class Page:
    """One entry of the navigation. ``name`` is its address and its key in the catalogue
    (``dash.page.<name>``); ``doers`` may send its forms, ``readers`` may look."""

    name: str
    readers: frozenset[Role] = _EVERYBODY
    doers: frozenset[Role] = frozenset()


PAGES: tuple[Page, ...] = (
    Page("overview"),
    Page("quality"),
    Page("privacy", _EVIDENCE),
    Page("risk", _EVIDENCE),
    Page("handovers"),
    Page("requests", _DESK, doers=_DESK),
    Page("incidents", _EVIDENCE),
    # To verify the ledger changes nothing: whoever may look may verify.
    Page("backups", doers=_EVERYBODY),
)


def find_page(name: str) -> Page:
    """Return the page of this name. Raises ``KeyError``."""
    return {page.name: page for page in PAGES}[name]


def visible(roles: Collection[Role]) -> tuple[str, ...]:
    """Return the names of the pages that somebody with ``roles`` may look at, in order."""
    return tuple(page.name for page in PAGES if page.readers & set(roles))
