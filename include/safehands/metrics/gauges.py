"""What is measured: one statement per gauge, on evidence tables, as ``safehands_auditor``.

Labels are steps, datasets, rules' dimensions, states and codes of owners; never a station's name,
a file, a person or a request. So the number of series grows with owners, not with nights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

__all__ = ["GAUGES", "Gauge", "Sample", "measure"]

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the number."""


@dataclass(frozen=True)
class Gauge:
    """``query`` gives one row per sample: the labels in order, then ``number``."""

    name: str
    text: str
    labels: tuple[str, ...]
    query: str


def measure(connection: Connection) -> Iterator[tuple[Gauge, list[Sample]]]:
    """Yield each gauge with its samples; one without evidence has none."""
    for gauge in GAUGES:
        rows = connection.execute(text(gauge.query)).all()
        found = [
            (tuple(str(v) for v in row[:-1]), float(row[-1])) for row in rows if row[-1] is not None
        ]
        yield gauge, found


_NEWEST = "business_date = (SELECT max(business_date) FROM step_result) AND run NOT LIKE 'retry-%'"
# Midnight in Shanghai of the business date, as seconds since 1970.
_SECONDS = "extract(epoch FROM max(business_date)::timestamp AT TIME ZONE 'Asia/Shanghai')"


def _by_step(number: str) -> str:
    return f"SELECT step, {number} FROM step_result WHERE {_NEWEST} GROUP BY 1"


def _quality(number: str) -> str:
    return (
        f"SELECT dataset, dimension, {number} FROM quality_result WHERE suite <> 'pseudonymised'"
        " AND business_date = (SELECT max(business_date) FROM quality_result) GROUP BY 1, 2"
    )


def _open(table: str, state: str, by: str, late: str) -> str:
    return (
        f"SELECT {by}, CASE WHEN {late} THEN 'late' ELSE 'in_time' END, count(*)"
        f" FROM {table} WHERE {state} GROUP BY 1, 2"
    )


_TODAY = "(now() AT TIME ZONE 'Asia/Shanghai')::date"
_RISK = (
    "SELECT DISTINCT ON (c.code) c.code, {number} FROM risk_assessment r"
    " JOIN controller c ON c.id = r.controller_id ORDER BY c.code, r.id DESC"
)

GAUGES = (
    Gauge(
        "night_timestamp_seconds",
        "Business date of the newest night, midnight in Shanghai",
        (),
        f"SELECT {_SECONDS} FROM step_result",
    ),
    Gauge(
        "step_seconds",
        "Seconds that the newest night's step took, over all shards",
        ("step",),
        _by_step("sum(seconds)"),
    ),
    Gauge(
        "step_rows_in",
        "Rows that went into the newest night's step",
        ("step",),
        _by_step("sum((counts->>'in')::bigint)"),
    ),
    Gauge(
        "step_rows_out",
        "Rows that came out of the newest night's step",
        ("step",),
        _by_step("sum((counts->>'out')::bigint)"),
    ),
    Gauge(
        "step_rows_quarantined",
        "Rows that the newest night's step set aside",
        ("step",),
        _by_step("sum((counts->>'quarantined')::bigint)"),
    ),
    Gauge(
        "files",
        "Files of the newest night by state",
        ("state",),
        "SELECT state, count(*) FROM batch WHERE business_date ="
        " (SELECT max(business_date) FROM step_result) GROUP BY 1",
    ),
    Gauge(
        "quality_checks",
        "Values that rules looked at in the newest night",
        ("dataset", "dimension"),
        _quality("sum(evaluated)"),
    ),
    Gauge(
        "quality_checks_failed",
        "Values that broke a rule in the newest night",
        ("dataset", "dimension"),
        _quality("sum(failed)"),
    ),
    Gauge(
        "backup_timestamp_seconds",
        "When the newest backup was written",
        (),
        "SELECT extract(epoch FROM max(created_at)) FROM backup",
    ),
    Gauge(
        "backup_generations",
        "Generations that were not pruned",
        (),
        "SELECT count(*) FROM backup WHERE prune_id IS NULL",
    ),
    Gauge(
        "backup_bytes",
        "Bytes of the newest generation",
        (),
        "SELECT (facts->>'bytes')::bigint FROM backup ORDER BY id DESC LIMIT 1",
    ),
    Gauge(
        "drill_timestamp_seconds",
        "When the last restore drill ended",
        ("result",),
        "SELECT CASE WHEN passed THEN 'passed' ELSE 'failed' END,"
        " extract(epoch FROM max(ended_at)) FROM restore_drill GROUP BY 1",
    ),
    Gauge(
        "drill_rto_seconds",
        "Seconds that the last good drill's restore took",
        (),
        "SELECT rto_seconds FROM restore_drill WHERE passed ORDER BY id DESC LIMIT 1",
    ),
    Gauge(
        "ledger_entries",
        "Entries under the newest signed checkpoint",
        (),
        "SELECT max(size) FROM ledger_checkpoint",
    ),
    Gauge(
        "requests_open",
        "Requests of people that wait for an answer",
        ("kind", "clock"),
        _open("subject_request", "state NOT IN ('refused', 'done')", "kind", f"latest < {_TODAY}"),
    ),
    Gauge(
        "complaints_open",
        "Complaints that wait for an answer",
        ("topic", "clock"),
        _open("complaint", "answered_at IS NULL", "topic", f"due < {_TODAY}"),
    ),
    Gauge(
        "findings_open",
        "Findings that are not put right",
        ("duty", "clock"),
        _open("finding", "state = 'open'", "duty", f"due < {_TODAY}"),
    ),
    Gauge(
        "incidents_open",
        "Incidents that are not closed, drills left out",
        ("kind",),
        "SELECT i.kind, count(*) FROM incident i WHERE NOT i.drill AND NOT EXISTS (SELECT FROM"
        " incident_event e WHERE e.incident_id = i.id AND e.kind = 'closed') GROUP BY 1",
    ),
    Gauge(
        "handovers",
        "Hand-overs by state",
        ("state",),
        "SELECT state, count(*) FROM handover GROUP BY 1",
    ),
    Gauge(
        "rules",
        "Verdicts of the newest night on the rules in force",
        ("outcome",),
        "SELECT outcome, count(*) FROM (SELECT DISTINCT ON (controller_id, rule) outcome"
        " FROM rule_result WHERE occasion = 'night' ORDER BY controller_id, rule, id DESC) newest"
        " GROUP BY 1",
    ),
    Gauge(
        "risk_highest",
        "Highest re-identification risk of one record (prosecutor)",
        ("owner",),
        _RISK.format(number="(figures->'figures'->'prosecutor'->>'highest')::float8"),
    ),
    Gauge(
        "risk_k",
        "Size of the smallest group that nobody can be told apart in",
        ("owner",),
        _RISK.format(number="(figures->>'k')::int"),
    ),
)
