"""Operators of one person's request: look, the officer's decision, what follows from it.

The run knows the request's id and nothing else of the person. The decision is Airflow's
human-in-the-loop task; it is written to the store the moment it arrives, under the id of whoever
answered, which has to be one of the deciders in ``rights.yaml``.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from safehands.errors import AccessRefused
from safehands.rights.book import load_rights_book
from safehands.settings import Settings
from safehands_airflow.deciding import check_decider, opened, responder
from safehands_airflow.links import lead_to

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.rights.requests import Request

__all__ = ["GRANT", "LATER", "REFUSE", "DecideOperator", "RequestOperator"]

GRANT = "同意 · Grant"
REFUSE = "拒绝 · Refuse"
LATER = "以后再定 · Later"

_WAIT = timedelta(days=3)
_BODY = """{% set r = ti.xcom_pull(task_ids='look') or {} %}
| | |
|---|---|
| 请求 request | {{ r.get('request') }} |
| 事项 kind | {{ r.get('kind') }} |
| 由谁提出 on behalf of | {{ r.get('behalf') }} |
| 身份核验 identity checked by | {{ r.get('identified_how') }} |
| 答复期限 answer by | {{ r.get('target') }}（最迟 at the latest {{ r.get('latest') }}） |

拒绝须选理由；“复制、转移”须确认四个条件。
*A refusal needs a reason; portability needs its four conditions confirmed.*
"""


class RequestOperator(BaseOperator):
    """``look`` at the request of the form, or ``carry_out`` what was decided; return counts.

    ``carry_out`` is skipped for a request that was refused or left for later, and for one whose
    new value only a person may type (correction, completion): that is done by the CLI.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#dce6ef"
    operator_extra_links = lead_to("requests")

    def __init__(self, *, work: Literal["look", "carry_out"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        request = str(context["params"]["request"] or "")
        if self.work == "look":
            return opened("look", lambda inst: _shown(_find(inst, request)))
        answer = context["ti"].xcom_pull(task_ids="decide") or {}
        result = opened("carry_out", lambda inst: _carry_out(inst, request, answer))
        if result is None:
            raise AirflowSkipException(self.work)
        return result


class DecideOperator(HITLOperator):
    """Ask the officer, and write the answer to the store under the id of whoever gave it.

    A request that was decided already is not asked about again. Nobody's answer within three days
    counts as "later": the request stays open in the store, with its clock, and the run ends.

    Errors: ``NightProblem`` for a responder who is no decider, a refusal without reason, a key that
    is none; nothing is recorded then.
    """

    ui_color = "#dce6ef"
    operator_extra_links = lead_to("requests")

    def __init__(self, *, params: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        # Airflow hands the DAG's own params to every operator; this form has its own.
        super().__init__(
            subject="是否同意该请求？ Grant this request?",
            body=_BODY,
            options=[GRANT, REFUSE, LATER],
            defaults=LATER,
            response_timeout=_WAIT,
            params=_form(),
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Ask, unless the store has the answer."""
        request = str(context["params"]["request"] or "")
        if opened("decide", lambda inst: _find(inst, request).state) in _DECIDED:
            return {"recipient": ""}
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; return what carrying out needs of it."""
        given = super().execute_complete(context, event)
        [chosen] = given["chosen_options"]
        if chosen == LATER:
            raise AirflowSkipException("decide")
        request = str(context["params"]["request"] or "")
        who = responder(given)
        answer = dict(given["params_input"])
        opened("decide", lambda inst: _decide(inst, request, who, chosen == GRANT, answer))
        return {"recipient": str(answer.get("recipient") or "")}


_DECIDED = ("granted", "refused", "done")
_TYPED = ("correct", "supplement")


def _form() -> dict[str, Param]:
    reasons = load_rights_book(Settings.read(os.environ).policy).refusals
    told = "；".join(f"{name} {words.zh} {words.en}" for name, words in reasons.items())
    return {
        "reason": Param(
            None,
            type=["null", "string"],
            enum=[None, *reasons],
            title="拒绝理由 / Reason of a refusal",
            description=told,
        ),
        "conditions": Param(
            False,
            type="boolean",
            title="四个条件均符合 / All four conditions hold",
            description="仅用于复制、转移。 For portability only (网络数据安全管理条例 25).",
        ),
        "recipient": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            title="本人的 age 公钥 / The person's own age key",
            description="留空则用口令加密。 Empty: the package is sealed with a passphrase.",
        ),
    }


def _find(inst: Installation, request: str) -> Request:
    from safehands.rights.requests import find

    found = find(inst.store, request)
    if found.state == "registered":
        raise AccessRefused("rights.wrong_state", request=request, state=found.state)
    return found


def _shown(found: Request) -> dict[str, Any]:
    return {
        "request": found.request,
        "kind": found.kind,
        "behalf": found.behalf,
        "state": found.state,
        "identified_how": found.identified_how,
        "target": found.target.isoformat(),
        "latest": found.latest.isoformat(),
    }


def _decide(
    inst: Installation, request: str, who: str, grant: bool, answer: dict[str, Any]
) -> None:
    from safehands.keys.age import check_recipient
    from safehands.rights.decide import decide

    book = load_rights_book(inst.settings.policy)
    check_decider(inst, who)
    if answer.get("recipient"):
        check_recipient(str(answer["recipient"]))
    decide(
        inst,
        book,
        request,
        who,
        inst.clock(),
        grant=grant,
        reason="" if grant else str(answer.get("reason") or ""),
        conditions=tuple(book.conditions) if answer.get("conditions") else (),
    )


def _carry_out(inst: Installation, request: str, answer: dict[str, Any]) -> dict[str, Any] | None:
    from safehands.rights.carry import Given, carry_out

    found = _find(inst, request)
    if found.state not in ("granted", "done") or found.kind in _TYPED:
        return None
    folder = inst.settings.home / "answers"
    given = Given(secrets.token_bytes(16), folder, str(answer.get("recipient") or ""))
    done = carry_out(inst, request, found.decided_by, inst.clock(), given)
    if done.passphrase:
        _keep(inst.settings.home / "passphrases" / f"{request}.txt", done.passphrase)
    return {"request": request, **done.counts}


def _keep(path: Path, passphrase: str) -> None:
    """Write it where only this system user reads: a task has nobody in front of a screen."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(passphrase + "\n")
