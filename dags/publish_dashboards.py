"""After every night: each owner's dashboards as one file that needs nothing else."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.assets import ASSESSMENT, DASHBOARDS, DRILL, REPORT
from safehands_airflow.every_task import every_task
from safehands_airflow.publishing import PublishOperator
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=1),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(hours=1),
)


@dag(
    # Whatever changes what the pages show: a night, an assessment, a drill.
    schedule=REPORT | ASSESSMENT | DRILL,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="发布数据看板 · Publish dashboards",
    description=(
        "每位经营者的看板成为一个独立文件。"
        " Each owner's dashboards as one file that needs nothing else."
    ),
    doc_md=runbook("publish_dashboards"),
    tags=["safehands", "nightly"],
    default_args=EVERY_TASK,
)
def publish_dashboards() -> None:
    """Write the files; those that are there byte for byte are left alone."""
    PublishOperator(task_id="publish", outlets=[DASHBOARDS])


publish_dashboards()
