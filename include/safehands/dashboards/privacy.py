"""Privacy: what is held against its time, what the purge does next and did, consents, requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from safehands.dashboards.asking import Asking
from safehands.policy import Policy
from safehands.purge.plan import plan_purge

__all__ = ["privacy"]

_SHOWN = 100
_PURGES = 30


def privacy(asking: Asking, policy: Policy) -> dict[str, Any]:
    """Return the figures. ``held``: per retention rule; ``purges``: nights on which one did
    something; ``requests``: those that are open, the nearest deadline first."""
    held = {row["rule"]: row for row in asking.rows(_HELD)}
    return {
        "held_day": asking.one(_HELD_DAY)["day"],
        "held": [_rule(name, held.get(name), policy) for name in policy.retention],
        "plan": _plan(asking, policy),
        "purges": _purges(asking.rows(_PURGED)),
        "consents": _consents(asking.rows(_CONSENTS)),
        "notice": next(iter(asking.rows(_NOTICE)), None),
        "requests": asking.rows(_REQUESTS, shown=_SHOWN),
        "requests_by_state": asking.rows(_REQUEST_STATES),
        "erasures": asking.rows(_ERASURES),
        "holds": asking.rows(_HOLDS),
        "accesses": asking.rows(_ACCESSES),
    }


def _rule(name: str, held: Mapping[str, Any] | None, policy: Policy) -> dict[str, Any]:
    rule = policy.retention[name]
    found = held or {"held": 0, "oldest": None, "overdue": 0}
    return {
        "rule": name,
        "held": found["held"],
        "oldest": found["oldest"],
        "overdue": found["overdue"],
        "keep_days": rule.keep_days,
        "action": rule.action,
        "kind": rule.kind,
        "basis": rule.basis,
        "counted": held is not None,
    }


def _plan(asking: Asking, policy: Policy) -> list[dict[str, Any]]:
    """Return what the purge of the next night takes: events before which day."""
    assert asking.day is not None
    tomorrow = asking.day + timedelta(days=1)
    return [
        {"rule": due.rule, "action": due.action, "before": due.before.date().isoformat()}
        for due in plan_purge(policy, tomorrow)
    ]


def _purges(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return per night what was treated, newest first."""
    nights: dict[str, dict[str, int]] = {}
    for row in rows:
        nights.setdefault(row["day"], {})[row["rule"]] = row["count"]
    found = [{"day": day, "done": done, "sum": sum(done.values())} for day, done in nights.items()]
    return found[:_PURGES]


def _consents(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return per purpose how often each answer was given."""
    purposes: dict[str, dict[str, Any]] = {}
    empty = {"granted": 0, "refused": 0, "withdrawn": 0, "expired": 0}
    for row in rows:
        found = purposes.setdefault(row["purpose"], {"purpose": row["purpose"], **empty})
        found[row["kind"]] = row["count"]
    return list(purposes.values())


_HELD_DAY = "SELECT max(business_date)::text AS day FROM held_figure WHERE business_date <= :day"
_HELD = (
    "SELECT rule, sum(held)::bigint AS held, max(oldest) AS oldest, sum(overdue)::bigint AS overdue"
    " FROM held_figure WHERE business_date = (SELECT max(business_date) FROM held_figure"
    " WHERE business_date <= :day) GROUP BY 1"
)
_PURGED = (
    "SELECT business_date::text AS day, c.key AS rule, sum(c.value::bigint)::bigint AS count"
    " FROM step_result r, jsonb_each_text(r.counts) c WHERE r.step = 'purge'"
    " AND r.business_date > :since AND r.business_date <= :day AND c.value <> '0'"
    " AND (:owner = '' OR r.shard = :owner) GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC, 2"
)
_CONSENTS = (
    "SELECT purpose, kind, count(*)::int AS count FROM consent_event GROUP BY 1, 2 ORDER BY 1, 2"
)
_NOTICE = (
    "SELECT max(number) AS number, max(valid_from)::text AS day FROM notice_version"
    " WHERE valid_from <= :day HAVING count(*) > 0"
)
_OPEN = "state NOT IN ('refused', 'done')"
_REQUESTS = (
    "SELECT request, kind, state, requested_at::date::text AS asked, target::text AS target,"
    " latest::text AS latest, (latest - CAST(:day AS date))::int AS left,"
    " (target < CAST(:day AS date)) AS behind FROM subject_request"
    f" WHERE {_OPEN} ORDER BY latest, request LIMIT CAST(:shown AS int)"
)
_REQUEST_STATES = (
    "SELECT state, count(*)::int AS count FROM subject_request"
    f" WHERE {_OPEN} OR requested_at > CAST(:since AS date) GROUP BY 1 ORDER BY 1"
)
_ERASURES = (
    "SELECT state, count(*)::int AS count, max(requested_at)::date::text AS newest FROM erasure"
    " GROUP BY 1 ORDER BY array_position(ARRAY['requested', 'held', 'erased', 'final'], state)"
)
_HOLDS = (
    "SELECT scope, reason, count(*)::int AS count, min(until)::text AS first_end FROM legal_hold"
    " WHERE ended_at IS NULL GROUP BY 1, 2 ORDER BY 4"
)
_ACCESSES = (
    "SELECT action, purpose, count(*)::int AS count FROM access_log"
    " WHERE at > CAST(:day AS date) - 30 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 30"
)
