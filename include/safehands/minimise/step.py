"""Reduce valid rows to what is needed: the purpose × field matrix of policy, applied by columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.artifacts import read_artifact, write_artifact
from safehands.datasets import Handoff
from safehands.minimise.divisions import Gazetteer
from safehands.night import Night
from safehands.policy import Policy

__all__ = ["minimise"]

_MOBILE = 1
_NOT_STATED = 0
_CONSENTED = 1
_BAND_EDGES = (1.0, 3.0, 10.0)


def minimise(handoff: Handoff, night: Night) -> Handoff:
    """Reduce each dataset and drop rows that are past their retention already.

    Counts: ``in``, ``out``, ``expired`` (parcels older than policy keeps: they never reach the
    store) and ``unlinked`` (customers and preferences without a mobile number, which belong to
    nobody we could find again). Details: ``fields_dropped``, the fields that serve no purpose,
    per dataset.
    """
    artifacts, rows_in, gone = dict(handoff.artifacts), 0, {"expired": 0, "unlinked": 0}
    for dataset, reduce in _REDUCERS.items():
        if dataset in artifacts:
            table = read_artifact(artifacts[dataset], night.key)
            rows_in += (before := table.num_rows)
            table = reduce(table, night)
            gone["expired" if dataset == "parcels" else "unlinked"] += before - table.num_rows
            name = f"{handoff.shard.key}-minimise-{dataset}"
            artifacts[dataset] = write_artifact(table, night.work, name, night.key)
    counts = {"in": rows_in, "out": rows_in - sum(gone.values()), **gone}
    details = {**handoff.details, "fields_dropped": _dropped(night.policy)}
    return handoff.then("minimise", artifacts=artifacts, counts=counts, details=details)


def _dropped(policy: Policy) -> dict[str, list[str]]:
    return {
        name: sorted(f for f, rule in dataset.fields.items() if rule.treatment == "drop")
        for name, dataset in policy.datasets.items()
    }


def _parcels(table: pa.Table, night: Night) -> pa.Table:
    table = table.filter(_still_kept(table, night))
    # A file may lack these columns: 0 is "not stated" in both lists.
    carrier, status = (pc.fill_null(table[name], _NOT_STATED) for name in ("carrier", "status"))
    custody = pc.and_(pc.is_null(table["collected_at"]), pc.less_equal(status, 1))
    linked = pc.fill_null(pc.equal(table["phone_kind"], _MOBILE), False)
    recent = _recent_contact(table, night)
    return pa.table(
        {
            "_file": table["_file"],
            "waybill_no": table["waybill_no"],
            "carrier": carrier,
            "receiver_phone": _only(linked, table["receiver_phone"]),
            "receiver_name": _only(linked, table["receiver_name"]),
            "receiver_address": _only(pc.and_(linked, recent), table["receiver_address"]),
            "district": _district(table, night.policy),
            "pickup_code": _only(custody, table["pickup_code"]),
            "shelf": _only(custody, table["shelf"]),
            "in_custody": custody,
            "status": status,
            "weight_band": _weight_band(table["weight"]),
            "tags": _tags(table["remark"], night.policy),
            "arrived_at": table["arrived_at"],
            "collected_at": table["collected_at"],
        }
    )


def _still_kept(table: pa.Table, night: Night) -> Any:
    collected, arrived = table["collected_at"], table["arrived_at"]
    picked = night.horizon(night.policy.keep_days("pickup_record"))
    waiting = night.horizon(night.policy.keep_days("never_collected"))
    kept_after_pickup = pc.greater_equal(collected, pa.scalar(picked, arrived.type))
    kept_waiting = pc.greater_equal(arrived, pa.scalar(waiting, arrived.type))
    return pc.if_else(pc.is_valid(collected), kept_after_pickup, kept_waiting)


def _recent_contact(table: pa.Table, night: Night) -> Any:
    edge = night.horizon(night.policy.keep_days("contact_detail"))
    collected = table["collected_at"]
    return pc.fill_null(pc.greater_equal(collected, pa.scalar(edge, collected.type)), True)


def _customers(table: pa.Table, night: Night) -> pa.Table:  # noqa: ARG001 - one shape for all
    columns = ("_file", "receiver_phone", "receiver_name", "receiver_address", "updated_at")
    return table.filter(pc.equal(table["phone_kind"], _MOBILE)).select(list(columns))


def _preferences(table: pa.Table, night: Night) -> pa.Table:  # noqa: ARG001 - one shape for all
    table = table.filter(pc.equal(table["phone_kind"], _MOBILE))
    agreed = pc.fill_null(pc.equal(table["marketing"], _CONSENTED), False)
    return pa.table(
        {
            "_file": table["_file"],
            "receiver_phone": table["receiver_phone"],
            "notify_channel": table["notify_channel"],
            "delivery_choice": table["delivery_choice"],
            "time_window": pc.if_else(agreed, table["time_window"], pa.scalar(0, pa.int16())),
            "marketing": pc.fill_null(table["marketing"], pa.scalar(-1, pa.int8())),
            "updated_at": table["updated_at"],
        }
    )


def _only(condition: Any, column: Any) -> Any:
    return pc.if_else(condition, column, pa.scalar(None, column.type))


def _district(table: pa.Table, policy: Policy) -> pa.Array:
    return pa.array(Gazetteer(policy.divisions).codes(table["receiver_address"]))


def _weight_band(weight: Any) -> pa.Array:
    kilograms = weight.fill_null(np.nan).to_numpy()
    bands = np.searchsorted(np.array(_BAND_EDGES), kilograms, side="left") + 1
    return pa.array(np.where(np.isnan(kilograms), 0, bands).astype(np.int16))


def _tags(remark: Any, policy: Policy) -> pa.Array:
    """Return one bit per tag found in the remark; a word off the list leaves no trace."""
    encoded = remark.combine_chunks().dictionary_encode()
    words = encoded.dictionary
    if len(words) == 0:
        return pa.array(np.zeros(len(encoded), dtype=np.int16))
    folded = pc.utf8_lower(words)
    bits = np.zeros(len(words) + 1, dtype=np.int16)
    for number, code in policy.codes["remark_tag"].entries.items():
        if not code.words:
            continue
        pattern = "|".join(re.escape(word.casefold()) for word in code.words)
        hit = pc.match_substring_regex(folded, pattern).to_numpy(zero_copy_only=False)
        bits[:-1] |= np.where(hit, np.int16(1 << (number - 1)), np.int16(0))
    return pa.array(bits[encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)])


_REDUCERS: dict[str, Callable[[pa.Table, Night], pa.Table]] = {
    "parcels": _parcels,
    "customers": _customers,
    "preferences": _preferences,
}
