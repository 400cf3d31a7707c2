"""What a suite may leave open until the night is known."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

from safehands.night import Night

__all__ = ["parameters_of"]

_YEARS = 10
_FRESH_DAYS = 3


def parameters_of(night: Night) -> dict[str, Any]:
    """Return what suites may ask for by ``$PARAMETER``: the night's dates, the policy's codes."""
    day = night.business_date
    earliest = max(date(2000, 1, 1), day.replace(year=day.year - _YEARS, day=min(day.day, 28)))
    lists = {f"{name}_codes": sorted(codes.entries) for name, codes in night.policy.codes.items()}
    tags = night.policy.codes["remark_tag"].entries
    return {
        **lists,
        "remark_tag_mask": (1 << (max(tags) + 1)) - 1,
        "latest": night.midnight_after.astimezone(UTC),
        "earliest": night.horizon((day - earliest).days).astimezone(UTC),
        "fresh_since": night.horizon(_FRESH_DAYS).astimezone(UTC),
    }
