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
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.installation import Installation

__all__ = ["HandoverOperator", "form"]

Task = Literal["tick", "due", "plan", "notify"]

_SECTIONS: dict[str, tuple[str, ...]] = {
    "1 谁移交给谁 / 1 Who hands over what to whom": (
        *("stations", "seller", "buyer", "buyer_name", "buyer_contact", "buyer_people"),
    ),
    "2 转让方式与证明 / 2 Mode and its proof": (
        *("transfer_mode", "proof", "proof_digest", "handler_confirmation"),
    ),
    "3 何时 / 3 When": ("effective_on", "closing_evidence"),
    "4 告知客户 / 4 Telling people": (
        *("buyer_purposes", "channels", "window_days", "gateway_agreement", "gateway_key"),
    ),
    "5 协议与钥匙 / 5 Agreement and key": (
        *("buyer_key", "agreement", "agreement_terms", "agreement_until"),
    ),
    "6 谁批准 / 6 Who approves": ("seller_approver", "buyer_approver", "dry_run"),
}


def form() -> dict[str, Param]:
    """Return one field of the trigger form per field of the request."""
    return {name: _param(name) for name in HandoverRequest.model_fields}


class HandoverOperator(BaseOperator):
    """Do ``tick`` for every open hand-over, or ``plan`` or ``notify`` for the form's request.

    ``due`` returns which hand-overs wait for an approval, as runs of ``handover_approval`` to
    start: at most one a week for each.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error.
    """

    ui_color = "#e6dcef"
    operator_extra_links = lead_to("handovers")

    def __init__(self, *, work: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> Any:
        """Open the installation, do the work, close the installation."""
        try:
            return guard.guarded("handover", lambda: self._do(context))
        except SafehandsError as error:
            problem = error
        # Raised outside the handler, so that nothing hangs on it as context.
        raise problem if problem.retryable else NightProblem(problem)

    def _do(self, context: Context) -> Any:
        from safehands.installation import open_installation

        inst = open_installation(Settings.read(os.environ), lambda: datetime.now(UTC))
        try:
            if self.work == "tick":
                return _tick(inst, business_date(context))
            if self.work == "due":
                return _due(inst, business_date(context))
            return _request(inst, self.work, context)
        finally:
            inst.close()


def _tick(inst: Installation, day: date) -> dict[str, Any]:
    from safehands.handover.tick import tick
    from safehands.transfer.expiry import expire

    now = inst.clock()
    return {**tick(inst, day, now), "expired": expire(inst, day, now)}


def _due(inst: Installation, day: date) -> list[dict[str, Any]]:
    from safehands.handover.tick import unapproved

    week = day.strftime("%G-W%V")
    return [
        {"conf": {"handover": str(one)}, "trigger_run_id": f"approval-{one}-{week}"}
        for one in unapproved(inst, day)
    ]


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
    example = (field.examples or [""])[0]
    shown = (f" 例：{example}。", f" E.g. {example}.") if example else ("", "")
    texts: dict[str, Any] = {
        "title": f"{zh.split('；')[0].split('（')[0]} / {name}",
        "description": f"{zh}。{shown[0]} {en}.{shown[1]}",
    }
    given = None if field.is_required() else field.default
    schema: dict[str, Any] = {"type": ["null", "string"]}
    if isinstance(given, tuple) or get_origin(field.annotation) is tuple:
        given = list(given or ())
        schema = {"type": "array", "items": {"type": "string"}, **_choices(field.annotation)}
    elif isinstance(given, bool):
        schema = {"type": "boolean"}
    elif isinstance(given, int):
        schema = {"type": "integer", "minimum": 0}
    elif get_origin(field.annotation) is Literal:
        schema = {"type": "string", "enum": list(get_args(field.annotation))}
    elif name == "effective_on":
        schema = {"type": ["null", "string"], "format": "date"}
    # A digest's example is the command that makes it: told, but nothing to fill in.
    if schema["type"] == ["null", "string"] and example and " " not in example:
        schema["examples"] = [example]
    return Param(given, section=_section(name), **schema, **texts)


def _choices(annotation: Any) -> dict[str, Any]:
    """Offer the words of a list of literals; the form shows them as boxes to choose from."""
    [inner, *_] = get_args(annotation)
    return {"examples": list(get_args(inner))} if get_origin(inner) is Literal else {}


def _section(name: str) -> str:
    return next(title for title, names in _SECTIONS.items() if name in names)
