"""Where data came from and what became of it, as names of datasets and columns; never a value.

What a step did is told from policy (``fields.yaml``: which field becomes which column, and how) and
from the step's own record (counts, and verdicts per rule). Names are owner, stage and dataset
(``owner-1/landing/parcels``, ``store/parcel``); never a file, a station's name or a place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safehands.lots import Lot
from safehands.policy import FieldRule, Policy

__all__ = ["NAMESPACE", "Flow", "Node", "Origin", "Verdict", "flow"]

NAMESPACE = "safehands"

STAGES = {"ingest": "read", "validate": "valid", "minimise": "minimal"}
"""The stage that a step of a shard leaves behind."""

_BEFORE = {"ingest": "landing", "validate": "read", "minimise": "valid", "pseudonymise": "minimal"}
_STORE = ("store/subject", "store/parcel", "store/custody", "store/preference")
_WHOLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "purge": (_STORE, _STORE),
    "backup": (_STORE, ("backup",)),
    "prove": (("backup",), ("evidence/generation_proof",)),
    "report": (("evidence/step_result", "evidence/quality_result"), ("report",)),
    "drill": (("backup",), ("evidence/restore_drill",)),
    "prune": (("backup",), ("backup",)),
    "assess": (_STORE, ("evidence/rule_result", "evidence/risk_assessment")),
    "export": (("evidence/rule_result", "evidence/risk_assessment"), ("report/pipia",)),
}

_SEALED = ("subject", "sealed")
_BECOMES: dict[str, tuple[tuple[str, str], ...]] = {
    "link": (("subject", "lookup"), _SEALED),
    "seal": (_SEALED,),
    "district": (("parcel", "district"), _SEALED),
    "token": (("parcel", "waybill"), ("custody", "sealed")),
    "custody": (("custody", "sealed"),),
    "band": (("parcel", "weight_band"),),
    "tags": (("parcel", "tags"),),
}
"""Treatment of policy → columns of the store; all of them hide the value."""


@dataclass(frozen=True)
class Origin:
    """One source of a column. ``same``: copied; ``masked``: the value can't be read in it."""

    dataset: str
    column: str
    same: bool
    masked: bool
    how: str


@dataclass(frozen=True)
class Verdict:
    """One rule on one dataset, over all stations of the shard."""

    rule: str
    severity: str
    evaluated: int
    failed: int


@dataclass(frozen=True)
class Node:
    """A dataset: columns with their kind, where each came from, rows, verdicts on it."""

    name: str
    columns: Mapping[str, str]
    origins: Mapping[str, tuple[Origin, ...]]
    rows: int | None = None
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Flow:
    """What went into a step and what came out."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]


def flow(policy: Policy, step: str, record: Any, result: Any) -> Flow:
    """Return the flow of a task from the plain forms of what it was given and returned.

    ``result`` is ``None`` before the step is done: then there are no counts. A task that moves no
    data has an empty flow.
    """
    if step in _WHOLE:
        return Flow(*(tuple(Node(name, {}, {}) for name in names) for names in _WHOLE[step]))
    if step not in _BEFORE or not isinstance(record, Mapping):
        return Flow((), ())
    if (lot := Lot.from_dict(record)) is not None:
        return _of_a_lot(policy, step, lot)
    owner = str(record.get("shard", record)["controller"])
    counts = dict(result.get("counts", {})) if isinstance(result, Mapping) else {}
    inputs = tuple(_stage(policy, owner, step, name, result) for name in policy.datasets)
    if step == "pseudonymise":
        return Flow(inputs, _stored(policy, owner, counts))
    return Flow(inputs, tuple(_next(policy, owner, step, name, counts) for name in policy.datasets))


def _of_a_lot(policy: Policy, step: str, lot: Lot) -> Flow:
    """Several owners' flows in one task: each dataset once, without counts of single shards."""
    inputs, outputs = dict[str, Node](), dict[str, Node]()
    for record in lot.records:
        found = flow(policy, step, record, None)
        inputs.update({node.name: node for node in found.inputs})
        outputs.update({node.name: node for node in found.outputs})
    return Flow(tuple(inputs.values()), tuple(outputs.values()))


def _stage(policy: Policy, owner: str, step: str, dataset: str, result: Any) -> Node:
    stage = _BEFORE[step]
    fields = _fields(policy, dataset, stage)
    verdicts = _verdicts(dataset, result) if step == "validate" else ()
    return Node(f"{owner}/{stage}/{dataset}", fields, {}, verdicts=verdicts)


def _next(policy: Policy, owner: str, step: str, dataset: str, counts: Mapping[str, Any]) -> Node:
    fields = _fields(policy, dataset, STAGES[step])
    before = f"{owner}/{_BEFORE[step]}/{dataset}"
    origins = {}
    for name in fields:
        rule = policy.datasets[dataset].fields[name]
        changed = step == "minimise" and rule.treatment in ("district", "band", "tags", "code")
        how = rule.treatment if changed else "copied"
        origins[name] = (Origin(before, name, not changed, False, how),)
    return Node(f"{owner}/{STAGES[step]}/{dataset}", fields, origins, counts.get("out"))


def _stored(policy: Policy, owner: str, counts: Mapping[str, Any]) -> tuple[Node, ...]:
    found: dict[str, dict[str, list[Origin]]] = {}
    for dataset, table in policy.datasets.items():
        before = f"{owner}/minimal/{dataset}"
        for name, rule in table.fields.items():
            for target, column in _becomes(dataset, name, rule):
                masked = rule.treatment in _BECOMES
                origin = Origin(before, name, not masked, masked, rule.treatment)
                found.setdefault(target, {}).setdefault(column, []).append(origin)
    return tuple(
        Node(
            f"store/{table}",
            dict.fromkeys(columns, "store"),
            {column: tuple(origins) for column, origins in columns.items()},
            counts.get("out") if table == "parcel" else None,
        )
        for table, columns in sorted(found.items())
    )


def _becomes(dataset: str, name: str, rule: FieldRule) -> tuple[tuple[str, str], ...]:
    """Return tables and columns of the store in which the field lives on."""
    if rule.treatment in _BECOMES:
        targets = _BECOMES[rule.treatment]
        # Parcels alone have a column for the district and the tags; a list of people has not.
        return targets if dataset == "parcels" else tuple(t for t in targets if t[0] == "subject")
    if rule.treatment not in ("code", "time", "consent"):
        return ()
    table = {"parcels": "parcel", "preferences": "preference"}.get(dataset)
    return ((table, name),) if table else ()


def _fields(policy: Policy, dataset: str, stage: str) -> dict[str, str]:
    """Return the columns that may be there: all declared at the door, then those not dropped."""
    rules = policy.datasets[dataset].fields
    kept = {name: rule for name, rule in rules.items() if rule.treatment != "drop"}
    return {name: rule.type for name, rule in (rules if stage == "landing" else kept).items()}


def _verdicts(dataset: str, result: Any) -> tuple[Verdict, ...]:
    lines = result.get("details", {}).get("quality", []) if isinstance(result, Mapping) else []
    found: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        if line["dataset"] == dataset:
            sums = found.setdefault((str(line["rule"]), str(line["severity"])), [0, 0])
            sums[0] += int(line["evaluated"])
            sums[1] += int(line["failed"])
    return tuple(Verdict(rule, how, *sums) for (rule, how), sums in sorted(found.items()))
