"""One person's request: look, let the officer decide, carry out."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from safehands_airflow.every_task import every_task
from safehands_airflow.requests import DecideOperator, RequestOperator
from safehands_airflow.runbook import runbook

EVERY_TASK = every_task(
    first_retry=timedelta(seconds=30),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(hours=1),
)

PARAMS = {
    "request": Param(
        None,
        type=["null", "string"],
        pattern="^R-[0-9]{8}-[0-9a-f]{8}$",
        examples=["R-20261124-0a1b2c3d"],
        title="请求编号 / Request",
        description=(
            "先用 safehands request register 登记；表单只填编号，不填姓名或手机号。"
            " Register it first with safehands request register; the form takes its id only,"
            " never a name or a phone number."
        ),
        section="请求 / The request",
    ),
}


@dag(
    schedule=None,
    catchup=False,
    # A request that waits for its officer must not keep another one waiting.
    max_active_runs=16,
    is_paused_upon_creation=False,
    dag_display_name="个人请求 · Request of a person",
    description=(
        "查阅、更正、删除等：负责人决定后执行。"
        " Access, correction, deletion: done as the officer decides."
    ),
    doc_md=runbook("subject_request"),
    tags=["safehands", "manual"],
    params=PARAMS,
    default_args=EVERY_TASK,
)
def subject_request() -> None:
    """Look at the request, ask the officer, do what was decided."""
    look = RequestOperator(task_id="look", work="look")
    decide = DecideOperator(task_id="decide")
    carry_out = RequestOperator(task_id="carry_out", work="carry_out")
    look >> decide >> carry_out


subject_request()
