"""What each page shows, read from evidence tables alone: counts, rules, digests and dates.

The connection is one of ``safehands_auditor``, which can read no person's record. Bound to an
owner it sees that owner's evidence; steps, backups and the ledger belong to the installation.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

__all__ = ["PAGES", "gather"]

PAGES = ("overview", "quality", "backups")

_NIGHTS = 60
"""How many nights a trend shows."""


def gather(connection: Connection, page: str) -> dict[str, Any]:
    """Return the figures of ``page``, one of ``PAGES``, as plain data with the newest ``day``.

    ``day`` is an ISO date, empty before the first night. Shares are hundredths of a percent,
    rounded down. Raises ``KeyError`` for another page.
    """
    day = connection.execute(text(_DAY)).scalar_one()
    values = {"day": day, "nights": _NIGHTS}
    queries = _QUERIES[page]
    found = {name: _rows(connection, query, values) for name, query in queries.items()}
    return {"page": page, "day": day.isoformat() if day else "", **found}


def _rows(connection: Connection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), values).mappings()]


_DAY = "SELECT max(business_date) FROM step_result"
_SCORE = "CASE WHEN sum(evaluated) > 0 THEN (sum(evaluated - failed) * 10000 / sum(evaluated))::int"
_SCORE += " END AS score"
# The checks of the pseudonymised tables judge our own work and not what stations bring.
_BROUGHT = "suite <> 'pseudonymised'"
_STEPS = (
    "SELECT step, count(*)::int AS shards, sum((counts->>'in')::bigint)::bigint AS rows_in,"
    " sum((counts->>'out')::bigint)::bigint AS rows_out,"
    " sum((counts->>'quarantined')::bigint)::bigint AS aside,"
    " round(sum(seconds)::numeric, 1)::float8 AS seconds FROM step_result"
    " WHERE business_date = :day AND run NOT LIKE 'retry-%' GROUP BY step ORDER BY min(id)"
)
_TREND = (
    f"SELECT business_date::text AS day, {_SCORE} FROM quality_result WHERE {_BROUGHT}"
    " AND business_date BETWEEN CAST(:day AS date) - CAST(:nights AS int) AND :day"
    " GROUP BY business_date ORDER BY 1"
)
_NEEDS = (
    "SELECT * FROM ("
    "SELECT 'files_set_aside' AS key, count(*)::int AS count FROM batch"
    " WHERE business_date = :day AND state = 'set_aside'"
    " UNION ALL SELECT 'rows_set_aside', coalesce(sum((counts->>'quarantined')::bigint), 0)::int"
    " FROM step_result WHERE business_date = :day AND run NOT LIKE 'retry-%'"
    " UNION ALL SELECT 'requests_late', count(*)::int FROM subject_request"
    " WHERE state NOT IN ('refused', 'done') AND latest < :day"
    " UNION ALL SELECT 'requests_open', count(*)::int FROM subject_request"
    " WHERE state NOT IN ('refused', 'done') AND latest >= :day"
    " UNION ALL SELECT 'handovers_open', count(*)::int FROM handover"
    " WHERE state NOT IN ('certified', 'aborted')"
    " UNION ALL SELECT 'findings_late', count(*)::int FROM finding"
    " WHERE state = 'open' AND due < :day"
    " UNION ALL SELECT 'complaints_open', count(*)::int FROM complaint WHERE answered_at IS NULL"
    " UNION ALL SELECT 'no_drill', (NOT EXISTS (SELECT FROM restore_drill WHERE passed))::int"
    " UNION ALL SELECT 'rules_not_met', count(DISTINCT rule)::int FROM rule_result"
    " WHERE business_date = :day AND occasion = 'night' AND outcome = 'not_met'"
    ") found WHERE count > 0"
)
_STATIONS = (
    f"SELECT q.station, coalesce(s.name, '') AS name, q.dimension, {_SCORE}"
    " FROM quality_result q LEFT JOIN station s ON s.code = q.station"
    f" WHERE q.business_date = :day AND {_BROUGHT} GROUP BY 1, 2, 3 ORDER BY 1, 3"
)
_FAILING = (
    "SELECT rule, dataset, dimension, severity, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed, count(DISTINCT station)::int AS stations"
    f" FROM quality_result WHERE business_date = :day AND failed > 0 AND {_BROUGHT}"
    " GROUP BY 1, 2, 3, 4 ORDER BY 6 DESC, 1"
)
_GENERATIONS = (
    "SELECT business_date::text AS day, manifest, (facts->>'rows')::bigint AS rows,"
    " (facts->>'bytes')::bigint AS bytes, prune_id IS NOT NULL AS pruned FROM backup"
    " ORDER BY id DESC LIMIT 40"
)
_DRILLS = (
    "SELECT business_date::text AS day, passed, round(rto_seconds::numeric, 1)::float8 AS seconds,"
    " to_char(recovery_point AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') AS point"
    " FROM restore_drill ORDER BY id DESC LIMIT 12"
)
_CHECKPOINT = "SELECT size, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"
_QUERIES = {
    "overview": {"steps": _STEPS, "trend": _TREND, "needs": _NEEDS},
    "quality": {"stations": _STATIONS, "failing": _FAILING, "trend": _TREND},
    "backups": {"generations": _GENERATIONS, "drills": _DRILLS, "checkpoint": _CHECKPOINT},
}
