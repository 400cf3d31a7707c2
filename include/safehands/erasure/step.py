"""The erasures of a night: what was asked for is erased, and a new epoch opened where one is due.

Follows ``purge`` and comes before ``backup``, so that the night's generation is the first without
the person; ``prove`` follows that.
"""

from __future__ import annotations

from datetime import datetime

from safehands.datasets import Outcome
from safehands.erasure.epoch import turn_epoch
from safehands.erasure.erase import erase_due
from safehands.night import Night
from safehands.store import Store
from safehands.store.register import Owner, owners

__all__ = ["apply"]


def apply(night: Night, store: Store, now: datetime) -> Outcome:
    """Erase who asked for it, and open a new epoch for each controller that erased somebody.

    Counts, where not zero: ``erased`` (people), ``held`` (people a legal hold keeps),
    ``epochs_opened``, ``people_rewrapped``. Nothing is recorded of a night without erasures.
    """
    total: dict[str, int] = {}
    for owner in owners(store).values():
        counts = _apply_to(night, store, owner, now)
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return Outcome(night.run, "purge", counts=total, already=not total)


def _apply_to(night: Night, store: Store, owner: Owner, now: datetime) -> dict[str, int]:
    found = erase_due(store, owner, night.policy, night.run, night.business_date, now)
    counts = {name: found[name] for name in ("erased", "held") if found.get(name)}
    turned = turn_epoch(store, owner, night.run, night.business_date, now)
    if turned is not None:
        counts |= {"epochs_opened": 1, "people_rewrapped": turned["people"]}
    return counts
