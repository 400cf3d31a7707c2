"""Every day: what is due in hand-overs, what to look at in sharing and incidents; the logs."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, Param, dag

from safehands_airflow.every_task import every_task
from safehands_airflow.handover import HandoverOperator
from safehands_airflow.incidents import WatchOperator
from safehands_airflow.runbook import runbook
from safehands_airflow.upkeep import LogsOperator

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=2),
    longest_retry=timedelta(minutes=30),
    at_most=timedelta(hours=1),
)

PARAMS = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="日期 / Day",
        description=("留空表示运行当天（北京时间）。 Empty: the day of the run in Asia/Shanghai."),
        section="推进 / What is due",
    ),
}


@dag(
    schedule=CronTriggerTimetable("30 6 * * *", timezone="Asia/Shanghai", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="每日推进 · Daily tick",
    description=(
        "到期的移交步骤、联系人、投诉和日志。"
        " What is due in hand-overs, contacts, complaints and logs."
    ),
    doc_md=runbook("tick"),
    tags=["safehands", "daily"],
    params=PARAMS,
    default_args=EVERY_TASK,
)
def tick() -> None:
    """Make the transitions that are due, start the approvals that are, and end."""
    advance = HandoverOperator(task_id="advance", work="tick")
    due = HandoverOperator(task_id="due", work="due")
    ask = TriggerDagRunOperator.partial(
        task_id="ask", trigger_dag_id="handover_approval", skip_when_already_exists=True
    ).expand_kwargs(due.output)
    advance >> due >> ask
    WatchOperator(task_id="watch")
    LogsOperator(task_id="logs")


tick()
