"""The overview: what needs a person, tonight's steps, the quality score and its trend."""

from __future__ import annotations

from typing import Any

from safehands.dashboards.asking import OF_OWNER, SCORE, Asking

__all__ = ["overview"]

_STEPS = ("ingest", "validate", "minimise", "pseudonymise", "purge", "backup", "report")
_URGENT = frozenset(
    (
        "files_set_aside",
        "requests_late",
        "findings_late",
        "complaints_late",
        "no_drill",
        "drill_overdue",
        "incidents_late",
        "overdue",
    )
)
_PLACE = {
    "files_set_aside": "quality",
    "rows_set_aside": "quality",
    "requests_late": "privacy",
    "requests_open": "privacy",
    "overdue": "privacy",
    "handovers_open": "handovers",
    "handovers_approval": "handovers",
    "rules_not_met": "risk",
    "findings_late": "risk",
    "no_drill": "backups",
    "drill_overdue": "backups",
}


def overview(asking: Asking, drill_days: int) -> dict[str, Any]:
    """Return the figures; ``drill_days``: how often policy wants a restore drill."""
    trend = asking.rows(_TREND)
    return {
        "needs": _needs(asking, drill_days),
        "steps": _steps(asking),
        "trend": trend,
        "tonight": asking.one(_TONIGHT),
        "score": trend[-1]["score"] if trend and trend[-1]["day"] == str(asking.day) else None,
        "before": trend[-2]["score"] if len(trend) > 1 else None,
    }


def _needs(asking: Asking, drill_days: int) -> list[dict[str, Any]]:
    """Return what is open, urgent first: key of the sentence, count, page that shows it."""
    found = [
        {**row, "urgent": row["key"] in _URGENT, "place": _PLACE.get(row["key"], "")}
        for row in asking.rows(_NEEDS, drill=drill_days)
        if row["count"]
    ]
    return sorted(found, key=lambda row: not row["urgent"])


def _steps(asking: Asking) -> list[dict[str, Any]]:
    """Return the night's steps in their order; one that left nothing behind has no shards."""
    found = {row["step"]: row for row in asking.rows(_DONE)}
    empty = {"shards": 0, "rows_in": None, "rows_out": None, "aside": None, "seconds": None}
    names = [*_STEPS, *(name for name in found if name not in _STEPS)]
    return [found.get(name, {"step": name, **empty}) for name in names]


_DONE = (
    "SELECT step, count(*)::int AS shards, sum((counts->>'in')::bigint)::bigint AS rows_in,"
    " sum((counts->>'out')::bigint)::bigint AS rows_out,"
    " sum((counts->>'quarantined')::bigint)::bigint AS aside,"
    " round(sum(seconds)::numeric, 1)::float8 AS seconds FROM step_result"
    " WHERE business_date = :day AND run NOT LIKE 'retry-%'"
    f" AND ({OF_OWNER} OR step IN ('backup', 'prove', 'report')) GROUP BY step ORDER BY min(id)"
)
_TREND = (
    f"SELECT business_date::text AS day, {SCORE} FROM quality_night"
    " WHERE business_date > :since AND business_date <= :day GROUP BY business_date ORDER BY 1"
)
_TONIGHT = (
    "SELECT (SELECT count(DISTINCT station_id)::int FROM batch WHERE business_date = :day"
    " AND state = 'loaded') AS delivered,"
    " (SELECT count(*)::int FROM station) AS stations,"
    " (SELECT coalesce(sum((counts->>'in')::bigint), 0)::bigint FROM step_result"
    f" WHERE step = 'ingest' AND business_date = :day AND run NOT LIKE 'retry-%'"
    f" AND {OF_OWNER}) AS rows_in,"
    " (SELECT coalesce(sum((counts->>'quarantined')::bigint), 0)::bigint FROM step_result"
    f" WHERE business_date = :day AND run NOT LIKE 'retry-%' AND {OF_OWNER}) AS aside,"
    " (SELECT max(business_date)::text FROM backup) AS backup,"
    " (SELECT max(business_date)::text FROM restore_drill WHERE passed) AS drill"
)
_OPEN = "state NOT IN ('refused', 'done')"
_NEEDS = (
    "SELECT 'files_set_aside' AS key, count(*)::int AS count FROM batch"
    " WHERE business_date = :day AND state = 'set_aside'"
    " UNION ALL SELECT 'rows_set_aside', coalesce(sum((counts->>'quarantined')::bigint), 0)::int"
    f" FROM step_result WHERE business_date = :day AND run NOT LIKE 'retry-%' AND {OF_OWNER}"
    f" UNION ALL SELECT 'requests_late', count(*)::int FROM subject_request WHERE {_OPEN}"
    " AND latest < :day"
    f" UNION ALL SELECT 'requests_open', count(*)::int FROM subject_request WHERE {_OPEN}"
    " AND latest >= :day"
    " UNION ALL SELECT 'handovers_approval', count(*)::int FROM handover WHERE state = 'answered'"
    " OR (state = 'noticed' AND mode IN ('share_deal', 'entrusted_processor_change', 'closure'))"
    " UNION ALL SELECT 'handovers_open', count(*)::int FROM handover"
    " WHERE state NOT IN ('certified', 'aborted', 'answered')"
    " UNION ALL SELECT 'findings_late', count(*)::int FROM finding"
    " WHERE state = 'open' AND due < :day"
    " UNION ALL SELECT 'complaints_late', count(*)::int FROM complaint"
    " WHERE answered_at IS NULL AND due < :day"
    " UNION ALL SELECT 'complaints_open', count(*)::int FROM complaint"
    " WHERE answered_at IS NULL AND due >= :day"
    " UNION ALL SELECT 'overdue', coalesce(sum(overdue), 0)::int FROM held_figure"
    " WHERE business_date = :day"
    " UNION ALL SELECT 'no_drill', (NOT EXISTS (SELECT FROM restore_drill WHERE passed))::int"
    " UNION ALL SELECT 'drill_overdue', (max(business_date) < CAST(:day AS date)"
    " - CAST(:drill AS int))::int FROM restore_drill WHERE passed"
    " UNION ALL SELECT 'rules_not_met', count(DISTINCT rule)::int FROM rule_result"
    " WHERE business_date = :day AND occasion = 'night' AND outcome = 'not_met'"
)
