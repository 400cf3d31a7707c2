"""Something is given to somebody else: counted, approved, sealed, registered."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from safehands_airflow.disclosing import AgreeOperator, DiscloseOperator, form
from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(seconds=30),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(hours=2),
)


@dag(
    schedule=None,
    catchup=False,
    # A file that waits for its approval does not keep another one waiting.
    max_active_runs=16,
    is_paused_upon_creation=False,
    dag_display_name="对外提供 · Disclosure",
    description=(
        "先计数，另一人批准后才打开、加密并登记。"
        " Counts what would be given; once somebody else agreed, seals and registers it."
    ),
    doc_md=runbook("disclosure"),
    tags=["safehands", "manual"],
    params=form(),
    default_args=EVERY_TASK,
)
def disclosure() -> None:
    """Count what would be given; give it when somebody else agreed."""
    plan = DiscloseOperator(task_id="plan", work="plan")
    agree = AgreeOperator(task_id="agree")
    give = DiscloseOperator(task_id="give", work="give")
    plan >> agree >> give


disclosure()
