"""Seller and buyer approve a hand-over whose window is over; started by tick, or by a person."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.approving import ApproveOperator, LookOperator, form
from safehands_airflow.notices import notify_failure
from safehands_airflow.runbook import runbook

EVERY_TASK = {
    "owner": "safehands",
    "retries": 2,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": notify_failure,
}


@dag(
    schedule=None,
    catchup=False,
    # A hand-over that waits for its approval does not keep another one waiting.
    max_active_runs=16,
    is_paused_upon_creation=False,
    dag_display_name="移交批准 · Hand-over approval",
    description="转出方和接手方两个人分别批准。 Seller and buyer, two people, approve a hand-over.",
    doc_md=runbook("handover_approval"),
    tags=["safehands", "manual"],
    params=form(),
    default_args=EVERY_TASK,
)
def handover_approval() -> None:
    """Show the plan, ask both, and go on when both said yes and no rule blocks."""
    look = LookOperator(task_id="look", work="look")
    seller = ApproveOperator(task_id="seller", party="seller")
    buyer = ApproveOperator(task_id="buyer", party="buyer")
    conclude = LookOperator(task_id="conclude", work="conclude", trigger_rule="none_failed")
    look >> [seller, buyer] >> conclude


handover_approval()
