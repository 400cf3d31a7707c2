"""Quarantine that can be worked off: see what waits, look into a row, try again, discard.

A row waits sealed under its station's key of that day; who may look into it, and that somebody
did, is on record (PIPL 51, 54). Trying again loads exactly the waiting rows, once.
"""

from __future__ import annotations

from safehands.quarantine.retry import Retried, retry
from safehands.quarantine.waiting import Cells, WaitingRow, discard, listed, show

__all__ = ["Cells", "Retried", "WaitingRow", "discard", "listed", "retry", "show"]
