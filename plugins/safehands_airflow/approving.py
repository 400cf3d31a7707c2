"""Operators of a hand-over's approval: what is shown, who says yes, what the gate says then.

The store is the state machine: an answer is written at once under the responder's id, which has to
be the approver named in the request. Nobody's answer within the time is no answer: nothing is
written, and ``tick`` asks again the week after. A rule that blocks cannot be approved away.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from safehands_airflow.deciding import opened, required, responder
from safehands_airflow.fields import day_field, handover_field
from safehands_airflow.links import lead_to
from safehands_airflow.operators import business_date

if TYPE_CHECKING:
    from safehands.handover.approvals import Decision, Party
    from safehands.installation import Installation

__all__ = ["APPROVE", "LATER", "REFUSE", "WITHDRAW", "ApproveOperator", "LookOperator", "form"]

APPROVE = "批准 · Approve"
REFUSE = "拒绝 · Refuse"
WITHDRAW = "撤回先前的批准 · Withdraw"
LATER = "暂不答复 · Not now"

_MEANS: dict[str, Decision] = {APPROVE: "approve", REFUSE: "refuse", WITHDRAW: "withdraw"}
_WAIT = timedelta(days=6)
"""Below a week, so that the next asking finds nobody else asking."""

_BODY = """{% set p = ti.xcom_pull(task_ids='look') or {} %}
| | |
|---|---|
| {{ p.mode }} | {{ p.article }} |
| 驿站 stations | {{ p.stations }} |
| 交接日 closing | {{ p.closing }} |
{% for name, people in (p.classes or {}).items() %}| {{ name }} | {{ people }} |
{% endfor %}| 还缺 missing | {{ (p.missing or ['–']) | join(', ') }} |
| 阻止的规则 blocked by | {{ (p.blocked_by or ['–']) | join(', ') }} |

计划页：`{{ p.page }}`。阻止移交的规则谁也不能批准绕过；批准 30 天后失效。
*The plan is in that page. Nobody can approve away a rule that blocks; an approval lapses after
30 days.*
"""


def form() -> dict[str, Param]:
    """Return the trigger form: which hand-over, and for a replay which day."""
    section = "哪次移交 / Which hand-over"
    return {
        "handover": handover_field(section),
        "business_date": day_field(section),
    }


class LookOperator(BaseOperator):
    """``look``: count what is approved, as it stands today; ``conclude``: go on when all said yes.

    Returns counts, rule ids and words of the catalogue. Errors: ``NightProblem`` (not retried,
    also while a rule blocks) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#e6dcef"
    operator_extra_links = lead_to("handovers")

    def __init__(self, *, work: Literal["look", "conclude"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        this, day = UUID(str(required(context, "handover"))), business_date(context)
        if self.work == "look":
            return opened("handover", lambda inst: _look(inst, this, day))
        return opened("handover", lambda inst: _conclude(inst, this, day))


class ApproveOperator(HITLOperator):
    """Ask one party; skipped for a closure's buyer, who is nobody."""

    ui_color = "#e6dcef"
    operator_extra_links = lead_to("handovers")

    def __init__(
        self,
        *,
        party: Party,
        params: Any = None,  # noqa: ARG002 - the DAG's own params are not this form's
        **kwargs: Any,
    ) -> None:
        who = {"seller": "转出方 · seller", "buyer": "接手方 · buyer"}[party]
        super().__init__(
            subject=f"批准移交？ Approve the hand-over? ({who})",
            body=_BODY,
            options=[APPROVE, REFUSE, WITHDRAW, LATER],
            defaults=LATER,
            response_timeout=_WAIT,
            params={},
            **kwargs,
        )
        self.party: Party = party

    def execute(self, context: Context) -> Any:
        """Ask, unless the party has nobody to ask or said yes already."""
        shown = context["ti"].xcom_pull(task_ids="look") or {}
        if self.party not in shown.get("asks", ()):
            raise AirflowSkipException("nobody to ask")
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Write the decision at once, under the id of whoever answered."""
        given = super().execute_complete(context, event)
        [chosen] = given["chosen_options"]
        who, decision = responder(given), _MEANS.get(chosen)
        if decision is None or not who:
            raise AirflowSkipException("no answer")
        this, day = UUID(str(required(context, "handover"))), business_date(context)
        opened("handover", lambda inst: _decide(inst, this, self.party, decision, who, day))
        return {"party": self.party, "decision": decision, "by": who}


def _look(inst: Installation, this: UUID, day: Any) -> dict[str, Any]:
    from safehands.handover.approvals import decisions, needed
    from safehands.handover.opening import known
    from safehands.handover.pages import folder_of
    from safehands.handover.plan import plan
    from safehands.messages import say

    handover, asked = known(inst, this)
    made, standing = plan(inst, asked, day), decisions(inst, this, day)
    lang = inst.settings.lang
    return {
        "handover": str(this),
        "state": handover.state,
        "mode": say(f"handover.mode.{made['mode']}", lang),
        "article": made["article"],
        "stations": ", ".join(made["stations"]),
        "closing": made["calendar"]["asked"],
        "classes": {
            say(f"handover.class.{one['class']}", lang): one["people"] for one in made["classes"]
        },
        "missing": [say(f"handover.missing.{name}", lang) for name in made["missing"]],
        "blocked_by": made["blocked_by"],
        "page": str(folder_of(inst, this) / "plan.html"),
        "asks": [
            party for party in needed(asked) if standing.get(party, {}).get("decision") != "approve"
        ],
    }


def _decide(
    inst: Installation, this: UUID, party: Party, decision: Decision, who: str, day: Any
) -> None:
    from safehands.errors import GateClosed
    from safehands.handover.approvals import decide

    try:
        decide(inst, this, party, decision, who, day, inst.clock())
    except GateClosed:
        # The answer is written; what the gate says of it is the last task's to tell.
        return


def _conclude(inst: Installation, this: UUID, day: Any) -> dict[str, Any]:
    from safehands.handover.approvals import approve_due, decisions

    done = approve_due(inst, this, day, inst.clock())
    said = {party: one["decision"] for party, one in decisions(inst, this, day).items()}
    return {"approved": done and set(said.values()) == {"approve"}, "said": said}
