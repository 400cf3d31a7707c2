"""What a report says beside the identity: notices, answers, approvals, digests and figures.

All of it is read from events, answers and figures in the store; nobody is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.handover.classify import campaign

__all__ = ["answers_of", "approvals_of", "digests_of", "figures_of", "notices_of"]

_DIGESTS = {
    "assessed": ("plan",),
    "noticed": ("notice", "sha256"),
    "approved": ("checkpoint",),
    "packaged": ("package", "manifest"),
    "received": ("receipt",),
}


def notices_of(passed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how people were told: channels, days, counts. Empty before it."""
    told = passed.get("noticed", {})
    names = ("channels", "posted", "until", "people", "lines", "not_asked")
    return {name: told[name] for name in names if name in told}


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
_FIGURES = (
    "SELECT DISTINCT ON (name) name, number FROM rule_figure WHERE scope = :scope"
    " ORDER BY name, day DESC, id DESC"
)
