"""Which clocks run for an incident: the law's and our policy's apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import Case

__all__ = ["Running", "clocks"]


@dataclass(frozen=True)
class Running:
    """One clock: ``kind`` L or P; ``hours`` 0 is "at once"; ``done`` when it was stopped."""

    name: str
    kind: str
    cites: str
    hours: int
    due: datetime
    done: datetime | None

    def state(self, now: datetime) -> str:
        """Return done, late (done or not) or open; "at once" is open until it is done."""
        if self.done is not None:
            return "late" if self.hours and self.done > self.due else "done"
        return "late" if self.hours and now > self.due else "open"


def clocks(book: IncidentBook, found: Case, people: int) -> list[Running]:
    """Return the clocks that run at so many people, the law's first."""
    handled = found.first("handled")
    made = []
    for name, clock in book.clocks.items():
        start: datetime | None = found.discovered_at
        if clock.after == "handled":
            start = handled.at if handled else None
        if people < clock.least or start is None:
            continue
        done = found.first(clock.does)
        due = start + timedelta(hours=clock.hours)
        at = done.at if done else None
        made.append(Running(name, clock.kind, clock.cites, clock.hours, due, at))
    return sorted(made, key=lambda one: (one.kind, one.due, one.name))
