"""Dashboards: figures from evidence tables, and pages drawn from them."""

from __future__ import annotations

from safehands.dashboards.books import Books, open_books
from safehands.dashboards.navigation import PAGES, ROLES, find_page, visible
from safehands.dashboards.opening import DETAILS, WHOLE, open_page, owner_codes
from safehands.dashboards.page import render, style
from safehands.dashboards.publish import compose, publish
from safehands.dashboards.view import THEMES, View

__all__ = [
    "DETAILS",
    "PAGES",
    "ROLES",
    "THEMES",
    "WHOLE",
    "Books",
    "View",
    "compose",
    "find_page",
    "open_books",
    "open_page",
    "owner_codes",
    "publish",
    "render",
    "style",
    "visible",
]
