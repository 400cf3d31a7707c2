"""Everybody of the stations, each in exactly one class; in SQL, so that a million rows stay there.

Who belongs to the stations: whoever has a parcel there, whoever a full export of theirs lists, and,
when every station of the owner changes hands, everybody. The first class that fits is the one:
what must not move comes before what may, so that nobody is moved by a later line.

The transaction is the pipeline's, bound to the seller, with ``storage`` (restricted people are
counted, and stay where they are).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid5

from sqlalchemy import Connection, text

from safehands.errors import HandoverRefused
from safehands.handover.state import CLASSES, Mode
from safehands.handover.transferpolicy import TransferPolicy
from safehands.policy import Policy

__all__ = ["Scope", "campaign", "classify", "counts", "preview", "reconciled", "reference"]

_TABLES = ("subject", "parcel", "parcel_held", "custody", "preference")


@dataclass(frozen=True)
class Scope:
    """What is classified: whose people, of which stations, in which mode, as of which day.

    ``same_purposes``: the buyer adds none. ``whole``: all stations of the owner are handed over.
    ``handler``: datasets for which the seller is the handler itself (or jointly).
    ``until``: last day on which a yes counts; a no counts on any day.
    """

    handover: UUID
    controller: int
    stations: tuple[int, ...]
    whole: bool
    mode: Mode
    same_purposes: bool
    handler: frozenset[str]
    day: date
    until: date = date.max


def campaign(handover: UUID) -> str:
    """Return the name under which this hand-over's answers are recorded."""
    return f"handover-{_letters(handover)}"


def reference(handover: UUID, subject: UUID) -> str:
    """Return the word by which a delivery log names a person: letters only, of this hand-over."""
    return _letters(uuid5(handover, subject.hex))


def _letters(number: UUID) -> str:
    """Letters only: a number of seven digits could be taken for a person's."""
    return number.hex[:16].translate(str.maketrans("0123456789", "ghijklmnop"))


def classify(
    connection: Connection, scope: Scope, policy: Policy, rules: TransferPolicy
) -> dict[str, int]:
    """Write the class of everybody anew and return how many each class has.

    Doing it again changes what has changed since, and nothing else. Raises ``HandoverRefused`` when
    the classes don't add up to the people held.
    """
    values = _values(scope, policy, rules)
    connection.execute(text(_GONE), values)
    connection.execute(text(_WRITE), values)
    found: dict[str, int] = dict.fromkeys(CLASSES, 0)
    for name, number in connection.execute(text(_CLASSES), values):
        found[name] = number
    held = int(connection.execute(text(_HELD), values).scalar_one())
    if sum(found.values()) != held:
        raise HandoverRefused("handover.identity", held=held, classed=sum(found.values()))
    return found


def preview(
    connection: Connection, scope: Scope, policy: Policy, rules: TransferPolicy
) -> dict[str, int]:
    """Return what :func:`classify` would find, and write nothing."""
    query = text(f"SELECT class, count(*) FROM ({_WHO}) found GROUP BY 1")
    found: dict[str, int] = dict.fromkeys(CLASSES, 0)
    for name, number in connection.execute(query, _values(scope, policy, rules)):
        found[str(name)] = number
    return found


def counts(connection: Connection, scope: Scope) -> dict[str, dict[str, int]]:
    """Return rows per table and class of a classified hand-over: the reconciliation identity.

    A row whose person nobody knows (masked or virtual number) counts as ``unreachable``; in custody
    it moves. Custody moves as necessary for the contract, but not of who refused, nor entrusted,
    restricted or held rows.
    """
    values = {
        "id": scope.handover,
        "stations": list(scope.stations),
        "custody_moves": "parcels" in scope.handler
        and scope.mode in ("asset_deal", "statutory_succession"),
        "entrusted": "parcels" not in scope.handler and scope.mode != "closure",
        "custody_class": "expired" if scope.mode == "closure" else "entrusted",
    }
    found: dict[str, dict[str, int]] = {t: dict.fromkeys(CLASSES, 0) for t in _TABLES}
    for table in _TABLES:
        for name, number in connection.execute(text(_COUNTS[table]), values):
            found[table][str(name)] += int(number)
    return found


def reconciled(found: Mapping[str, Mapping[str, int]], held: Mapping[str, int]) -> list[str]:
    """Return the tables for which ``held by seller`` is not the sum of its classes."""
    return [table for table in found if sum(found[table].values()) != held.get(table, 0)]


def _values(scope: Scope, policy: Policy, rules: TransferPolicy) -> dict[str, object]:
    kept = policy.retention["pickup_record"].keep_days or 0
    return {
        "id": scope.handover,
        "controller": scope.controller,
        "stations": list(scope.stations),
        "whole": scope.whole,
        "mode": scope.mode,
        "same": scope.same_purposes,
        "parcels_entrusted": "parcels" not in scope.handler,
        "lists_entrusted": not ({"customers", "preferences"} & scope.handler),
        "day": scope.day,
        "until": scope.until,
        "campaign": campaign(scope.handover),
        "expired": scope.day - timedelta(days=kept),
        "dormant": scope.day - timedelta(days=rules.dormant_days),
    }


def _union(parts: Sequence[str]) -> str:
    return " UNION ".join(parts)


_MEMBERS = _union(
    (
        "SELECT p.subject_id FROM parcel p WHERE p.station_id = ANY (:stations)"
        " AND p.subject_id IS NOT NULL",
        "SELECT l.token FROM listing l JOIN subject s ON s.controller_id = l.controller_id"
        " AND s.subject_id = l.token WHERE l.station_id = ANY (:stations)",
        "SELECT h.subject_id FROM stored_at(:stations) h WHERE h.subject_id IS NOT NULL",
        "SELECT s.subject_id FROM subject s WHERE :whole",
    )
)
_WHO = f"""
WITH member AS ({_MEMBERS}),
elsewhere AS (
    SELECT DISTINCT p.subject_id FROM parcel p
    WHERE NOT p.station_id = ANY (:stations) AND p.subject_id IS NOT NULL),
waiting AS (SELECT DISTINCT c.subject_id FROM custody c WHERE c.subject_id IS NOT NULL),
answer AS (
    SELECT DISTINCT ON (e.subject_id) e.subject_id, e.kind, e.guardian FROM consent_event e
    WHERE e.campaign = :campaign AND e.purpose = 'handover' AND e.subject_id IS NOT NULL
        AND (e.kind <> 'granted'
            OR (e.at AT TIME ZONE 'Asia/Shanghai')::date <= CAST(:until AS date))
    ORDER BY e.subject_id, e.at DESC, e.id DESC),
minor AS (
    SELECT DISTINCT e.subject_id FROM consent_event e
    WHERE e.guardian <> '' AND e.subject_id IS NOT NULL),
held AS (
    SELECT held_subjects(CAST(:day AS date)) AS subject_id
    UNION SELECT limited_subjects(CAST(:day AS date))),
everything AS (
    SELECT EXISTS (SELECT FROM legal_hold h WHERE h.scope = 'controller' AND h.ended_at IS NULL
        AND h.until >= CAST(:day AS date)) AS held)
SELECT s.controller_id, s.subject_id, CASE
    WHEN s.restricted THEN 'restricted'
    WHEN h.subject_id IS NOT NULL OR everything.held THEN 'kept_by_law'
    WHEN a.kind IN ('refused', 'withdrawn') THEN 'refused'
    WHEN m.subject_id IS NOT NULL AND NOT coalesce(a.kind = 'granted' AND a.guardian <> '', false)
        THEN 'minors'
    WHEN :mode <> 'closure' AND (:mode = 'entrusted_processor_change'
        OR :parcels_entrusted AND (:lists_entrusted OR p.subject_id IS NULL)) THEN 'entrusted'
    WHEN w.subject_id IS NULL
        AND (s.last_seen AT TIME ZONE 'Asia/Shanghai')::date < CAST(:expired AS date) THEN 'expired'
    WHEN e.subject_id IS NOT NULL AND :mode = 'closure' THEN 'served_elsewhere'
    WHEN :mode = 'closure' THEN 'expired'
    WHEN w.subject_id IS NULL
        AND (s.last_seen AT TIME ZONE 'Asia/Shanghai')::date < CAST(:dormant AS date) THEN 'dormant'
    WHEN s.detail <> 0 THEN 'dormant'
    WHEN a.kind = 'granted' THEN 'transferred'
    WHEN :mode = 'statutory_succession' AND :same THEN 'transferred'
    WHEN e.subject_id IS NOT NULL THEN 'served_elsewhere'
    WHEN x.class = 'unreachable' THEN 'unreachable'
    ELSE 'silent' END AS class
FROM subject s JOIN member USING (subject_id) CROSS JOIN everything
LEFT JOIN elsewhere e USING (subject_id)
LEFT JOIN waiting w USING (subject_id)
LEFT JOIN answer a USING (subject_id)
LEFT JOIN minor m USING (subject_id)
LEFT JOIN held h USING (subject_id)
LEFT JOIN preference p ON p.controller_id = s.controller_id AND p.subject_id = s.subject_id
LEFT JOIN handover_subject x ON x.handover_id = :id AND x.subject_id = s.subject_id
"""
_WRITE = (
    "INSERT INTO handover_subject AS t (handover_id, controller_id, subject_id, class)"
    f" SELECT :id, found.* FROM ({_WHO}) found"
    " ON CONFLICT (handover_id, subject_id) DO UPDATE SET class = excluded.class"
    " WHERE t.class <> excluded.class"
)
_GONE = (
    f"DELETE FROM handover_subject t WHERE t.handover_id = :id AND t.subject_id NOT IN ({_MEMBERS})"
)
_CLASSES = "SELECT class, count(*) FROM handover_subject WHERE handover_id = :id GROUP BY 1"
_HELD = f"SELECT count(*) FROM subject s JOIN ({_MEMBERS}) m USING (subject_id)"
_JOIN = " LEFT JOIN handover_subject h ON h.handover_id = :id AND h.subject_id = t.subject_id"
_COUNTS = {
    "subject": _CLASSES,
    "parcel": (
        "SELECT CASE WHEN :entrusted AND coalesce(h.class, '') NOT IN ('restricted', 'kept_by_law')"
        " THEN 'entrusted' ELSE coalesce(h.class, 'unreachable') END, count(*) FROM parcel t"
        f"{_JOIN} WHERE t.station_id = ANY (:stations) GROUP BY 1"
    ),
    # Stored parcels stay, whoever moves: law keeps them with the seller.
    "parcel_held": (
        "SELECT CASE WHEN h.class = 'restricted' THEN 'restricted' ELSE 'kept_by_law' END,"
        f" coalesce(sum(t.parcels), 0) FROM stored_at(:stations) t{_JOIN} GROUP BY 1"
    ),
    "custody": (
        "SELECT CASE WHEN h.class IN ('refused', 'restricted', 'kept_by_law', 'minors')"
        " THEN h.class WHEN :custody_moves THEN 'transferred' ELSE :custody_class END, count(*)"
        " FROM custody t JOIN parcel p ON p.controller_id = t.controller_id"
        f" AND p.waybill = t.waybill AND p.arrived_at = t.arrived_at{_JOIN}"
        " WHERE p.station_id = ANY (:stations) GROUP BY 1"
    ),
    "preference": (
        "SELECT h.class, count(*) FROM preference t"
        " JOIN handover_subject h ON h.handover_id = :id AND h.subject_id = t.subject_id GROUP BY 1"
    ),
}
