"""One operator: a step of the nightly chain as a task.

This is the edge: environment and clock are read here, nowhere below. What a task receives and
returns is the small record of ``safehands.datasets``: ids, digests and counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from safehands import guard, pipeline
from safehands.datasets import Handoff, Outcome, Shard
from safehands.errors import SafehandsError
from safehands.night import SHANGHAI
from safehands.settings import Settings

__all__ = ["PLAN", "NightProblem", "StepOperator", "business_date"]

PLAN = "plan"
"""The task whose result the others start from."""

_HEAD = "head"

Record = Mapping[str, Any]
Do = Callable[[pipeline.Installation, pipeline.Head, Record], Any]


class NightProblem(AirflowFailException):
    """A problem that trying again does not solve; its text is the catalogue's, in zh and en."""

    def __init__(self, problem: SafehandsError) -> None:
        self.problem = problem
        super().__init__(str(problem))


class StepOperator(BaseOperator):
    """Do the step ``step`` of ``safehands.pipeline`` on ``record`` and return its result.

    ``step`` is ``plan``, ``verdict``, ``close`` or one of ``pipeline.STEPS``. ``record`` is the
    plain form of a ``Shard`` (ingest) or a ``Handoff`` (validate to pseudonymise); steps on the
    whole store need none. A mapped task is labelled with its shard's owner and stations.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error. A task whose plan never came about is skipped.
    """

    template_fields = ("record",)
    ui_color = "#dcefe6"

    def __init__(self, *, step: str, record: Any = None, **kwargs: Any) -> None:
        super().__init__(show_return_value_in_logs=False, **kwargs)
        self.step = step
        self.record = record

    def execute(self, context: Context) -> Any:
        """Open the installation, do the step, close the installation."""
        _label(context, self.record)
        head = None if self.step == PLAN else _head(context)
        try:
            result = guard.guarded(self.step, lambda: self._do(context, head))
        except SafehandsError as error:
            problem = error
        else:
            self._announce(context, result)
            return result
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context, head: pipeline.Head | None) -> Any:
        landing = str(context["params"].get("landing") or "")
        settings = Settings.read(os.environ, landing=landing)
        inst = pipeline.open_installation(settings, lambda: datetime.now(UTC))
        try:
            if head is None:
                return _plan(inst, context)
            return _DO[self.step](inst, head, self.record)
        finally:
            inst.close()

    def _announce(self, context: Context, result: Any) -> None:
        for asset in self.outlets:
            outcome = Outcome.from_dict(result)
            extra = {"run": outcome.run, "already": outcome.already, **outcome.counts}
            context["outlet_events"][asset].extra = extra


def business_date(context: Context) -> date:
    """Return the form's date, or the day of the run in Asia/Shanghai."""
    chosen = context["params"].get("business_date")
    if chosen:
        return date.fromisoformat(chosen)
    moment: datetime = context["dag_run"].run_after
    return moment.astimezone(SHANGHAI).date()


def _plan(inst: pipeline.Installation, context: Context) -> list[dict[str, Any]]:
    plan = pipeline.plan(inst, business_date(context)).as_dict()
    context["ti"].xcom_push(_HEAD, plan["head"])
    shards: list[dict[str, Any]] = plan["shards"]
    return shards


def _head(context: Context) -> pipeline.Head:
    found = context["ti"].xcom_pull(task_ids=PLAN, key=_HEAD)
    if not isinstance(found, Mapping):
        raise AirflowSkipException("plan")
    return pipeline.Head.from_dict(found)


def _label(context: Context, record: Any) -> None:
    """Give the mapped task the name that ``map_index_template`` shows."""
    if isinstance(record, Mapping):
        shard = Shard.from_dict(record.get("shard", record))
        context["shard_label"] = shard.label  # type: ignore[typeddict-unknown-key]


def _shard(step: Callable[..., Handoff]) -> Do:
    return lambda inst, head, record: step(inst, head, Shard.from_dict(record)).as_dict()


def _handoff(step: Callable[..., Handoff]) -> Do:
    return lambda inst, head, record: step(inst, head, Handoff.from_dict(record)).as_dict()


def _whole(step: Callable[..., Outcome]) -> Do:
    return lambda inst, head, _: step(inst, head).as_dict()


_DO: dict[str, Do] = {
    "ingest": _shard(pipeline.ingest),
    "validate": _handoff(pipeline.validate),
    "minimise": _handoff(pipeline.minimise),
    "pseudonymise": _handoff(pipeline.pseudonymise),
    "purge": _whole(pipeline.purge),
    "backup": _whole(pipeline.backup),
    "report": _whole(pipeline.report),
    "close": _whole(pipeline.close_night),
    "verdict": lambda inst, _head, _record: pipeline.verdict(inst),
}
