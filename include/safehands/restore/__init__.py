"""Restore: a generation of the backup repository back into an empty database, and compared there.

In the order of dependence: ``rows`` (Arrow to COPY), ``source`` (the repository, opened),
``replay`` (what happened since an older generation), ``load`` and ``compare`` (one transaction),
``register`` (the tables that describe the repository), ``restoring`` (the whole), ``scratch`` and
``proving`` (a restore beside the store), ``drill``.
"""

from __future__ import annotations

from safehands.restore.drill import Drill, drill, last_drill
from safehands.restore.proving import Proof, prove
from safehands.restore.restoring import restore
from safehands.restore.result import Restored

__all__ = ["Drill", "Proof", "Restored", "drill", "last_drill", "prove", "restore"]
