"""Every week: can the backup become a store again, and how fast?"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, Param, dag

from safehands_airflow.assets import DRILL
from safehands_airflow.drill import DrillOperator
from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=2),
    longest_retry=timedelta(minutes=30),
    at_most=timedelta(hours=6),
)

PARAMS = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="演练日期 / Date of the drill",
        description=(
            "写在证书上；留空表示运行当天（北京时间）。"
            " Stands on the certificate. Empty: the day of the run in Asia/Shanghai."
        ),
        section="演练 / The drill",
    ),
}


@dag(
    # Sundays, well after the night's own backup. A machine that was off makes up for it.
    schedule=CronTriggerTimetable("0 5 * * 0", timezone="Asia/Shanghai", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="每周恢复演练 · Weekly restore drill",
    description=(
        "备份恢复到空库，比对并出具证书。"
        " Restores the backup into an empty database, compares, certifies."
    ),
    doc_md=runbook("restore_drill"),
    tags=["safehands", "weekly"],
    params=PARAMS,
    default_args=EVERY_TASK,
)
def restore_drill() -> None:
    """Restore, compare and certify; then remove what policy no longer keeps."""
    drill = DrillOperator(task_id="drill", work="drill", outlets=[DRILL])
    prune = DrillOperator(task_id="prune", work="prune")
    # Nothing is removed before the newest generation was proved to restore.
    drill >> prune


restore_drill()
