"""Operators of incidents: what happened, who is affected, drafts, approval, containment, drills.

As everywhere at this edge: environment and clock are read here, and a task returns counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from safehands.errors import AccessRefused, PolicyError, SafehandsError
from safehands.organisation.files import read_yaml
from safehands.settings import Settings
from safehands_airflow.deciding import check_decider, opened, required, responder
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.incidents import IncidentBook, Scope
    from safehands.installation import Installation
    from safehands.store.register import Owner

__all__ = ["NOTHING", "ApproveOperator", "IncidentOperator", "WatchOperator", "form"]

NOTHING = "暂不采取 · None of these now"

_WAIT = timedelta(days=1)
_WHAT = "发生了什么 / What happened"
_REACH = "涉及范围 / How far it reaches"
_LATER = ("incident.epoch_not_now",)
_TOLD = frozenset(
    ["people", "named", "within", "possible", "rows", "nobody", "sensitive", "minors"]
)
_LINES = {
    "事件 incident": "{{ n.get('owner') }} #{{ n.get('incident') }}",
    "涉及人数 people": "{{ n.get('people') }}",
    "确知 named": "{{ n.get('named') }}",
    "范围内 within": "{{ n.get('within') }}",
    "可能 possible": "{{ n.get('possible') }}",
    "敏感 sensitive": "{{ n.get('sensitive') }}",
    "未成年 minors": "{{ n.get('minors') }}",
    "等级 grade": "{{ n.get('grade') }}",
    "待发通知 notices drafted": "{{ d.get('messages') }}",
    "建议措施 proposed": "{{ (p.get('actions') or []) | join(', ') }}",
}
_BODY = (
    "{% set n = ti.xcom_pull(task_ids='assess') or {} %}"
    "{% set d = ti.xcom_pull(task_ids='draft') or {} %}"
    "{% set p = ti.xcom_pull(task_ids='propose') or {} %}\n| | |\n|---|---|\n"
    + "".join(f"| {name} | {value} |\n" for name, value in _LINES.items())
    + "\n批准人不能是处理人。停止对外提供、收回访问、轮换数据密钥、开启新纪元、"
    "要求接收方销毁由程序执行；轮换根密钥和恢复备份由人执行，填写依据即记录为已完成。\n"
    "*Who approves is never who handles. The program itself stops disclosures, revokes access,"
    " rotates the data key, opens a new epoch and recalls what was given; the root key and a"
    " restore are done by people, and recorded as done with a reference.*\n"
)

Task = Literal["open", "assess", "draft", "propose", "contain", "drill"]


def form() -> dict[str, Param]:
    """Return the trigger form; a drill is the default, and needs no field."""
    kinds = _words("kinds")
    told = "；".join(f"{name} {words}" for name, words in kinds.items())
    return {
        "drill": Param(
            True,
            type="boolean",
            title="演练 / A drill",
            description=(
                "演练使用临时数据库里的虚构人员，不接触真实数据。"
                " A drill uses synthetic people in a throw-away database."
            ),
            section=_WHAT,
        ),
        "owner": _text(
            "经营者代码，演练留空表示全部",
            "Owner's code; empty in a drill: all",
            examples=["owner-1"],
        ),
        "kind": _text(told, "One of these", enum=[None, *kinds]),
        "discovered": _text(
            "发现时间，如 2026-11-24T08:30（北京时间）",
            "When it was discovered",
            examples=["2026-11-24T08:30"],
        ),
        "finder": _text("发现人的工号", "Staff id of who discovered it", examples=["chen.fang"]),
        "by": _text(
            "处理人的工号，不能同时是批准人", "Staff id of who handles it", examples=["wang.li"]
        ),
        "began": _text(
            "事件开始时间", "When it began", section=_REACH, examples=["2026-11-23T22:00"]
        ),
        "ended": _text(
            "事件结束时间", "When it ended", section=_REACH, examples=["2026-11-24T01:00"]
        ),
        "systems": _texts("涉及系统", "Systems concerned", "station-pc"),
        "stations": _texts("涉及站点代码，留空表示全部", "Codes of stations; empty: all", "S001"),
        "batches": _texts("涉及批次编号", "Numbers of batches", "[12, 13]", kind="integer"),
        "agreements": _texts(
            "涉及接收方的协议代码", "Agreements with the recipients concerned", "sf-claims"
        ),
        "staff": _texts("涉及人员工号", "Staff ids concerned", "li.na"),
        "parcels": _flag("时间范围内的包裹", "Parcels that arrived within the time"),
        "everybody": _flag("全部人员", "Everybody who is held"),
        "copied": _text(
            "流出的备份的时间",
            "Moment of the backup that got away",
            section=_REACH,
            examples=["2026-11-23T02:30"],
        ),
    }


class IncidentOperator(BaseOperator):
    """Do one part of an incident of the form and return counts.

    A run whose form says drill does ``drill`` only, any other run everything else.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#efdcdc"
    operator_extra_links = lead_to("incidents")

    def __init__(self, *, work: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, do the work, close the installation."""
        rehearsal = bool(context["params"]["drill"])
        if rehearsal != (self.work == "drill") and self.work in ("open", "drill"):
            raise AirflowSkipException(self.work)
        if self.work == "drill":
            return opened("drill", lambda inst: _drill(inst, context))
        if self.work == "open":
            asked = _asked(context)
            return opened("open", lambda inst: _open(inst, asked))
        before = context["ti"].xcom_pull(task_ids="open")
        by = str(required(context, "by"))
        if self.work == "contain":
            chosen = context["ti"].xcom_pull(task_ids="approve") or {}
            return opened("contain", lambda inst: _contain(inst, before, by, chosen))
        return opened(self.work, lambda inst: _WORK[self.work](inst, before, by))


class WatchOperator(BaseOperator):
    """Count what somebody should look at: contacts, agreements, complaints, unusual access.

    Returns the counts by owner; the night's gate warns where one is not nought.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried).
    """

    ui_color = "#efdcdc"
    operator_extra_links = lead_to("incidents")

    def execute(self, context: Context) -> dict[str, Any]:
        """Open the installation, record the figures, close the installation."""
        day = business_date(context)
        return opened("incident", lambda inst: _watch(inst, day))


class ApproveOperator(HITLOperator):
    """Ask a decider which of the containing actions to take.

    Nobody's answer within a day counts as "none now": the drafts lie ready, the clocks run on, and
    an action can be taken with ``safehands incident contain`` at any time.
    """

    ui_color = "#efdcdc"
    operator_extra_links = lead_to("incidents")

    def __init__(self, *, params: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        # Airflow hands the DAG's own params to every operator; this form has its own.
        super().__init__(
            subject="采取哪些补救措施？ Which measures are approved?",
            body=_BODY,
            options=[*_labels().values(), NOTHING],
            defaults=[NOTHING],
            multiple=True,
            response_timeout=_WAIT,
            params={
                "reference": Param(
                    None,
                    type=["null", "string"],
                    maxLength=80,
                    title="依据 / Reference",
                    description=(
                        "由人执行的措施：工单或记录编号。不填则列为待办。"
                        " For what people do: ticket or record. Empty: it stays to do."
                    ),
                )
            },
            **kwargs,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return who approved what; the next task writes it to the incident."""
        given = super().execute_complete(context, event)
        names = {label: name for name, label in _labels().items()}
        actions = [names[one] for one in given["chosen_options"] if one != NOTHING]
        if not actions:
            raise AirflowSkipException("approve")
        who = responder(given)
        opened("approve", lambda inst: check_decider(inst, who))
        reference = str(given["params_input"].get("reference") or "")
        return {"actions": actions, "approver": who, "reference": reference}


def _labels() -> dict[str, str]:
    return _words("actions")


def _words(part: str) -> dict[str, str]:
    """Return names and labels of ``incidents.yaml``.

    Its checked form comes with pandas, which a DAG that is parsed every half minute can't afford.
    """
    book = read_yaml(Settings.read(os.environ).policy / "incidents.yaml")
    return {name: f"{one['zh']} · {one['en']}" for name, one in book[part].items()}


def _text(zh: str, en: str, section: str = _WHAT, **schema: Any) -> Param:
    # Airflow's form proposes an example only once somebody types: it is told as well.
    zh_example, en_example = "", ""
    for example in schema.get("examples", ()):
        zh_example, en_example = f" 例：{example}。", f" E.g. {example}."
    words: dict[str, Any] = {
        "title": f"{zh.split('，')[0]} / {en.split(';')[0]}",
        "description": f"{zh}。{zh_example} {en}.{en_example}",
    }
    return Param(None, type=["null", "string"], section=section, **words, **schema)


def _texts(zh: str, en: str, example: str, kind: str = "string") -> Param:
    # Proposals of a list would forbid every other word in Airflow's form: its example is told.
    words: dict[str, Any] = {
        "title": f"{zh.split('，')[0]} / {en.split(';')[0]}",
        "description": f"{zh}。 例：{example}。 {en}. E.g. {example}.",
    }
    return Param([], type="array", items={"type": kind}, section=_REACH, **words)


def _flag(zh: str, en: str) -> Param:
    words: dict[str, Any] = {"title": f"{zh} / {en}", "description": f"{zh}。 {en}."}
    return Param(False, type="boolean", section=_REACH, **words)


def _asked(context: Context) -> dict[str, Any]:
    names = ("owner", "kind", "finder", "by")
    asked = {name: str(required(context, name)) for name in names}
    times = [_moment(context, name) for name in ("discovered", "began", "ended")]
    return {**asked, "times": tuple(times), "params": dict(context["params"])}


def _moment(context: Context, name: str) -> datetime:
    from safehands.night import SHANGHAI

    given = str(required(context, name))
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None:
        raise NightProblem(PolicyError("airflow.form_time", name=name))
    return moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)


def _open(inst: Installation, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Open the incident, or return the open one that says the same: a task may be run twice."""
    from safehands.incidents import cases, open_case
    from safehands.organisation import owner_of
    from safehands.store import lock
    from safehands.vault.access import OFFICER

    owner, book, now = owner_of(inst, asked["owner"]), _book(inst), inst.clock()
    kind, times, finder = asked["kind"], asked["times"], asked["finder"]
    scope = _scope(owner, asked["params"])
    with inst.store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.incident.{owner.id}")
        for one in cases(connection):
            same = (one.kind, one.discovered_at, one.began_at, one.ended_at, one.discovered_by)
            if same == (kind, *times, finder) and one.scope == scope and not one.first("closed"):
                return {"owner": owner.code, "incident": one.number}
        number = open_case(connection, book, owner, kind, times, finder, scope, asked["by"], now)
    return {"owner": owner.code, "incident": number}


def _scope(owner: Owner, given: Mapping[str, Any]) -> Scope:
    from safehands.incidents import Scope

    unknown = set(given["stations"]) - owner.stations.keys()
    if unknown:
        raise PolicyError("airflow.form_field", name="stations")
    return Scope(
        tuple(owner.stations[code] for code in given["stations"]),
        tuple(int(one) for one in given["batches"]),
        tuple(given["agreements"]),
        tuple(given["staff"]),
        tuple(given["systems"]),
        bool(given["parcels"]),
        bool(given["everybody"]),
        str(given["copied"] or ""),
    )


def _book(inst: Installation) -> IncidentBook:
    from safehands.incidents import load_incident_book

    return load_incident_book(inst.settings.policy)


def _owner(inst: Installation, before: Mapping[str, Any]) -> tuple[Owner, int]:
    from safehands.organisation import owner_of

    return owner_of(inst, str(before["owner"])), int(before["incident"])


def _assess(inst: Installation, before: Mapping[str, Any], by: str) -> dict[str, Any]:
    from safehands.incidents import assess

    book = _book(inst)
    owner, number = _owner(inst, before)
    counts = assess(inst, book, owner, number, by)
    facts = {name: n for name, n in counts.facts().items() if name in _TOLD}
    return {**before, **facts, "grade": book.grade(counts.people)}


def _draft(inst: Installation, before: Mapping[str, Any], by: str) -> dict[str, Any]:
    from safehands.incidents import draft

    owner, number = _owner(inst, before)
    made = draft(inst, _book(inst), owner, number, by)
    return {**before, "messages": made.messages, "announcement": made.announcement_only}


def _propose(inst: Installation, before: Mapping[str, Any], by: str) -> dict[str, Any]:
    from safehands.incidents import propose

    owner, number = _owner(inst, before)
    return {**before, "actions": propose(inst, _book(inst), owner, number, by)}


def _contain(
    inst: Installation, before: Mapping[str, Any], by: str, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """Take what was approved; what only people can do, and have not, is returned as to do."""
    from safehands.incidents import case, contain
    from safehands.vault.access import OFFICER

    book = _book(inst)
    owner, number = _owner(inst, before)
    approver, reference = str(chosen["approver"]), str(chosen["reference"])
    with inst.store.begin(OFFICER, owner.id) as connection:
        done = {e.name for e in case(connection, number).events if e.kind == "done"}
    todo = []
    for action in chosen["actions"]:
        if action in done:
            continue
        if not (book.actions[action].itself or reference):
            todo.append(action)
            continue
        try:
            contain(inst, book, owner, number, action, by, approver, reference)
        except AccessRefused as refused:
            if refused.key not in _LATER:
                raise
            todo.append(action)
    return {**before, "to_do": todo}


def _drill(inst: Installation, context: Context) -> dict[str, Any]:
    from safehands.incidents import drill
    from safehands.store.register import owners

    chosen = context["params"]["owner"]
    by = str(context["params"]["by"] or "airflow")
    results = {}
    for code in [chosen] if chosen else sorted(owners(inst.store)):
        done = drill(inst, _book(inst), code, by, monotonic)
        results[code] = {
            "people": done.people,
            "milliseconds_to_count": round(done.seconds_to_count * 1000),
            "milliseconds_to_drafts": round(done.seconds_to_drafts * 1000),
            "passed": done.passed,
        }
    failed = sorted(code for code, one in results.items() if not one["passed"])
    if failed:
        raise SafehandsError("incident.drill_failed", owners=", ".join(failed))
    return results


def _watch(inst: Installation, day: date) -> dict[str, Any]:
    from safehands.incidents import incident_figures

    return incident_figures(inst, day, f"tick-{day}")


_WORK = {"assess": _assess, "draft": _draft, "propose": _propose}
