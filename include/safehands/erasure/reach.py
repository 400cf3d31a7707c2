"""What an erasure cannot reach, or not yet: named on every certificate, with dates where there are.

Each item is ``{"what": code, …}``; the sentences are ``erasure.reach.<code>`` of the catalogue.
Dates are the last day (Asia/Shanghai) on which the thing may still exist by policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from safehands.backuppolicy import load_backup_policy
from safehands.keys import KeyProvider
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.store.register import Owner

__all__ = ["NAMED", "out_of_reach"]

NAMED = (
    "station_software",
    "downloads",
    "paper",
    "landing_exports",
    "key_copies",
    "flash",
    "work_files",
    "tombstone",
    "suppression",
    "waybill_tokens",
    "compared_generations",
    "quarantine",
    "minors",
    "archive",
)
"""Every code that may stand on a certificate, in its order."""

_KEPT_BY = {
    "quarantine": "quarantine",
    "minors": "quarantined_minor",
    "archive": "landing_archive",
}


def out_of_reach(
    settings: Settings, policy: Policy, provider: KeyProvider, owner: Owner, day: date
) -> list[dict[str, Any]]:
    """Return what remains after an erasure that became final on the night of ``day``."""
    expires = day + timedelta(days=load_backup_policy(settings.policy).keep.at_most_days)
    always = ("station_software", "downloads", "paper")
    found: list[dict[str, Any]] = [{"what": what} for what in always]
    found.append({"what": "landing_exports", "archived": settings.archive_landing})
    found += [
        {"what": what} for what in ("key_copies", "flash", "work_files", "tombstone", "suppression")
    ]
    dated = ("waybill_tokens", "compared_generations")
    found += [{"what": what, "until": expires.isoformat()} for what in dated]
    return found + list(_day_keys(policy, provider, owner))


def _day_keys(policy: Policy, provider: KeyProvider, owner: Owner) -> Iterator[dict[str, Any]]:
    for kind, rule in _KEPT_BY.items():
        days = [
            date.fromisoformat(name.rpartition("/")[2])
            for station in sorted(owner.stations)
            for name in provider.names(f"day/{kind}/{station}")
        ]
        if days:
            last = max(days) + timedelta(days=policy.keep_days(rule))
            yield {"what": kind, "keys": len(days), "until": last.isoformat()}
