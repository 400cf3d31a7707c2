"""After every night: each owner's dashboards as one file that needs nothing else."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.assets import ASSESSMENT, DASHBOARDS, DRILL, REPORT
from safehands_airflow.notices import notify_failure
from safehands_airflow.publishing import PublishOperator
from safehands_airflow.runbook import runbook

EVERY_TASK = {
    "owner": "safehands",
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": notify_failure,
}


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
