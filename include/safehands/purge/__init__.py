"""The step ``purge``: what is past its time goes, and stays gone (PIPL 19, 47)."""

from __future__ import annotations

from safehands.purge.clock import check_clock
from safehands.purge.plan import Due, plan_purge
from safehands.purge.rehearsal import Planned, count_due, rehearse
from safehands.purge.step import purge

__all__ = ["Due", "Planned", "check_clock", "count_due", "plan_purge", "purge", "rehearse"]
