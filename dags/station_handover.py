"""A station changes hands: the request from its form, the plan, the notices."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.every_task import every_task
from safehands_airflow.handover import HandoverOperator, form
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=2),
    longest_retry=timedelta(minutes=30),
    at_most=timedelta(hours=6),
)


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="驿站移交 · Station hand-over",
    description=(
        "从申请到告知客户；默认只演练。 From the request to telling people; a rehearsal by default."
    ),
    doc_md=runbook("station_handover"),
    tags=["safehands", "manual"],
    params=form(),
    default_args=EVERY_TASK,
)
def station_handover() -> None:
    """Plan and, unless it is a rehearsal, open the hand-over and tell people."""
    plan = HandoverOperator(task_id="plan", work="plan")
    notify = HandoverOperator(task_id="notify", work="notify")
    plan >> notify


station_handover()
