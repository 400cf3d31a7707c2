"""What a report says beside the identity: notices, answers, approvals, digests and figures.

All of it is read from events, answers and figures in the store; nobody is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.handover.classify import campaign
from safehands.handover.measures import HUNG

__all__ = [
    "answers_of",
    "approvals_of",
    "digests_of",
    "figures_of",
    "identity_of",
    "kept_of",
    "notices_of",
]

_DIGESTS = {
    "assessed": ("plan",),
    "noticed": ("notice", "sha256"),
    "approved": ("checkpoint",),
    "packaged": ("package", "manifest"),
    "received": ("receipt",),
}


def identity_of(happened: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]] | None:
    """Return the newest identity that a step has fixed: cut over, else reconciled, else answered.

    ``None`` where none has, and while a delta that came after the reconciliation waits for the
    cut-over: it brought rows, so that what was reconciled is no longer all.
    """
    passed = {one["key"]: one["facts"] for one in happened if one["kind"] == "state"}
    if "cut_over" not in passed and "reconciled" in passed:
        kinds = [f"{one['kind']}/{one['key']}" for one in happened]
        later = kinds[kinds.index("state/reconciled") :]
        if any(one.startswith("delta/") for one in later):
            return None
    for key, name in (
        ("cut_over", "held_before"),
        ("reconciled", "classes"),
        ("answered", "tables"),
    ):
        found: dict[str, dict[str, int]] | None = passed.get(key, {}).get(name)
        if found:
            return found
    return None


def kept_of(connection: Connection, handover_id: UUID, day: date) -> list[dict[str, Any]]:
    """Return why people stay and until when: ``class``, ``reason``, ``until``, ``people``.

    From holds and restrictions as they stand; ``until`` is null where the store names no end, and
    for a limitation period, which ends parcel by parcel. Who has two reasons stands in two lines.
    """
    rows = connection.execute(text(_KEPT), {"id": handover_id, "day": day}).all()
    return [
        {
            "class": str(name),
            "reason": str(reason),
            "until": until.isoformat() if until else None,
            "people": int(number),
        }
        for name, reason, until, number in rows
    ]


def notices_of(happened: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how people were told: channels, days, counts; ``poster_hung``: since when it hangs.

    ``not_delivered`` is counted apart from who was sent something. Empty before the notice.
    """
    told = [one["facts"] for one in happened if (one["kind"], one["key"]) == ("state", "noticed")]
    if not told:
        return {}
    names = ("channels", "posted", "until", "people", "lines", "not_asked")
    found = {name: told[0][name] for name in names if name in told[0]}
    logs = [one["facts"]["not_delivered"] for one in happened if one["kind"] == "delivery"]
    if logs:
        found["not_delivered"] = sum(logs)
    hung = [one["facts"]["on"] for one in happened if (one["kind"], one["key"]) == ("paper", HUNG)]
    return {**found, **({"poster_hung": hung[0]} if hung else {})}


def answers_of(connection: Connection, handover_id: UUID) -> dict[str, int]:
    """Return how many answers of each kind and channel were read, e.g. ``granted by sms``.

    The answers stay as counts when their people are erased.
    """
    rows = connection.execute(text(_ANSWERS), {"campaign": campaign(handover_id)}).all()
    return {f"{kind} {channel}".strip(): int(number) for kind, channel, number in rows}


def approvals_of(happened: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return every decision, oldest first: party, decision, staff id, day, signed document."""
    names = ("party", "decision", "by", "day", "document")
    return [
        {name: str(one["facts"][name]) for name in names if name in one["facts"]}
        for one in happened
        if one["kind"] == "approval"
    ]


def digests_of(happened: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the digests that other documents can be compared with."""
    passed = {one["key"]: one["facts"] for one in happened if one["kind"] == "state"}
    found = {
        f"{state}.{name}": str(passed[state][name])
        for state, names in _DIGESTS.items()
        for name in names
        if passed.get(state, {}).get(name)
    }
    proved = passed.get("certified", {}).get("proved", {})
    if proved.get("certificate"):
        found["certified.erasure"] = str(proved["certificate"])
    for one in happened:
        if one["kind"] == "document" and one["key"] == "evidence_bundle":
            found["evidence_bundle"] = str(one["facts"]["digest"])
    return found


def figures_of(connection: Connection, handover_id: UUID) -> dict[str, str]:
    """Return the newest of each figure that the rule book judged this hand-over by, as text."""
    rows = connection.execute(text(_FIGURES), {"scope": str(handover_id)}).all()
    return {str(name): f"{number:g}" for name, number in rows}


_ANSWERS = (
    "SELECT kind, channel, count(*) FROM consent_event"
    " WHERE campaign = :campaign AND purpose = 'handover' GROUP BY 1, 2 ORDER BY 1, 2"
)
_KEPT = (
    "WITH stays AS (SELECT h.controller_id, h.subject_id, h.class FROM handover_subject h"
    " WHERE h.handover_id = :id AND h.class IN ('restricted', 'kept_by_law')),"
    " held AS (SELECT * FROM legal_hold l WHERE l.ended_at IS NULL"
    " AND l.until >= CAST(:day AS date)),"
    " found AS ("
    "SELECT s.class, r.reason, r.until, s.subject_id FROM stays s"
    " JOIN restriction r USING (controller_id, subject_id)"
    " UNION SELECT s.class, l.reason, l.until, s.subject_id FROM stays s JOIN held l"
    " ON l.controller_id = s.controller_id AND (l.scope = 'controller'"
    " OR l.subject_id = s.subject_id OR EXISTS (SELECT FROM parcel p"
    " WHERE p.controller_id = l.controller_id AND p.waybill = l.waybill"
    " AND p.subject_id = s.subject_id))"
    " UNION SELECT s.class, 'limitation', NULL, s.subject_id FROM stays s"
    " WHERE s.subject_id IN (SELECT limited_subjects(CAST(:day AS date))))"
    " SELECT class, reason, until, count(*) FROM found GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_FIGURES = (
    "SELECT DISTINCT ON (name) name, number FROM rule_figure WHERE scope = :scope"
    " ORDER BY name, day DESC, id DESC"
)
