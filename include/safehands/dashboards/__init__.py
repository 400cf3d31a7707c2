"""Dashboards: figures from evidence tables, and pages drawn from them."""

from __future__ import annotations

from safehands.dashboards.figures import PAGES, gather
from safehands.dashboards.page import render, style

__all__ = ["PAGES", "gather", "render", "style"]
