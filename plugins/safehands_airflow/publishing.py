"""One operator: ``publish_dashboards`` writes every owner's pages as files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from safehands import guard
from safehands.errors import SafehandsError
from safehands.settings import Settings
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem

__all__ = ["PublishOperator"]


class PublishOperator(BaseOperator):
    """Write the files and return counts: ``owners``, ``files``, ``written``.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#dcefe6"
    operator_extra_links = lead_to("overview")

    def execute(self, context: Context) -> dict[str, int]:
        """Open the installation, write, close the installation."""
        try:
            result = guard.guarded("publish", _publish)
        except SafehandsError as error:
            problem = error
        else:
            for asset in self.outlets:
                context["outlet_events"][asset].extra = dict[str, Any](result)
            return result
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)


def _publish() -> dict[str, int]:
    from safehands.dashboards import open_books, publish
    from safehands.installation import open_installation

    inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
    try:
        folder = inst.settings.reports / "dashboards"
        return publish(inst.store, open_books(inst.settings), folder)
    finally:
        inst.close()
