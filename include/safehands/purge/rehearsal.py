"""What a purge would do today and why, as counts; nothing is taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from safehands.night import Night
from safehands.purge import held, selections
from safehands.purge.plan import plan_purge
from safehands.store import Store
from safehands.store.register import owners

__all__ = ["Planned", "count_due", "rehearse"]


@dataclass(frozen=True)
class Planned:
    """One rule on one day: ``due`` rows would be treated, ``held`` more are kept by a hold.

    Events before ``before`` are past their time.
    """

    rule: str
    table: str
    action: str
    before: datetime
    due: int
    held: int


def rehearse(night: Night, store: Store) -> list[Planned]:
    """Return every rule of policy with its counts, in the order of the purge.

    Counts are of the store as it stands: what one rule would free for a later one is not in them.
    Keys that would be destroyed are not counted, only the rows that they seal.
    """
    due = plan_purge(night.policy, night.business_date)
    moments = {item.rule: item.before for item in due}
    counts = {item.rule: [0, 0] for item in due}
    for owner in owners(store).values():
        with store.begin(controller=owner.id) as connection:
            holds = held.open_holds(connection, night.business_date)
            shared = {"everything": holds.everything, "pickup_record": moments["pickup_record"]}
            for item in due:
                if selections.due(item.rule) is not None:
                    values = {**shared, "before": item.before}
                    for place, half in enumerate((selections.free, selections.held)):
                        query = f"SELECT count(*) FROM {half(item.rule)}"
                        found = connection.execute(text(query), values).scalar_one()
                        counts[item.rule][place] += int(found)
    return [
        Planned(item.rule, item.table, item.action, item.before, *counts[item.rule]) for item in due
    ]


def count_due(night: Night, store: Store) -> dict[str, int]:
    """Return how many rows each rule would take today, without taking any."""
    return {planned.rule: planned.due for planned in rehearse(night, store)}
