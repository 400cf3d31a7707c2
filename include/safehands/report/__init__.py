"""The step ``report``: risk figures and the night's page, from evidence only."""

from __future__ import annotations

from safehands.report.step import figures, report

__all__ = ["figures", "report"]
