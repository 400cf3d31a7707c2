"""After every night on what changed, and every month in full: are the assessments still true?"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag

from safehands_airflow.assessing import AssessOperator
from safehands_airflow.assets import ASSESSMENT, REPORT
from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=2),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(hours=2),
)

SECTION = "评估 / The assessment"
PARAMS = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="评估日期 / Date of the assessment",
        description=("留空表示运行当天（北京时间）。 Empty: the day of the run in Asia/Shanghai."),
        section=SECTION,
    ),
    "full": Param(
        False,
        type="boolean",
        title="全面评估 / In full",
        description=(
            "所有经营者，并重新测量重标识风险；否则只看证据有变化的经营者。"
            " All owners, measuring re-identification again; otherwise those with changed evidence."
        ),
        section=SECTION,
    ),
}


@dag(
    # A night's report starts it; the calendar makes the first of a month a full one.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 6 1 * *", timezone="Asia/Shanghai"), assets=[REPORT]
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="风险评估 · Risk assessment",
    description=(
        "规则和影响评估是否仍然成立？ Are the rules met and the impact assessments still true?"
    ),
    doc_md=runbook("risk_assessment"),
    tags=["safehands", "monthly"],
    params=PARAMS,
    default_args=EVERY_TASK,
)
def risk_assessment() -> None:
    """Check rules and assessments again, then write what people read."""
    assess = AssessOperator(task_id="assess", work="assess", outlets=[ASSESSMENT])
    export = AssessOperator(task_id="export", work="export")
    assess >> export


risk_assessment()
