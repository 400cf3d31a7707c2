"""Every night: what the stations exported becomes governed data, a backup and a report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, TriggerRule, dag, task_group

from safehands_airflow.alerting import NIGHT_DEADLINE
from safehands_airflow.assets import BACKUP, REPORT, STORE
from safehands_airflow.every_task import every_task
from safehands_airflow.operators import PLAN, StepOperator
from safehands_airflow.runbook import runbook

SECTION = "今晚处理什么 / What to govern"
LABEL = "{{ shard_label }}"

EVERY_TASK = every_task(
    retries=3,
    # Short at first: the usual reason is a worker that is gone, and the others are free.
    first_retry=timedelta(seconds=5),
    longest_retry=timedelta(minutes=10),
    growth=6.0,
    at_most=timedelta(hours=2),
    # Depth first: a shard that has begun is finished before another one is begun.
    weight_rule="upstream",
)

# However many workers there are, only so many shards write to the store at the same time.
POOL_OF = {"pseudonymise": "safehands_store"}

PARAMS = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="业务日期 / Business date",
        description="留空表示运行当天（北京时间）。 Empty: the day of the run in Asia/Shanghai.",
        section=SECTION,
    ),
    "landing": Param(
        None,
        type=["null", "string"],
        maxLength=1024,
        examples=["/srv/stations/landing"],
        title="导出文件夹 / Landing folder",
        description=(
            "运行 Airflow 的机器上的文件夹；留空表示配置的文件夹。"
            " A folder on the machine that runs Airflow. Empty: the configured one."
        ),
        section=SECTION,
    ),
}


@dag(
    # A fresh installation waits for its first night; later, a missed one is made up for at once.
    schedule=CronTriggerTimetable("0 2 * * *", timezone="Asia/Shanghai", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="每夜数据治理 · Nightly governance",
    description=(
        "各站导出的数据变成保险库、备份和报告。"
        " Stations' exports become a governed store, a backup and a report."
    ),
    doc_md=runbook("nightly"),
    tags=["safehands", "nightly"],
    params=PARAMS,
    default_args=EVERY_TASK,
    deadline=NIGHT_DEADLINE,
)
def nightly_governance() -> None:
    """Plan, govern every shard, then look after the store as a whole."""

    @task_group(group_id="shard")
    def shard(record: Any) -> None:
        for step in ("ingest", "validate", "minimise", "pseudonymise"):
            task = StepOperator(
                task_id=step,
                step=step,
                record=record,
                map_index_template=LABEL,
                pool=POOL_OF.get(step, "default_pool"),
            )
            record = task.output

    plan = StepOperator(task_id=PLAN, step=PLAN)
    # The store is looked after even when a shard failed, or when there was none.
    purge = StepOperator(
        task_id="purge", step="purge", outlets=[STORE], trigger_rule=TriggerRule.ALL_DONE
    )
    backup = StepOperator(task_id="backup", step="backup", outlets=[BACKUP])
    # Skipped on nights without erasures. It alone needs the identity that opens backups.
    prove = StepOperator(task_id="prove", step="prove")
    report = StepOperator(
        task_id="report", step="report", outlets=[REPORT], trigger_rule=TriggerRule.ALL_DONE
    )
    verdict = StepOperator(task_id="verdict", step="verdict", trigger_rule=TriggerRule.NONE_FAILED)
    close = StepOperator(task_id="close", step="close", trigger_rule=TriggerRule.ALL_DONE)

    shards = shard.expand(record=plan.output)
    plan >> shards >> purge >> backup >> prove >> report >> close
    [shards, purge, backup, prove, report] >> verdict


nightly_governance()
