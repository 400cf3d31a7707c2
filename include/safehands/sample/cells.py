"""Parcels as the cells that a station's program would show: texts with the usual untidiness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safehands.sample.people import Ints, People
from safehands.sample.trade import NEVER, Trade, waybills
from safehands.sample.words import CARRIERS, GOODS, OPERATORS, REMARKS

__all__ = ["Cells", "cells_of", "is_mobile", "moment", "plain_time", "short_time"]

Cells = dict[str, list[Any]]
"""Field name → one cell per parcel."""

# Shares of the ways in which a phone is written; the first six are whole mobile numbers.
_STYLES: tuple[tuple[float, Callable[[str], str]], ...] = (
    (0.86, lambda p: p),
    (0.04, lambda p: f"+86{p}"),
    (0.025, lambda p: f"{p[:3]} {p[3:7]} {p[7:]}"),
    (0.02, lambda p: f"{p[:3]}-{p[3:7]}-{p[7:]}"),
    (0.01, lambda p: f"'{p}"),
    (0.01, lambda p: f"{p}  "),
    (0.013, lambda p: f"{p[:3]}****{p[7:]}"),
    (0.006, lambda p: f"{p[:3]}{p[:2:-1]}转{p[5:9]}"),
    (0.005, lambda p: f"尾号{p[7:]}"),
    (0.004, lambda p: f"0755-2{p[4:]}"),
    (0.002, lambda p: f"+852 6{p[4:7]} {p[7:]}"),
    (0.005, lambda _: ""),
)
_EDGES = np.cumsum([share for share, _ in _STYLES])
_WHOLE = 6


def is_mobile(trade: Trade) -> npt.NDArray[np.bool_]:
    """Say of each parcel whether its phone cell holds a whole mobile number."""
    return _style(trade) < _WHOLE


def _style(trade: Trade) -> Ints:
    return np.minimum(np.searchsorted(_EDGES, trade.style, side="right"), len(_STYLES) - 1)


def cells_of(trade: Trade, people: People) -> Cells:
    """Return the text cells of parcels; ``weight`` is a number (kg), times are left to writers."""
    phones = people.phone.take(pa.array(trade.person)).to_pylist()
    styles = _style(trade).tolist()
    names = _names(trade, people, styles)
    relatives = people.relative.take(pa.array(trade.person)).to_pylist()
    agent = (trade.tail % 12 == 0) & (trade.collected != NEVER)
    return {
        "waybill_no": waybills(trade).to_pylist(),
        "carrier": [CARRIERS[i][4] for i in trade.carrier],
        "carrier_code": [CARRIERS[i][5] for i in trade.carrier],
        "receiver_name": names,
        "receiver_phone": [_STYLES[s][1](p) for s, p in zip(styles, phones, strict=True)],
        "receiver_address": people.address.take(pa.array(trade.person)).to_pylist(),
        "pickup_code": [
            f"{r}-{y}-{s:04}" for r, y, s in zip(trade.rack, trade.layer, trade.slot, strict=True)
        ],
        "shelf": [f"A-{r:02}-{y:02}" for r, y in zip(trade.rack, trade.layer, strict=True)],
        "weight": (trade.grams / 1000).tolist(),
        "remark": _remarks(trade, names, phones),
        "goods": [GOODS[i] for i in trade.goods],
        "operator": [OPERATORS[i] for i in trade.operator],
        "taker_name": [r if a else "" for r, a in zip(relatives, agent, strict=True)],
        "taker_phone": [_other(p) if a else "" for p, a in zip(phones, agent, strict=True)],
    }


def _names(trade: Trade, people: People, styles: list[int]) -> list[str]:
    own = people.name.take(pa.array(trade.person)).to_pylist()
    other = people.relative.take(pa.array(trade.person)).to_pylist()
    picked = [b if r else a for a, b, r in zip(own, other, trade.relative, strict=True)]
    masked = [f"{n[0]}**" if s == _WHOLE else n for n, s in zip(picked, styles, strict=True)]
    return [f"{n} " if t % 90 == 0 else n for n, t in zip(masked, trade.tail, strict=True)]


def _remarks(trade: Trade, names: list[str], phones: list[str]) -> list[str]:
    return [
        REMARKS[i].format(n=name.strip(), p=phone) if i >= 0 else ""
        for i, name, phone in zip(trade.remark, names, phones, strict=True)
    ]


def _other(phone: str) -> str:
    return phone[:3] + phone[:2:-1]


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time, as the files have it


def moment(seconds: int) -> datetime | None:
    """Return seconds since 1970 as wall time; ``NEVER`` is None."""
    return None if seconds == NEVER else _EPOCH + timedelta(seconds=int(seconds))


def plain_time(seconds: int) -> str:
    """Return ``2026-11-05 09:05:33``, or nothing for ``NEVER``."""
    found = moment(seconds)
    return found.isoformat(" ") if found else ""


def short_time(seconds: int) -> str:
    """Return ``2026/11/5 9:05``, as a spreadsheet shows it, or nothing for ``NEVER``."""
    t = moment(seconds)
    return f"{t.year}/{t.month}/{t.day} {t.hour}:{t.minute:02}" if t else ""
