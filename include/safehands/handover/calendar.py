"""The earliest lawful closing day, and who has to do what by when (LAW.md (c)). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from safehands.handover.request import HandoverRequest
from safehands.handover.state import Mode
from safehands.handover.transferpolicy import TransferPolicy

__all__ = ["Period", "calendar", "earliest", "periods"]


@dataclass(frozen=True)
class Period:
    """A time that has to pass before closing: ``kind`` L by law, P by policy."""

    name: str
    days: int
    kind: str
    cites: str


def periods(
    mode: Mode, request: HandoverRequest, declared: Mapping[str, float]
) -> tuple[Period, ...]:
    """Return what has to pass between the notice and closing.

    ``declared`` are the seller's declarations: a licensed courier and an online shop have periods
    that the law sets; a window for answers is our policy.
    """
    found = []
    if mode == "asset_deal":
        found.append(Period("window", request.window_days, "P", ""))
    if mode != "share_deal" and declared.get("licensed_courier"):
        found.append(Period("courier", 10, "L", "快递暂行条例 30"))
    if mode != "share_deal" and declared.get("online_shop"):
        found.append(Period("online_shop", 30, "L", "电商法 16"))
    if mode in ("asset_deal", "statutory_succession"):
        found.append(Period("rehearsal", 3, "P", ""))
    return tuple(found)


def earliest(today: date, due: tuple[Period, ...]) -> date:
    """Return the first day on which closing is possible when people are told today.

    Periods run beside each other, the rehearsal after them.
    """
    beside = max((one.days for one in due if one.name != "rehearsal"), default=0)
    after = sum(one.days for one in due if one.name == "rehearsal")
    return today + timedelta(days=beside + after)


def calendar(
    mode: Mode,
    request: HandoverRequest,
    rules: TransferPolicy,
    today: date,
    declared: Mapping[str, float],
) -> dict[str, Any]:
    """Return the calendar as JSON: earliest day, whether the asked one is possible, all duties.

    Dates of duties count from the day that was asked for, or from the earliest possible one.
    """
    due = periods(mode, request, declared)
    first = earliest(today, due)
    closing = max(request.effective_on, first)
    return {
        "earliest": first.isoformat(),
        "asked": request.effective_on.isoformat(),
        "possible": request.effective_on >= first,
        "closing": closing.isoformat(),
        "periods": [
            {"name": one.name, "days": one.days, "kind": one.kind, "cites": one.cites}
            for one in due
        ],
        "duties": [
            {
                "date": (closing + timedelta(days=one.day)).isoformat(),
                "day": one.day,
                "party": one.party,
                "kind": one.kind,
                "cites": one.cites,
                "zh": one.zh,
                "en": one.en,
            }
            for one in sorted(rules.checklist, key=lambda one: one.day)
            if not one.modes or mode in one.modes
        ],
    }
