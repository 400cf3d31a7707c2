"""What the rule book wants to know of a hand-over, counted from the store and from nothing else.

The listing says who is to move; whether they may is asked of the answers themselves, of when they
were last seen and of the notice in force, by queries of their own that share nothing with how
people are classified. A class that is wrong shows here. The package is counted again from its own
rows (:mod:`safehands.transfer.measured`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.handover.classify import Scope, campaign
from safehands.handover.state import events
from safehands.handover.transferpolicy import TransferPolicy
from safehands.notices import current

__all__ = ["FIGURES", "HUNG", "coverage", "measured", "movable", "new_purposes", "share_told"]

FIGURES = (
    "transfer.without_basis",
    "transfer.silent_included",
    "transfer.dormant_included",
    "transfer.entrusted_residue",
    "transfer.cctv_files",
)
"""What :func:`measured` counts; names of ``figures.yaml``."""

HUNG = "poster_hung"
"""The paper that says the poster hangs: a photograph's digest, who hung it and on which day."""


def measured(connection: Connection, scope: Scope, rules: TransferPolicy) -> dict[str, float]:
    """Return the figures of a classified hand-over as it stands in the store.

    ``transfer.without_basis``: people in the class ``transferred`` without a separate yes within
    the window in an asset deal, or against a no in a succession; in every other mode, anybody.
    ``transfer.silent_included``: of these, who gave no answer at all though the mode asks.
    ``transfer.dormant_included``: who was not seen within ``dormant_days`` and waits for nothing.
    ``transfer.entrusted_residue``: entrusted parcels that no written confirmation of their handler
    covers: nobody took them back yet or had them deleted (PIPL 21 ¶2).
    ``transfer.cctv_files``: columns that would move as they are and could carry a picture.
    """
    values = _values(scope, rules)
    row = connection.execute(text(_COUNTS), values).mappings().one()
    return {name: float(row[name.partition(".")[2]]) for name in FIGURES}


def movable(connection: Connection, handover: UUID, mode: str, until: date) -> dict[str, set[UUID]]:
    """Return ids of the seller's people: who has a ``basis`` to move, and who ``answered``.

    For whoever compares a package with the answers; ``until``: last day on which a yes counts.
    """
    values = {"id": handover, "campaign": campaign(handover), "mode": mode, "until": until}
    basis = connection.execute(text(f"WITH {_ANSWER} {_MAY}"), values).scalars()
    answered = connection.execute(text(_ANSWERED), values).scalars()
    return {"basis": set(basis), "answered": set(answered)}


def new_purposes(
    connection: Connection, controller: int, wanted: Collection[str], day: date
) -> int:
    """Return how many of the buyer's purposes the notice in force never told people of (PIPL 14).

    Without a notice in force nobody was told of any.
    """
    notice = current(connection, controller, day)
    told = {one["id"] for one in notice.document["purposes"]} if notice else set()
    return len(set(wanted) - (told - {"handover"}))


def coverage(connection: Connection, handover: UUID) -> float | None:
    """Return the share of people who were told; ``None`` before the notice.

    Once somebody has registered that the poster hangs, everybody counts as told by it. Before that
    only those count to whom a message went and whom the delivery logs don't name as not reached.
    """
    happened = events(connection, handover)
    told = [one["facts"] for one in happened if (one["kind"], one["key"]) == ("state", "noticed")]
    if not told:
        return None
    if any((one["kind"], one["key"]) == ("paper", HUNG) for one in happened):
        return 1.0
    failed = sum(one["facts"]["not_delivered"] for one in happened if one["kind"] == "delivery")
    # Who failed in two logs counts twice: rather too few told than too many.
    return share_told(told[0].get("people", 0), told[0].get("lines", 0) - failed)


def share_told(people: int, reached: int) -> float:
    """Return the share of ``people`` that was reached; nobody to tell is everybody told."""
    return max(0, reached) / people if people else 1.0


def _values(scope: Scope, rules: TransferPolicy) -> dict[str, Any]:
    moving = {
        table: [name for name, fate in one.columns.items() if fate == "move"]
        for table, one in rules.moves.items()
    }
    return {
        "id": scope.handover,
        "campaign": campaign(scope.handover),
        "mode": scope.mode,
        "until": scope.until,
        "since": scope.day - timedelta(days=rules.dormant_days),
        "stations": list(scope.stations),
        "moving": [f"{table}.{name}" for table, names in moving.items() for name in names],
    }


# The last answer of each person in this hand-over's campaign; a yes after the window is none.
_ANSWER = (
    "said AS (SELECT DISTINCT ON (subject_id) subject_id, kind, separate FROM consent_event"
    " WHERE campaign = :campaign AND purpose = 'handover' AND subject_id IS NOT NULL"
    " AND NOT (kind = 'granted'"
    " AND (at AT TIME ZONE 'Asia/Shanghai')::date > CAST(:until AS date))"
    " ORDER BY subject_id, at DESC, id DESC)"
)
_MAY = (
    "SELECT s.subject_id FROM subject s LEFT JOIN said USING (subject_id) WHERE"
    " (:mode = 'asset_deal' AND said.kind = 'granted' AND said.separate)"
    " OR (:mode = 'statutory_succession' AND coalesce(said.kind, 'granted') = 'granted')"
)
_ANSWERED = (
    "SELECT DISTINCT subject_id FROM consent_event"
    " WHERE campaign = :campaign AND purpose = 'handover' AND subject_id IS NOT NULL"
)
_COUNTS = f"""
WITH {_ANSWER},
may AS ({_MAY}),
moves AS (SELECT h.subject_id FROM handover_subject h
    WHERE h.handover_id = :id AND h.class = 'transferred'),
entrusted AS (SELECT count(*) AS rows FROM parcel p
    WHERE p.station_id = ANY (:stations) AND :mode <> 'share_deal'
        AND (:mode = 'entrusted_processor_change' OR EXISTS (SELECT FROM record_set r
            WHERE r.controller_id = p.controller_id AND r.dataset = 'parcels'
            AND r.role = 'entrusted'))
        AND NOT EXISTS (SELECT FROM handover h WHERE h.handover_id = :id
            AND coalesce(h.request ->> 'handler_confirmation', '') <> '')
        AND NOT EXISTS (SELECT FROM handover_event e WHERE e.handover_id = :id
            AND e.kind = 'paper' AND e.key = 'handler_confirmation'))
SELECT
    (SELECT count(*) FROM moves WHERE subject_id NOT IN (SELECT subject_id FROM may))
        AS without_basis,
    (SELECT count(*) FROM moves WHERE :mode = 'asset_deal'
        AND subject_id NOT IN ({_ANSWERED})) AS silent_included,
    (SELECT count(*) FROM moves JOIN subject s USING (subject_id)
        WHERE (s.last_seen AT TIME ZONE 'Asia/Shanghai')::date < CAST(:since AS date)
        AND s.subject_id NOT IN (SELECT c.subject_id FROM custody c
            WHERE c.subject_id IS NOT NULL)) AS dormant_included,
    (SELECT rows FROM entrusted) AS entrusted_residue,
    (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND a.atttypid = 'bytea'::regtype
        AND c.relname || '.' || a.attname = ANY (:moving)) AS cctv_files
"""
