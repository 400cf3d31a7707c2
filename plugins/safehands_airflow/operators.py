"""One operator: a step of the nightly chain as a task.

This is the edge: environment and clock are read here, nowhere below. What a task receives and
returns is the small record of ``safehands.datasets``: ids, digests and counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from safehands import guard
from safehands.datasets import Handoff, Outcome, Shard
from safehands.errors import SafehandsError
from safehands.lots import Lot, in_lots
from safehands.messages import say
from safehands.night import SHANGHAI
from safehands_airflow.lineage import Traced
from safehands_airflow.links import lead_to
from safehands_airflow.places import settings_of

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.pipeline import Head

__all__ = ["PLAN", "NightProblem", "StepOperator", "business_date"]

PLAN = "plan"
"""The task whose result the others start from."""

_HEAD = "head"
_LOG = logging.getLogger(__name__)

_PAGES = {
    "ingest": ("quality",),
    "validate": ("quality",),
    "purge": ("privacy",),
    "backup": ("backups",),
    "prove": ("backups",),
    "report": ("overview", "risk"),
}
"""The pages that show what a step did; the overview shows it of every other."""

_SHARD_STEPS = ("validate", "minimise", "pseudonymise")
_WHOLE_STEPS = {
    **{name: name for name in ("purge", "backup", "prove", "report")},
    "close": "close_night",
}

Record = Mapping[str, Any]


class NightProblem(AirflowFailException):
    """A problem that trying again does not solve; its text is the catalogue's, in zh and en."""

    def __init__(self, problem: SafehandsError) -> None:
        self.problem = problem
        super().__init__(str(problem))


class StepOperator(Traced, BaseOperator):
    """Do the step ``step`` of ``safehands.pipeline`` on ``record`` and return its result.

    ``step`` is ``plan``, ``verdict``, ``close`` or one of ``pipeline.STEPS``. ``record`` is the
    plain form of a ``Shard`` (ingest) or a ``Handoff`` (validate to pseudonymise), or of a
    ``safehands.lots.Lot`` of either; steps on the whole store need none. A mapped task is labelled
    with its shard's owner and stations, or its lot's owners.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error. A task whose plan never came about is skipped, and so is
    ``prove`` on a night without erasures.
    """

    template_fields = ("record",)
    ui_color = "#dcefe6"

    def __init__(self, *, step: str, record: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.record = record
        self.operator_extra_links = lead_to(*_PAGES.get(step, ("overview",)))

    @property
    def traced_step(self) -> str:
        """The step that lineage tells of."""
        return self.step

    def execute(self, context: Context) -> Any:
        """Open the installation, do the step, close the installation."""
        _label(context, self.record)
        head = None if self.step == PLAN else _head(context)
        try:
            result = guard.guarded(self.step, lambda: self._do(context, head))
        except SafehandsError as error:
            problem = error
        else:
            self._result = result
            if self.step == "prove" and result is None:
                raise AirflowSkipException(self.step)
            self._announce(context, result)
            left = _left_out(self.step, result)
            if left is None:
                return result
            # The other shards of the lot are loaded, and trying again would not help this one.
            raise NightProblem(left)
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context, head: Record | None) -> Any:
        # Great Expectations and pandas take seconds to import: not while a DAG is parsed.
        from safehands import pipeline
        from safehands.installation import open_installation

        landing = str(context["params"].get("landing") or "")
        settings = settings_of(os.environ, landing)
        inst = open_installation(settings, lambda: datetime.now(UTC))
        try:
            if head is None:
                return _plan(inst, context)
            ti, night = context["ti"], pipeline.Head.from_dict(head)
            lot = Lot.from_dict(self.record) if isinstance(self.record, Mapping) else None
            if lot is None:
                return _perform(self.step, inst, night, self.record)
            step = partial(_perform, self.step, inst, night)
            return lot.each(step, patient=ti.try_number <= ti.max_tries).as_dict()
        finally:
            inst.close()

    def _announce(self, context: Context, result: Any) -> None:
        for asset in self.outlets:
            outcome = Outcome.from_dict(result)
            extra: dict[str, Any] = {
                "run": outcome.run,
                "already": outcome.already,
                **outcome.counts,
            }
            context["outlet_events"][asset].extra = extra


def business_date(context: Context) -> date:
    """Return the form's date, or the day of the run in Asia/Shanghai."""
    chosen = context["params"].get("business_date")
    if chosen:
        return date.fromisoformat(chosen)
    moment: datetime = context["dag_run"].run_after
    return moment.astimezone(SHANGHAI).date()


def _plan(inst: Installation, context: Context) -> list[dict[str, Any]]:
    from safehands import pipeline

    plan = pipeline.plan(inst, business_date(context)).as_dict()
    context["ti"].xcom_push(_HEAD, plan["head"])
    for station, files in sorted(plan.get("frozen", {}).items()):
        _LOG.warning(say("transfer.frozen", inst.settings.lang, station=station, files=files))
    return in_lots(plan["shards"])


def _head(context: Context) -> Record:
    found = context["ti"].xcom_pull(task_ids=PLAN, key=_HEAD)
    if not isinstance(found, Mapping):
        raise AirflowSkipException("plan")
    return found


def _label(context: Context, record: Any) -> None:
    """Give the mapped task the name that ``map_index_template`` shows."""
    if isinstance(record, Mapping):
        named = Lot.from_dict(record) or Shard.from_dict(record.get("shard", record))
        context["shard_label"] = named.label  # type: ignore[typeddict-unknown-key]


def _left_out(step: str, result: Any) -> SafehandsError | None:
    """Return the first problem of a lot that is at its end, and put all of them into the log."""
    lot = Lot.from_dict(result) if step == _SHARD_STEPS[-1] else None
    if lot is None or not lot.problems:
        return None
    for one in lot.problems:
        _LOG.error("safehands: %s: exit code %s: %s", one.shard, one.code, one.problem())
    return lot.problems[0].problem()


def _perform(step: str, inst: Installation, night: Head, record: Any) -> Any:
    from safehands import pipeline

    if step == "verdict":
        return pipeline.verdict(inst)
    if step == "ingest":
        return pipeline.ingest(inst, night, Shard.from_dict(record)).as_dict()
    if step == "prove" and not pipeline.prove_due(inst):
        return None
    if step in _SHARD_STEPS:
        return getattr(pipeline, step)(inst, night, Handoff.from_dict(record)).as_dict()
    return getattr(pipeline, _WHOLE_STEPS[step])(inst, night).as_dict()
