"""An approved hand-over is carried out: shards, package, receipt, reconciliation."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import TriggerRule, dag

from safehands_airflow.every_task import every_task
from safehands_airflow.runbook import runbook
from safehands_airflow.transferring import TransferOperator, form

EVERY_TASK = every_task(
    first_retry=timedelta(seconds=10),
    longest_retry=timedelta(minutes=10),
    at_most=timedelta(hours=6),
)

# Shards open people's records; only so many of them read from the store at the same time.
POOL = "safehands_store"


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dag_display_name="移交执行 · Hand-over transfer",
    description=(
        "批准之后：分片换钥、打包、接收、对账。"
        " After the approval: shards re-keyed, packaged, received, reconciled."
    ),
    doc_md=runbook("handover_transfer"),
    tags=["safehands", "manual"],
    params=form(),
    default_args=EVERY_TASK,
)
def handover_transfer() -> None:
    """Re-key the shards on all workers, seal one package, receive and reconcile it."""
    shards = TransferOperator(task_id="shards", work="shards")
    rekey = TransferOperator.partial(
        task_id="rekey", work="rekey", pool=POOL, map_index_template="{{ shard_label }}"
    ).expand(record=shards.output)
    # No shards when it is packaged already: a second run goes on behind it.
    package = TransferOperator(
        task_id="package",
        work="package",
        record=rekey.output,
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    receive = TransferOperator(task_id="receive", work="receive")
    reconcile = TransferOperator(task_id="reconcile", work="reconcile")
    close = TransferOperator(task_id="close", work="close", trigger_rule=TriggerRule.ALL_DONE)
    package >> receive >> reconcile
    [shards, rekey, package, receive] >> close


handover_transfer()
