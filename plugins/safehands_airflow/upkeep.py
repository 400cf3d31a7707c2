"""Upkeep of the installation that is nobody's step: its logs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseOperator, Context

from safehands import guard
from safehands.errors import SafehandsError
from safehands.logs import keep_logs
from safehands.night import SHANGHAI
from safehands.policy import load_policy
from safehands.settings import Settings
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem

__all__ = ["LogsOperator"]


class LogsOperator(BaseOperator):
    """Cut yesterday's logs and remove those past ``system_log`` of the retention schedule.

    The folder is the one that this Airflow writes to: below the home folder on one machine, a
    volume of its own in containers. Counted by the real day and not by the run's: a run that is
    repeated later removes what is due then, and nothing twice.

    Errors: ``NightProblem`` or ``safehands.errors.StepFailed``.
    """

    ui_color = "#e8e8e8"
    operator_extra_links = lead_to("overview")

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - as Airflow calls it
        """Do it and return how many files were cut and removed, and the oldest day that stays."""
        try:
            return guard.guarded("logs", self._do)
        except SafehandsError as error:
            problem = error
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self) -> dict[str, Any]:
        settings = Settings.read(os.environ)
        schedule = load_policy(settings.policy, settings.mappings).elsewhere["system_log"]
        today = datetime.now(UTC).astimezone(SHANGHAI).date()
        folder = Path(conf.get_mandatory_value("logging", "base_log_folder"))
        kept = keep_logs(folder, today, schedule.keep_days or 0)
        oldest = kept.oldest.isoformat() if kept.oldest else None
        return {"cut": kept.cut, "removed": kept.removed, "oldest": oldest}
