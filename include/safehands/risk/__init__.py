"""Re-identification risk figures of a table.

``assess(table, quasi, …)`` gives them all; the modules give them one by one: ``classes`` groups
the table once, ``anonymity`` (k, l, t, …), ``attackers``, ``uniqueness``, ``separation``,
``individual``, ``suda`` and ``level`` work on the classes, ``reach_k`` makes a table of a target k
by ``generalise`` and ``suppress``. Only ``files`` and ``hierarchy`` read files, only ``files``
writes any.
"""

from __future__ import annotations

from safehands.risk.assessment import assess
from safehands.risk.classes import Classes, group
from safehands.risk.files import read_table, write_table
from safehands.risk.reach import Reached, reach_k
from safehands.risk.report import Assumptions, RiskReport
from safehands.risk.suppress import Suppressed, suppress_to_k

__all__ = [
    "Assumptions",
    "Classes",
    "Reached",
    "RiskReport",
    "Suppressed",
    "assess",
    "group",
    "reach_k",
    "read_table",
    "suppress_to_k",
    "write_table",
]
