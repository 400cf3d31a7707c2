"""An incident: who is affected, drafts for authority and people, containment. Yearly as a drill."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag

from safehands_airflow.every_task import every_task
from safehands_airflow.incidents import ApproveOperator, IncidentOperator, form
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(seconds=20),
    longest_retry=timedelta(minutes=5),
    at_most=timedelta(hours=1),
)


@dag(
    # The calendar's run is a drill, because the form's default is one.
    schedule=CronTriggerTimetable("0 10 15 3 *", timezone="Asia/Shanghai", run_immediately=False),
    catchup=False,
    # A second incident does not wait for the approval of the first.
    max_active_runs=16,
    is_paused_upon_creation=False,
    dag_display_name="安全事件应对 · Incident response",
    description=(
        "查明影响谁，起草通知，批准后补救；默认是演练。"
        " Who is affected, drafts of notices, containment after approval; a drill by default."
    ),
    doc_md=runbook("incident_response"),
    tags=["safehands", "manual", "yearly"],
    params=form(),
    default_args=EVERY_TASK,
)
def incident_response() -> None:
    """Open, count, draft and propose at once; contain what somebody else approved."""
    opened = IncidentOperator(task_id="open", work="open")
    assess = IncidentOperator(task_id="assess", work="assess")
    draft = IncidentOperator(task_id="draft", work="draft")
    propose = IncidentOperator(task_id="propose", work="propose")
    approve = ApproveOperator(task_id="approve")
    contain = IncidentOperator(task_id="contain", work="contain")
    opened >> assess >> [draft, propose] >> approve >> contain
    IncidentOperator(task_id="drill", work="drill")


incident_response()
