"""Operators of a disclosure: what would be given, the decider's yes, the file and its register."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from safehands.errors import AccessRefused
from safehands_airflow.deciding import check_decider, opened, required, responder
from safehands_airflow.links import lead_to
from safehands_airflow.operators import business_date

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.sharing import ShareBook
    from safehands.sharing.plan import Request

__all__ = ["GIVE", "STOP", "AgreeOperator", "DiscloseOperator", "form"]

GIVE = "提供 · Give"
STOP = "不提供 · Do not give"

_WAIT = timedelta(days=3)
_SECTION = "提供什么 / What to give"
_TOLD = [
    "agreement",
    "owner",
    "purpose",
    "model",
    "since",
    "until",
    "people",
    "rows",
    "without_basis_left_out",
    "unreachable_left_out",
    "least_class",
    "smallest_class",
    "overall_risk",
    "rows_suppressed",
    "cells_suppressed",
    "people_abroad_this_year",
]
_BODY = """{% set p = ti.xcom_pull(task_ids='plan') or {} %}
| | |
|---|---|
{% for name, value in p.items() %}| {{ name }} | {{ value }} |
{% endfor %}
批准后才会打开数据、加密并登记；接收方拿到的是自己的代码，不能与别人的文件合并。
*Only after a yes are rows opened, sealed and registered; the recipient gets codes of its own.*
"""


def form() -> dict[str, Param]:
    """Return the trigger form; a rehearsal is the default."""
    return {
        "agreement": _text("协议代码", "Code of the agreement", "sf-claims"),
        "owner": _text("经营者代码", "Code of the owner", "owner-1"),
        "by": _text("经办人工号", "Staff id of who prepares it; not who approves", "wang.li"),
        "purpose": _text(
            "目的，留空取协议的第一个目的", "Purpose; empty: the agreement's first", "claims"
        ),
        "since": _text(
            "包裹到站起始日，留空为三十天前", "First day; empty: thirty days", "2026-11-01", "date"
        ),
        "until": _text("截止日，留空为当天", "Last day; empty: today", "2026-11-30", "date"),
        "reason": _text(
            "超过批量上限时的理由",
            "Reason, where there are more rows than the limit",
            "季度理赔核对 quarterly claims",
        ),
        "dry_run": Param(
            True,
            type="boolean",
            title="只试算 / Rehearsal only",
            description="只计算会提供什么，不产生文件。 Only counts what would be given; no file.",
            section=_SECTION,
        ),
        "business_date": _text(
            "业务日期，留空为当天", "Day of the disclosure; empty: today", "2026-11-30", "date"
        ),
    }


class DiscloseOperator(BaseOperator):
    """``plan`` counts what would be given; ``give`` makes the file and registers it, once a run.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#efe9dc"
    operator_extra_links = lead_to("incidents")

    def __init__(self, *, work: Literal["plan", "give"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        agreement, owner = str(required(context, "agreement")), str(required(context, "owner"))
        asked, day = dict(context["params"]), business_date(context)
        if self.work == "plan":
            return opened("plan", lambda inst: _plan(inst, agreement, owner, asked, day))
        by, run = str(required(context, "by")), context["run_id"]
        return opened("give", lambda inst: _give(inst, agreement, owner, asked, day, by, run))


class AgreeOperator(HITLOperator):
    """Ask a decider, who is not the one that prepares it; skipped in a rehearsal.

    Nobody's answer within three days is a no.
    """

    ui_color = "#efe9dc"
    operator_extra_links = lead_to("incidents")

    def __init__(self, *, params: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        # Airflow hands the DAG's own params to every operator; this form has none.
        super().__init__(
            subject="是否对外提供？ Give this to the recipient?",
            body=_BODY,
            options=[GIVE, STOP],
            defaults=STOP,
            response_timeout=_WAIT,
            params={},
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Ask, unless it is a rehearsal."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("agree")
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return who agreed; skip what follows when nobody did."""
        given = super().execute_complete(context, event)
        if given["chosen_options"] != [GIVE]:
            raise AirflowSkipException("agree")
        who, by = responder(given), str(required(context, "by"))
        opened("agree", lambda inst: _check(inst, who, by))
        return {"approver": who}


def _text(zh: str, en: str, example: str, form: str = "") -> Param:
    words: dict[str, Any] = {
        "title": f"{zh.split('，')[0]} / {en.split(';')[0]}",
        "description": f"{zh}。 例：{example}。 {en}. E.g. {example}.",
    }
    more: dict[str, Any] = {"examples": [example], **({"format": form} if form else {})}
    return Param(None, type=["null", "string"], section=_SECTION, **words, **more)


def _check(inst: Installation, who: str, by: str) -> None:
    check_decider(inst, who)
    if who.casefold() == by.casefold():
        raise AccessRefused("incident.same_person")


def _book(inst: Installation) -> ShareBook:
    from safehands.sharing import load_share_book

    return load_share_book(inst.settings.policy, inst.policy)


def _request(
    book: ShareBook, agreement: str, owner: str, asked: dict[str, Any], day: date
) -> Request:
    from safehands.sharing import in_force
    from safehands.sharing.plan import Request

    known = in_force(book, agreement, owner, day)
    last = date.fromisoformat(asked["until"]) if asked["until"] else day
    first = date.fromisoformat(asked["since"]) if asked["since"] else last - timedelta(days=29)
    return Request(agreement, owner, asked["purpose"] or known.purposes[0], first, last)


def _plan(
    inst: Installation, agreement: str, owner: str, asked: dict[str, Any], day: date
) -> dict[str, Any]:
    from safehands import gates
    from safehands.keys.domain import open_domain
    from safehands.organisation import owner_of
    from safehands.sharing import ask_gate, plan
    from safehands.sharing.disclose import sheet
    from safehands.vault.access import OFFICER

    book, known = _book(inst), owner_of(inst, owner)
    request = _request(book, agreement, owner, asked, day)
    domain = open_domain(inst.provider, owner, agreement, make=True)
    with inst.store.begin(OFFICER, known.id) as connection:
        made = plan(connection, inst, book, request, known, domain, day)
        # Nobody is asked to agree to what the gate would stop.
        gates.require(ask_gate(connection, inst, made, known, day))
        facts = sheet(made, book, day)
    return {name: facts[name] for name in _TOLD}


def _give(
    inst: Installation,
    agreement: str,
    owner: str,
    asked: dict[str, Any],
    day: date,
    by: str,
    run: str,
) -> dict[str, Any]:
    from safehands.sharing import disclose

    book = _book(inst)
    request = _request(book, agreement, owner, asked, day)
    made = disclose(inst, book, request, day, by, str(asked["reason"] or ""), once=run)
    return {
        "disclosure": made.number,
        "people": made.people,
        "rows": made.rows,
        "suppressed": made.suppressed,
    }
