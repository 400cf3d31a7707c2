"""Seller and buyer approve a hand-over whose window is over; started by tick, or by a person."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.approving import ApproveOperator, LookOperator, form
from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(minutes=2),
    longest_retry=timedelta(minutes=30),
    at_most=timedelta(hours=2),
)


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
