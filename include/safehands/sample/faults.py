"""Planting known mistakes: each bad row breaks exactly one rule, so that the counts are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from safehands.sample.cells import Cells
from safehands.sample.people import Ints, Rng
from safehands.sample.trade import DAY, IN_CUSTODY, NEVER, Trade

__all__ = ["FAULTS", "choose_rows", "mistimed", "spoilt"]

FAULTS = (
    "",
    "row_width",
    "time_unreadable",
    "phone_lost_digits",
    "phone_unreadable",
    "waybill_lost_digits",
    "parcels.waybill_missing",
    "parcels.arrived_missing",
    "parcels.arrived_in_future",
    "parcels.collected_before_arrived",
    "parcels.name_holds_phone",
)
"""Rules by number; 0 is a good row. ``row_width`` is left to the writer of delimited text."""


def choose_rows(
    rng: Rng, trade: Trade, counts: Mapping[str, int], duplicates: int, today: int
) -> tuple[Ints, Ints]:
    """Return the number of each row's fault, and how often each row is to stand in the file.

    Only rows that arrived before ``today`` (seconds of its midnight) and are not expired are
    taken, and only good ones are repeated.
    """
    candidates = rng.permutation(np.flatnonzero(~trade.expired & (trade.arrived < today)))
    numbers = np.repeat([FAULTS.index(rule) for rule in counts], list(counts.values()))
    fault = np.zeros(len(trade), dtype=np.int64)
    fault[candidates[: len(numbers)]] = numbers
    times = np.ones(len(trade), dtype=np.int64)
    times[candidates[len(numbers) : len(numbers) + duplicates]] = 2
    return fault, times


def mistimed(trade: Trade, fault: Ints, today: int) -> Trade:
    """Return the parcels with impossible times where ``fault`` asks for them."""
    future = _has(fault, "parcels.arrived_in_future")
    before = _has(fault, "parcels.collected_before_arrived")
    ahead = today + (2 + trade.tail % 27) * DAY + trade.arrived % DAY
    collected = np.where(before, trade.arrived - (1 + trade.tail % 5) * DAY, trade.collected)
    return replace(
        trade,
        arrived=np.where(future, ahead, trade.arrived),
        collected=np.where(future, NEVER, collected),
        status=np.where(future, IN_CUSTODY, trade.status),
    )


def _has(fault: Ints, rule: str) -> npt.NDArray[np.bool_]:
    return np.asarray(fault == FAULTS.index(rule))


def spoilt(cells: Cells, fault: Ints) -> Cells:
    """Return the cells with unreadable or missing ones; needs ``arrived_at`` among them."""
    changed = {name: list(column) for name, column in cells.items()}
    for row in np.flatnonzero(fault):
        rule = FAULTS[fault[row]]
        if rule in _SPOILT:
            field, texts = _SPOILT[rule]
            changed[field][row] = texts[row % len(texts)]
        elif rule == "parcels.name_holds_phone":
            phone = "".join(c for c in str(cells["receiver_phone"][row]) if c.isdigit())
            changed["receiver_name"][row] += f" {phone[-11:]:0<11}"
    return changed


_SPOILT: dict[str, tuple[str, tuple[str | None, ...]]] = {
    "time_unreadable": ("arrived_at", ("昨天下午", "2026-02-30 10:15:00", "11月5号")),
    "phone_lost_digits": ("receiver_phone", ("1.38E+10", "1.59E+10", "1.8658E+10")),
    "phone_unreadable": ("receiver_phone", ("打不通问前台", "见面单")),
    "waybill_lost_digits": ("waybill_no", ("7.31305E+13", "4.61E+14")),
    "parcels.waybill_missing": ("waybill_no", ("",)),
    "parcels.arrived_missing": ("arrived_at", (None,)),
}
