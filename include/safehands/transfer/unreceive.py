"""Take rows of a package out again at the buyer: people who are gone since, or all of it.

Whom the hand-over brought and who has nothing else here is erased for good (the night after opens
a new epoch). Whoever the buyer knew, or has served since, stays: only rows of the hand-over go, and
their consent to it is withdrawn. No tombstone is written: to undo a hand-over is not a person's own
wish to be erased here, and must not keep them out of a later one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.policy import Policy

__all__ = ["Undoing", "remove_people", "remove_rows", "request_of_removal"]

Removed = dict[str, int]


@dataclass(frozen=True)
class Undoing:
    """At which buyer, of which batch, on which day; ``request``: id of the erasure that follows."""

    controller: int
    batch: int
    source: str
    request: str
    day: date
    now: datetime
    policy: Policy

    @property
    def values(self) -> dict[str, Any]:
        """What the statements are bound to."""
        kept = self.policy.retention["exception_record"].then_days or 0
        return {
            "controller": self.controller,
            "batch": self.batch,
            "source": self.source,
            "day": self.day,
            "at": self.now,
            "claims": self.day + timedelta(days=kept),
        }


def request_of_removal(handover: str, what: str) -> str:
    """Return the id of the erasure request that follows a removal at the buyer."""
    return f"HO-{handover}-{what}"


def remove_people(
    connection: Connection, how: Undoing, brought: Sequence[UUID], known: Sequence[UUID]
) -> Removed:
    """Remove people by their ids here; return rows removed per table.

    ``brought``: whom the hand-over brought. ``known``: whom the buyer knew before it.
    """
    values = {**how.values, "who": list(brought)}
    alone = list(connection.execute(text(_ALONE), values).scalars())
    others = [*known, *(set(brought) - set(alone))]
    counts: Removed = {}
    if alone:
        taken = connection.execute(text(_ERASE), {**values, "who": alone}).scalar_one()
        counts = {name: int(count) for name, count in taken.items() if count}
        asked = {**values, "request": how.request, "counts": json.dumps(counts)}
        connection.execute(text(_REQUEST), asked)
    for name, statement in _ROWS.items():
        done = connection.execute(text(statement), {**values, "who": others}).rowcount
        counts[name] = counts.get(name, 0) + done
    connection.execute(text(_WITHDRAWN), {**values, "who": others})
    return {name: count for name, count in counts.items() if count}


def remove_rows(connection: Connection, how: Undoing) -> Removed:
    """Remove what the hand-over's batch has left: parcels of nobody and their slips."""
    counts = {
        name: connection.execute(text(statement), how.values).rowcount
        for name, statement in _LEFT.items()
    }
    return {name: count for name, count in counts.items() if count}


# Nothing but the hand-over: no row of another batch, no answer given here, no hold, not stored.
_ALONE = (
    "SELECT s.subject_id FROM subject s WHERE s.subject_id = ANY(:who) AND NOT s.restricted"
    " AND NOT EXISTS (SELECT FROM parcel p WHERE p.controller_id = s.controller_id"
    " AND p.subject_id = s.subject_id AND p.batch_id <> :batch)"
    " AND NOT EXISTS (SELECT FROM preference f WHERE f.controller_id = s.controller_id"
    " AND f.subject_id = s.subject_id AND f.batch_id <> :batch)"
    " AND NOT EXISTS (SELECT FROM consent_event e WHERE e.controller_id = s.controller_id"
    " AND e.subject_id = s.subject_id AND e.source <> :source)"
    " AND s.subject_id NOT IN (SELECT held_subjects(:day) UNION ALL SELECT limited_subjects(:day))"
    " AND NOT EXISTS (SELECT FROM legal_hold l WHERE l.controller_id = s.controller_id"
    " AND l.scope = 'controller' AND l.ended_at IS NULL)"
)
_ERASE = "SELECT erase_subjects(:who, :day, :at, :claims)"
_REQUEST = (
    "INSERT INTO erasure AS e (request, controller_id, state, reason, requested_at, erased_at,"
    " counts) VALUES (:request, :controller, 'erased', 'ended', :at, :at, CAST(:counts AS jsonb))"
    " ON CONFLICT (request) DO NOTHING"
)
_HELD = (
    " AND NOT EXISTS (SELECT FROM legal_hold l WHERE l.controller_id = p.controller_id"
    " AND l.ended_at IS NULL AND (l.scope = 'controller' OR l.waybill = p.waybill"
    " OR l.subject_id = p.subject_id))"
)
_MINE = "p.controller_id = :controller AND p.batch_id = :batch"
_SLIPS = (
    "DELETE FROM custody c USING parcel p WHERE c.controller_id = p.controller_id"
    " AND c.waybill = p.waybill AND c.arrived_at = p.arrived_at AND "
)
_ROWS = {
    "custody": f"{_SLIPS}{_MINE} AND p.subject_id = ANY(:who){_HELD}",
    "parcel": f"DELETE FROM parcel p WHERE {_MINE} AND p.subject_id = ANY(:who){_HELD}",
    "preference": (
        "DELETE FROM preference p WHERE p.controller_id = :controller AND p.batch_id = :batch"
        " AND p.subject_id = ANY(:who)"
    ),
}
_LEFT = {
    "custody": f"{_SLIPS}{_MINE}{_HELD}",
    "parcel": f"DELETE FROM parcel p WHERE {_MINE}{_HELD}",
}
_WITHDRAWN = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, notice, terms,"
    " channel, evidence, guardian, campaign, at, recorded_at, by_whom, source)"
    " SELECT DISTINCT ON (e.subject_id, e.purpose) e.controller_id, e.subject_id, 'withdrawn',"
    " e.purpose, e.separate, e.notice, :source, 'handover', :source, '', e.campaign,"
    " CAST(:at AS timestamptz), CAST(:at AS timestamptz), 'handover', :source"
    " FROM consent_event e WHERE e.controller_id = :controller AND e.source = :source"
    " AND e.kind = 'granted' AND e.subject_id = ANY(:who)"
)
