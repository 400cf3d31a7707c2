"""Quality: stations by dimension, failing rules with their last nights, and one rule as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from safehands.dashboards.asking import BROUGHT, SCORE, Asking, score

__all__ = ["DIMENSIONS", "quality", "quality_rule"]

DIMENSIONS = ("completeness", "validity", "uniqueness", "consistency", "timeliness")

STATIONS_SHOWN = 100
_PLACES_SHOWN = 200
_STRIP = 14


def quality(asking: Asking) -> dict[str, Any]:
    """Return the heat of the newest night (worst station first), rules, quarantine, the trend."""
    found = asking.rows(_STATIONS, shown=STATIONS_SHOWN)
    strips = _strips(asking.rows(_LAST_NIGHTS, nights=_STRIP))
    return {
        "trend": asking.rows(_TREND),
        "dimensions": DIMENSIONS,
        "stations": _heat(found),
        "stations_more": max(0, found[0]["stations"] - STATIONS_SHOWN) if found else 0,
        "silent": asking.one(_SILENT)["count"],
        "failing": [
            {**row, "nights": strips.get(row["rule"], [])} for row in asking.rows(_FAILING)
        ],
        "files": asking.rows(_FILES),
        "waiting": asking.rows(_WAITING),
    }


def quality_rule(asking: Asking, rule: str) -> dict[str, Any]:
    """Return one rule's verdicts by night and station, and where its rows wait: file, sheet,
    column and row number, never a cell."""
    places = asking.rows(_PLACES, rule=rule, shown=_PLACES_SHOWN + 1)
    return {
        "rule": rule,
        "about": next(iter(asking.rows(_ABOUT, rule=rule)), None),
        "history": [
            {**row, "score": score(row["evaluated"], row["failed"])}
            for row in asking.rows(_HISTORY, rule=rule)
        ],
        "stations": asking.rows(_RULE_STATIONS, rule=rule),
        "patterns": asking.rows(_PATTERNS, rule=rule),
        "places": places[:_PLACES_SHOWN],
        "places_more": len(places) > _PLACES_SHOWN,
    }


def _heat(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per station with a score per dimension and over all, in the rows' order."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        overall = score(row["evaluated"], row["failed"])
        empty = {"station": row["station"], "name": row["name"], "scores": {}, "score": overall}
        found.setdefault(row["station"], empty)["scores"][row["dimension"]] = row["score"]
    return list(found.values())


def _strips(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    strips: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        strips.setdefault(row["rule"], []).append(row)
    return strips


_TREND = (
    f"SELECT business_date::text AS day, {SCORE} FROM quality_night"
    " WHERE business_date > :since AND business_date <= :day GROUP BY business_date ORDER BY 1"
)
# Of a thousand stations the worst are fetched, and how many there are.
_STATIONS = (
    f"WITH found AS (SELECT station, dimension, {SCORE}, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed FROM quality_result"
    f" WHERE business_date = :day AND {BROUGHT} GROUP BY 1, 2), worst AS (SELECT station,"
    " coalesce(min(score), 10001) AS least, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed, count(*) OVER () AS stations FROM found GROUP BY 1"
    ' ORDER BY 2, station COLLATE "C" LIMIT CAST(:shown AS int))'
    " SELECT w.station, coalesce(s.name, '') AS name, f.dimension, f.score, w.evaluated, w.failed,"
    " w.stations FROM worst w JOIN found f ON f.station = w.station"
    ' LEFT JOIN station s ON s.code = w.station ORDER BY w.least, w.station COLLATE "C"'
)
_SILENT = (
    "SELECT count(*)::int AS count FROM station s WHERE NOT EXISTS (SELECT FROM batch b"
    " WHERE b.station_id = s.id AND b.business_date = :day)"
)
_FAILING = (
    "SELECT rule, dataset, dimension, severity, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed, sum(stations_failed)::int AS stations"
    " FROM quality_night WHERE business_date = :day AND failed > 0"
    " GROUP BY 1, 2, 3, 4 ORDER BY severity = 'critical' DESC, failed DESC, rule"
)
_LAST_NIGHTS = (
    f"SELECT rule, business_date::text AS day, {SCORE} FROM quality_night"
    " WHERE business_date <= :day AND business_date > CAST(:day AS date) - CAST(:nights AS int)"
    " GROUP BY rule, business_date ORDER BY rule, business_date"
)
_ABOUT = (
    "SELECT dataset, dimension, severity FROM quality_night WHERE rule = :rule"
    " ORDER BY business_date DESC LIMIT 1"
)
_HISTORY = (
    "SELECT business_date::text AS day, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed FROM quality_night WHERE rule = :rule"
    " AND business_date > :since AND business_date <= :day"
    " GROUP BY business_date ORDER BY business_date"
)
_RULE_STATIONS = (
    "SELECT q.station, coalesce(s.name, '') AS name, sum(evaluated)::bigint AS evaluated,"
    " sum(failed)::bigint AS failed FROM quality_result q LEFT JOIN station s ON s.code = q.station"
    " WHERE q.business_date = :day AND q.rule = :rule AND q.failed > 0"
    " GROUP BY 1, 2 ORDER BY 4 DESC, 1 LIMIT 50"
)
_PATTERNS = (
    "SELECT p.key AS pattern, sum(p.value::int)::int AS count FROM quality_result q,"
    " jsonb_each_text(q.patterns) p WHERE q.business_date = :day AND q.rule = :rule"
    " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 12"
)
_FILES = (
    "SELECT s.code AS station, b.label, b.problem FROM batch b"
    " JOIN station s ON s.id = b.station_id WHERE b.business_date = :day"
    " AND b.state = 'set_aside' ORDER BY 1, 2 LIMIT 100"
)
_WAITING = (
    "SELECT rule, dataset, count(*)::int AS count, min(day)::text AS oldest FROM quarantine"
    " GROUP BY 1, 2 ORDER BY 3 DESC, 1"
)
# Grouped before the names are looked up: there are far more rows than files.
_PLACES = (
    "SELECT s.code AS station, b.label AS file, q.sheet, q.column_name AS column,"
    " q.day::text AS day, q.rows, q.shown FROM (SELECT batch_id, sheet, column_name, day,"
    " count(*)::int AS rows, (array_agg(row_number ORDER BY row_number))[1:12] AS shown"
    " FROM quarantine WHERE rule = :rule GROUP BY batch_id, sheet, column_name, day) q"
    " JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    " ORDER BY q.day DESC, 1, 2, 3, 4 LIMIT CAST(:shown AS int)"
)
