"""Every hour, and whenever there is new evidence: is there something that somebody should know?"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag

from safehands_airflow.alerting import AlertOperator
from safehands_airflow.assets import ASSESSMENT, DRILL, REPORT
from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    retries=3,
    first_retry=timedelta(minutes=1),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(minutes=15),
)

PARAMS = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="日期 / Day",
        description="留空表示运行当天（北京时间）。 Empty: the day of the run in Asia/Shanghai.",
        section="提醒 / What to look at",
    ),
}


@dag(
    # Clocks of incidents are counted in hours, so once a day would be too seldom.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("15 * * * *", timezone="Asia/Shanghai"),
        assets=REPORT | DRILL | ASSESSMENT,
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="提醒 · Alerts",
    description=(
        "每小时看一次，有事才说：邮件和群机器人。"
        " Every hour: tells by e-mail and group robots what somebody should know; quiet otherwise."
    ),
    doc_md=runbook("alerts"),
    tags=["safehands", "hourly"],
    params=PARAMS,
    default_args=EVERY_TASK,
)
def alerts() -> None:
    """Look, and send each new alert once to every channel that wants it."""
    AlertOperator(task_id="tell")


alerts()
