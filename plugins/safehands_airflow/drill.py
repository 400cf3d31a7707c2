"""One operator: a task of the weekly restore drill.

As in ``operators``, environment and clock are read here; what a task returns is names, digests and
counts.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, Context

from safehands import guard
from safehands.errors import SafehandsError
from safehands.settings import Settings
from safehands_airflow.lineage import Traced
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.installation import Installation

__all__ = ["DrillOperator"]

Task = Literal["drill", "prune"]


class DrillOperator(Traced, BaseOperator):
    """Do ``drill`` or ``prune`` on the backup repository and return what it found.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error.
    """

    ui_color = "#dce6ef"
    operator_extra_links = lead_to("backups")

    def __init__(self, *, work: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    @property
    def traced_step(self) -> str:
        """The step that lineage tells of."""
        return self.work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        try:
            result = guard.guarded(self.work, lambda: self._do(context))
        except SafehandsError as error:
            problem = error
        else:
            self._result = result
            self._announce(context, result)
            return result
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context) -> dict[str, Any]:
        from safehands.installation import open_installation

        inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
        try:
            return _WORK[self.work](inst, context)
        finally:
            inst.close()

    def _announce(self, context: Context, result: dict[str, Any]) -> None:
        for asset in self.outlets:
            context["outlet_events"][asset].extra = result


def _drill(inst: Installation, context: Context) -> dict[str, Any]:
    from safehands.backup import open_repository
    from safehands.restore import drill

    day, repository = business_date(context), open_repository(inst.settings)
    done = drill(inst.store, repository, inst.settings.reports, day, inst.clock(), monotonic)
    body = done.body
    return {
        "already": done.already,
        "business_date": body["business_date"],
        "rto_seconds": done.rto_seconds,
        "recovery_point": body["recovery_point"],
        "rows": body["newest"]["rows"],
        "generations": body["repository"]["generations"],
    }


def _prune(inst: Installation, context: Context) -> dict[str, Any]:
    from safehands.backup import load_backup_policy, open_repository, prune

    policy = load_backup_policy(inst.settings.policy)
    run = f"restore_drill-{business_date(context).isoformat()}"
    outcome = prune(open_repository(inst.settings), inst.store, policy, run, inst.clock())
    return {"already": outcome.already, **outcome.counts}


_WORK = {"drill": _drill, "prune": _prune}
