"""Re-identification risk figures of a table.

``assess(table, quasi, …)`` gives them all; the modules give them one by one: ``classes`` groups
the table once, ``anonymity`` (k, l, t, …), ``attackers``, ``uniqueness``, ``separation``,
``individual``, ``suda`` and ``level`` work on the classes, ``suppress`` reaches a target k.
"""

from __future__ import annotations

from safehands.risk.classes import Classes, group
from safehands.risk.report import Assumptions, RiskReport, assess
from safehands.risk.suppress import Suppressed, suppress_to_k

__all__ = [
    "Assumptions",
    "Classes",
    "RiskReport",
    "Suppressed",
    "assess",
    "group",
    "suppress_to_k",
]
