"""The step ``purge``: what is past its time goes, and stays gone (PIPL 19, 47)."""

from __future__ import annotations

from safehands.purge.plan import Due, plan_purge
from safehands.purge.step import count_due, purge

__all__ = ["Due", "count_due", "plan_purge", "purge"]
