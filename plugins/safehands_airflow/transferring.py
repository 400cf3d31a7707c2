"""Operators of a transfer: shards re-keyed side by side, one package, receipt, reconciliation.

As in ``operators``, environment and clock are read here; the work is ``safehands.transfer.run``.
What travels between the tasks are numbers, digests and counts of shards, never a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from safehands.errors import PolicyError
from safehands_airflow.deciding import opened, required
from safehands_airflow.fields import day_field, handover_field
from safehands_airflow.links import lead_to
from safehands_airflow.operators import NightProblem, business_date

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.transfer.run import TransferRun

__all__ = ["TransferOperator", "form"]

Work = Literal["shards", "rekey", "package", "receive", "reconcile", "close"]

_SECTION = "执行哪次移交 / Which hand-over to carry out"


def form() -> dict[str, Param]:
    """Return the trigger form: which hand-over, what its stations become, in which form."""
    return {
        "handover": handover_field(_SECTION),
        "becomes": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[^=]+=[^=]+$"},
            title="驿站对应 / Stations",
            description=(
                "每行一个：转出方代码=接手方代码；接手方不在本机时留空。例：SZ001=SZ101。"
                " One a line, THEIRS=OURS; empty when the buyer is in another installation."
                " E.g. SZ001=SZ101."
            ),
            section=_SECTION,
        ),
        "form": Param(
            "package",
            type="string",
            enum=["package", "xlsx"],
            title="文件形式 / Form of the file",
            description=(
                "package：给有安驿的接手方；xlsx：加密工作簿和手签收据。"
                " package for a buyer with Safehands; xlsx: a sealed workbook, a receipt to sign."
            ),
            section=_SECTION,
        ),
        "shard_parcels": Param(
            250_000,
            type="integer",
            minimum=1_000,
            title="每片的包裹数 / Parcels of a shard",
            description=(
                "一片由一个任务处理。 One task re-keys one shard; 250,000 take some 150 MB there."
            ),
            section=_SECTION,
        ),
        "business_date": day_field(_SECTION),
    }


class TransferOperator(BaseOperator):
    """Do one part of a transfer; ``record``: one shard for ``rekey``, all of them for ``package``.

    ``receive`` is skipped, and ``reconcile`` after it, when the buyer is in another installation.

    Errors: ``NightProblem`` (not retried) or ``safehands.errors.StepFailed`` (retried), both
    without any text of a foreign error.
    """

    template_fields = ("record",)
    ui_color = "#e6dcef"
    operator_extra_links = lead_to("handovers")

    def __init__(self, *, work: Work, record: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work
        self.record = record

    def execute(self, context: Context) -> Any:
        """Open the installation, do the work, close the installation."""
        this, day = UUID(str(required(context, "handover"))), business_date(context)
        params, record = context["params"], self.record
        if isinstance(record, Mapping):
            context["shard_label"] = _label(record)  # type: ignore[typeddict-unknown-key]
        becomes = _pairs(params.get("becomes") or [])

        def work(inst: Installation) -> Any:
            from safehands.transfer.run import transfer_run

            parcels = int(params["shard_parcels"])
            run = transfer_run(inst, this, day, becomes, params["form"], parcels)
            return _WORK[self.work](run, record)

        found = opened("transfer", work)
        if found is None:
            raise AirflowSkipException("the buyer is in another installation")
        return found


def _shards(run: TransferRun, _record: Any) -> list[dict[str, Any]]:
    return [one.as_dict() for one in run.shards()]


def _rekey(run: TransferRun, record: Any) -> dict[str, Any]:
    from safehands.transfer.shards import HandoverShard

    return run.rekey(HandoverShard.from_dict(record)).as_dict()


def _package(run: TransferRun, record: Any) -> dict[str, Any]:
    from safehands.transfer.shards import HandoverShard

    # None of a mapped task that had nothing to do: packaged before.
    made, used = run.package([HandoverShard.from_dict(one) for one in record or []])
    return {
        "handover": str(run.asked.id),
        "digest": made.digest,
        "counts": made.counts,
        "taken_out": made.taken_out,
        "shards_used": used,
    }


def _receive(run: TransferRun, _record: Any) -> dict[str, Any] | None:
    if run.form != "package" or not run.buyer_here():
        return None
    body = run.receive()
    return {"package": body["package"], "received": body["received"]}


def _reconcile(run: TransferRun, _record: Any) -> dict[str, Any]:
    return run.reconcile()


def _close(run: TransferRun, _record: Any) -> dict[str, Any]:
    return {"keys_destroyed": int(run.close())}


_WORK: dict[Work, Any] = {
    "shards": _shards,
    "rekey": _rekey,
    "package": _package,
    "receive": _receive,
    "reconcile": _reconcile,
    "close": _close,
}


def _label(record: Mapping[str, Any]) -> str:
    return f"{int(record['part']) + 1}/{int(record['parts'])}"


def _pairs(given: Any) -> dict[str, str]:
    if any("=" not in str(one) for one in given):
        raise NightProblem(PolicyError("airflow.form_field", name="THEIRS=OURS"))
    return {theirs: ours for theirs, _, ours in (str(one).partition("=") for one in given)}
