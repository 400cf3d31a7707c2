"""The doctor: is this installation fit to hold people's records, and what is to be done if not.

It reads and never writes, makes or starts anything, so it can be run at any moment. What it finds
are states of the machine: paths, modes, versions, counts and days, never a value or a secret.
"""

from __future__ import annotations

from safehands.doctor.examine import examine
from safehands.doctor.finding import Finding, State, worst

__all__ = ["Finding", "State", "examine", "worst"]
