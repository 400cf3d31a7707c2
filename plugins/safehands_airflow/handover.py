"""Operators of hand-overs: the transitions that are due, and one request from its form.

As in ``operators``, environment and clock are read here; what a task returns is ids and counts. The
form is made from the typed request, so that form, validation and documents are one.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from airflow.sdk import BaseOperator, Context, Param

from safehands import guard
from safehands.errors import SafehandsError
from safehands.handover.request import HandoverRequest
from safehands.settings import Settings
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.installation import Installation

__all__ = ["HandoverOperator", "form"]

Task = Literal["tick", "plan", "notify"]

_SECTION = "移交申请 / The request"


def form() -> dict[str, Param]:
    """Return one field of the trigger form per field of the request."""
    return {name: _param(name) for name in HandoverRequest.model_fields}


class HandoverOperator(BaseOperator):
    """Do ``tick`` for every open hand-over, or ``plan`` or ``notify`` for the form's request.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error.
    """

    ui_color = "#e6dcef"

    def __init__(self, *, work: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        try:
            return guard.guarded("handover", lambda: self._do(context))
        except SafehandsError as error:
            problem = error
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context) -> dict[str, Any]:
        from safehands.installation import open_installation

        inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
        try:
            if self.work == "tick":
                return _tick(inst, business_date(context))
            return _request(inst, self.work, context)
        finally:
            inst.close()


def _tick(inst: Installation, day: date) -> dict[str, Any]:
    from safehands.handover.tick import tick

    return dict(tick(inst, day, inst.clock()))


def _request(inst: Installation, work: str, context: Context) -> dict[str, Any]:
    from safehands.handover.notify import notify
    from safehands.handover.opening import ask
    from safehands.handover.plan import assess, plan
    from safehands.handover.request import request_of
    from safehands.night import SHANGHAI

    params = context["params"]
    asked = ask(inst, request_of({n: params[n] for n in HandoverRequest.model_fields}))
    by, now = asked.request.seller_approver, inst.clock()
    day = now.astimezone(SHANGHAI).date()
    if work == "plan":
        rehearsal = asked.request.dry_run
        made = plan(inst, asked, day) if rehearsal else assess(inst, asked, by, day, now)
        return {
            "handover": made["handover"],
            "mode": made["mode"],
            "classes": {one["class"]: one["people"] for one in made["classes"]},
            "missing": made["missing"],
            "blocked_by": made["blocked_by"],
        }
    if asked.request.dry_run:
        return {"handover": str(asked.id), "rehearsal": True}
    done = notify(inst, asked.id, by, day, now)
    return {"handover": str(asked.id), "until": done["until"], "lines": done["lines"]}


def _param(name: str) -> Param:
    field = HandoverRequest.model_fields[name]
    zh, _, en = (field.description or name).partition(" / ")
    texts: dict[str, Any] = {"title": f"{zh} / {name}", "description": f"{zh}。 {en}."}
    given = None if field.is_required() else field.default
    schema: dict[str, Any] = {"type": ["null", "string"]}
    if isinstance(given, tuple) or get_origin(field.annotation) is tuple:
        given = list(given or ())
        schema = {"type": "array", "items": {"type": "string"}}
    elif isinstance(given, bool):
        schema = {"type": "boolean"}
    elif isinstance(given, int):
        schema = {"type": "integer", "minimum": 0}
    elif get_origin(field.annotation) is Literal:
        schema = {"type": "string", "enum": list(get_args(field.annotation))}
    return Param(given, section=_SECTION, **schema, **texts)
