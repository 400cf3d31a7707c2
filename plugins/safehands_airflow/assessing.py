"""One operator: the tasks of ``risk_assessment``.

As in ``operators``, environment and clock are read here; what a task returns is counts.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
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

__all__ = ["AssessOperator"]

Task = Literal["assess", "export"]


class AssessOperator(Traced, BaseOperator):
    """Do ``assess`` or ``export`` and return counts.

    A run that the calendar started, or whose form says so, is a full one; a run that a night
    started looks at owners whose evidence changed. Errors: ``NightProblem`` (not retried) or
    ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#e6e0ef"
    operator_extra_links = lead_to("risk")

    def __init__(self, *, work: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    @property
    def traced_step(self) -> str:
        """The step that lineage tells of."""
        return self.work

    def execute(self, context: Context) -> dict[str, int]:
        """Open the installation, do the work, close the installation."""
        try:
            result = guard.guarded(self.work, lambda: self._do(context))
        except SafehandsError as error:
            problem = error
        else:
            self._result = result
            for asset in self.outlets:
                context["outlet_events"][asset].extra = dict(result)
            return result
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context) -> dict[str, int]:
        from safehands.installation import open_installation

        inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
        try:
            return _WORK[self.work](inst, context)
        finally:
            inst.close()


def _assess(inst: Installation, context: Context) -> dict[str, int]:
    from safehands.pipia.reassess import reassess

    started = str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))
    full = bool(context["params"].get("full")) or started == "scheduled"
    return reassess(inst, business_date(context), full=full)


def _export(inst: Installation, context: Context) -> dict[str, int]:
    from safehands.pipia import cases
    from safehands.pipia.export import write

    day = business_date(context)
    found = cases(inst, day)
    folder = inst.settings.reports / "pipia"
    made = [write(inst, case, day, folder, outside=o) for case in found for o in (False, True)]
    return {"assessments": len(found), "files": sum(len(paths) for paths in made)}


_WORK = {"assess": _assess, "export": _export}
