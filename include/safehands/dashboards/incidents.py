"""Access and incidents: unusual access, files given, incidents, complaints; counts, no names."""

from __future__ import annotations

from typing import Any

from safehands.dashboards.asking import Asking

__all__ = ["incidents"]

_DAYS = 14
_SHOWN = 30


def incidents(asking: Asking) -> dict[str, Any]:
    """Return the figures. ``days``: newest first, records opened, rows in files and alerts;
    ``hours``: the last thirty days by hour of Asia/Shanghai; ``watched``: the daily counts of
    what somebody should look at."""
    return {
        "days": asking.rows(_BY_DAY, days=_DAYS),
        "hours": asking.rows(_HOURS),
        "watched": {row["name"]: row["number"] for row in asking.rows(_WATCHED)},
        "given": asking.rows(_GIVEN, shown=_SHOWN),
        "incidents": asking.rows(_INCIDENTS, shown=_SHOWN),
        "complaints": asking.rows(_COMPLAINTS),
    }


_ACCESS = (
    "SELECT (at AT TIME ZONE 'Asia/Shanghai') AS at, 1 AS records, 0 AS rows FROM access_log"
    " UNION ALL SELECT made_at AT TIME ZONE 'Asia/Shanghai', 0, rows FROM disclosure"
    " UNION ALL SELECT at AT TIME ZONE 'Asia/Shanghai', 0, CAST(facts ->> 'messages' AS int)"
    " FROM incident_event WHERE kind = 'drafted'"
)
_BY_DAY = (
    f"WITH access AS ({_ACCESS}), raised AS (SELECT day, sum(number)::int AS alerts FROM"
    " (SELECT DISTINCT ON (controller_id, day) day, number FROM rule_figure"
    " WHERE name = 'access.unusual_of_day' ORDER BY controller_id, day, id DESC) newest GROUP BY 1)"
    " SELECT d::date::text AS day, coalesce(sum(a.records), 0)::int AS records,"
    " coalesce(sum(a.rows), 0)::int AS rows, coalesce(max(r.alerts), 0)::int AS alerts"
    " FROM generate_series(CAST(:day AS date) - (CAST(:days AS int) - 1), CAST(:day AS date) + 1,"
    " interval '1 day') d LEFT JOIN access a ON a.at::date = d::date"
    " LEFT JOIN raised r ON r.day = d::date GROUP BY d ORDER BY d DESC"
)
_HOURS = (
    f"WITH access AS ({_ACCESS}) SELECT extract(hour FROM at)::int AS hour,"
    " sum(records)::int AS records, sum(rows)::int AS rows FROM access"
    " WHERE at::date > CAST(:day AS date) - 30 GROUP BY 1 ORDER BY 1"
)
_WATCHED = (
    "SELECT name, sum(number)::int AS number FROM (SELECT DISTINCT ON (controller_id, name) name,"
    " number FROM rule_figure WHERE name IN ('plan.contacts_open', 'sharing.agreements_ending',"
    " 'requests.complaints_overdue', 'access.unusual') AND day > CAST(:day AS date) - 31"
    " ORDER BY controller_id, name, day DESC, id DESC) newest GROUP BY 1 ORDER BY 1"
)
_GIVEN = (
    "SELECT agreement, purpose, count(*)::int AS files, sum(people)::int AS people,"
    " sum(rows)::int AS rows, bool_or(abroad) AS abroad, max(business_date)::text AS newest"
    " FROM disclosure WHERE business_date > :since GROUP BY 1, 2 ORDER BY 7 DESC, 1, 2"
    " LIMIT CAST(:shown AS int)"
)
_INCIDENTS = (
    "SELECT i.id AS number, i.kind, i.drill,"
    " (i.discovered_at AT TIME ZONE 'Asia/Shanghai')::date::text AS found,"
    " (SELECT CAST(e.facts ->> 'people' AS int) FROM incident_event e WHERE e.incident_id = i.id"
    " AND e.kind = 'assessed' ORDER BY e.id DESC LIMIT 1) AS people,"
    " (SELECT count(DISTINCT e.name)::int FROM incident_event e WHERE e.incident_id = i.id"
    " AND e.kind = 'done') AS measures,"
    " EXISTS (SELECT FROM incident_event e WHERE e.incident_id = i.id AND e.kind = 'informed')"
    " AS informed,"
    " EXISTS (SELECT FROM incident_event e WHERE e.incident_id = i.id AND e.kind = 'closed')"
    " AS closed FROM incident i ORDER BY i.id DESC LIMIT CAST(:shown AS int)"
)
_COMPLAINTS = (
    "SELECT topic, count(*)::int AS count,"
    " count(*) FILTER (WHERE answered_at IS NULL)::int AS open,"
    " count(*) FILTER (WHERE coalesce((answered_at AT TIME ZONE 'Asia/Shanghai')::date,"
    " CAST(:day AS date)) > due)::int AS late FROM complaint"
    " WHERE received_at > CAST(:since AS date) GROUP BY 1 ORDER BY 2 DESC, 1"
)
