"""Alerts from Airflow: the hourly look, a failure at once, and a night that is late.

As in ``operators``, environment and clock are read here; what a task returns is counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from safehands import guard
from safehands.errors import SafehandsError
from safehands.night import SHANGHAI
from safehands.settings import Settings
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.alerts import Found

__all__ = ["NIGHT_DEADLINE", "AlertOperator", "night_is_late", "tell_failure"]

_log = logging.getLogger(__name__)


class AlertOperator(BaseOperator):
    """Find what somebody should know, and send what was not sent yet; return counts.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried: a channel
    did not take its message), both without any text of a foreign error.
    """

    ui_color = "#f3e3d3"
    operator_extra_links = lead_to("overview")

    def execute(self, context: Context) -> dict[str, int]:
        """Open the installation, tell, close the installation."""
        try:
            return guard.guarded("alerts", lambda: self._do(context))
        except SafehandsError as error:
            problem = error
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context) -> dict[str, int]:
        from safehands.alerts import tell
        from safehands.installation import open_installation

        inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
        try:
            return tell(inst, business_date(context), inst.clock())
        finally:
            inst.close()


def tell_failure(settings: Settings, notice: Mapping[str, Any]) -> None:
    """Send the alert of one failed task at once; what can't be sent now waits in the outbox.

    Without a store to claim in it is sent all the same. Raises nothing: the task failed already,
    and for no other reason than the one its notice tells.
    """
    from safehands.alerts.failures import OWN_DAG, failure

    if notice["dag"] != OWN_DAG:
        _tell(settings, failure(notice))


def night_is_late(context: Mapping[str, Any], **_: Any) -> None:
    """Say that a night's run has not ended in time; for ``DeadlineAlert``."""
    from safehands.alerts import Found

    run = context.get("dag_run") or {}
    moment = run.get("run_after") if isinstance(run, Mapping) else getattr(run, "run_after", None)
    day = _moment(moment).astimezone(SHANGHAI).date().isoformat()
    _tell(Settings.read(os.environ), Found("night_late", day, {"day": day}))


NIGHT_DEADLINE = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(hours=4),
    callback=SyncCallback(night_is_late),
    name="night_late",
)
"""Four hours after 02:00 people come to work: a night that still runs then is told about."""


def _tell(settings: Settings, found: Found) -> None:
    try:
        guard.guarded("alerts", lambda: _claim_and_send(settings, found))
    except SafehandsError as error:
        _log.error("safehands: alert not sent, exit code %s: %s", error.exit_code, error)


def _claim_and_send(settings: Settings, found: Found) -> None:
    from safehands.alerts import load_alert_book, read_channels, tell_now
    from safehands.alerts.queue import unclaimed
    from safehands.installation import open_installation

    if not read_channels(settings.channels, load_alert_book(settings.policy)).channels:
        return
    try:
        inst = open_installation(settings, lambda: datetime.now(UTC))
    except SafehandsError:
        unclaimed(settings, found)
        return
    try:
        tell_now(inst, found)
    finally:
        inst.close()


def _moment(value: object) -> datetime:
    """Return the moment of the run: a datetime or its ISO form; now if there is none."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return value if isinstance(value, datetime) else datetime.now(UTC)
