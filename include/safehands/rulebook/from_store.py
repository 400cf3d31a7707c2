"""Measures by SQL over evidence tables, read as the auditor's role, which can't see a person.

Every statement returns ``controller_id`` (null: it holds for every owner), ``number`` and ``run``.
``:day`` is the business date of the check. ``:until`` is the last date whose report counts: in the
night it is the day before, since tonight's report has not been written when its rules are checked.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from safehands.rulebook.judge import Measured
from safehands.store.verdicts import NEWEST_VERDICTS

__all__ = ["STATEMENTS", "store_measures"]

Found = dict[int | None, Measured]


def store_measures(connection: Connection, values: dict[str, Any]) -> dict[str, Found]:
    """Return every measure of :data:`STATEMENTS`: number and run per controller id.

    ``values`` has ``day``, ``until`` and ``soon`` (dates).
    """
    found: dict[str, Found] = {}
    for name, statement in STATEMENTS.items():
        rows = connection.execute(text(statement), values)
        found[name] = {
            row.controller_id: Measured(float(row.number), row.run or "", name) for row in rows
        }
    return found


def _newest_quality(condition: str, number: str) -> str:
    """Quality verdicts of each station's newest night, added up per owner."""
    return (
        f"{NEWEST_VERDICTS}SELECT q.controller_id, {number} AS number, max(q.run) AS run"
        " FROM newest JOIN quality_result q USING (controller_id, station, business_date)"
        f" WHERE {condition} GROUP BY q.controller_id HAVING sum(q.evaluated) > 0"
    )


_FAILED = "sum(q.failed)"
_SHARE = "1 - sum(q.failed)::float8 / sum(q.evaluated)"


def _risk(figure: str) -> str:
    """A figure of each owner's newest assessment that saw people."""
    return (
        f"SELECT DISTINCT ON (controller_id) controller_id, {figure} AS number,"
        " 'risk_assessment ' || id AS run FROM risk_assessment"
        " WHERE business_date <= :until AND (figures->>'people')::int > 0"
        " ORDER BY controller_id, business_date DESC, id DESC"
    )


def _overall(release: str) -> str:
    return (
        "(SELECT (r->>'overall')::float8 FROM jsonb_array_elements(figures->'releases') r"
        f" WHERE r->>'release' = '{release}')"
    )


def _roles(role: str) -> str:
    return (
        "SELECT c.id AS controller_id, count(r.dataset) AS number, 'record_set' AS run"
        " FROM controller c LEFT JOIN record_set r"
        f" ON r.controller_id = c.id AND r.role = '{role}' GROUP BY c.id"
    )


STATEMENTS: dict[str, str] = {
    "store.unexpected_columns": _newest_quality("q.rule = 'pseudonymised.text_column'", _FAILED),
    "store.clear_numbers": _newest_quality("q.rule = 'pseudonymised.mobile_like'", _FAILED),
    "store.phone_share": _newest_quality(
        "q.rule IN ('parcels.phone_missing', 'parcels.phone_odd', 'customers.phone_missing',"
        " 'customers.phone_not_mobile', 'preferences.phone_missing',"
        " 'preferences.phone_not_mobile')",
        _SHARE,
    ),
    "store.name_share": _newest_quality(
        "q.rule IN ('parcels.name_missing', 'parcels.name_holds_phone', 'customers.name_missing')",
        _SHARE,
    ),
    "store.quality_share": _newest_quality("q.suite <> 'pseudonymised'", _SHARE),
    "store.quarantined_share": (
        "SELECT c.id AS controller_id, max(s.run) AS run,"
        " sum(coalesce((s.counts->>'quarantined')::float8, 0))"
        " / sum((s.counts->>'in')::float8) FILTER (WHERE s.step = 'ingest') AS number"
        " FROM step_result s JOIN controller c"
        " ON c.code = regexp_replace(s.shard, '-[0-9]+$', '')"
        " WHERE s.step IN ('ingest', 'validate') AND s.business_date = :day GROUP BY c.id"
        " HAVING sum((s.counts->>'in')::float8) FILTER (WHERE s.step = 'ingest') > 0"
    ),
    "store.roles_unknown": _roles("unknown"),
    "store.roles_entrusted": _roles("entrusted"),
    "store.roles_joint": _roles("joint"),
    "store.backup_age": (
        "SELECT NULL::int AS controller_id, CAST(:day AS date) - max(business_date) AS number,"
        " max(manifest) AS run FROM (SELECT business_date, manifest FROM backup"
        " WHERE business_date <= :day ORDER BY business_date DESC, id DESC LIMIT 1) newest"
        " HAVING count(*) > 0"
    ),
    "store.restore_age": (
        "SELECT NULL::int AS controller_id, CAST(:day AS date) - business_date AS number,"
        " 'restore_drill ' || id AS run FROM restore_drill WHERE passed AND business_date <= :day"
        " ORDER BY business_date DESC, id DESC LIMIT 1"
    ),
    "store.purge_age": (
        "SELECT c.id AS controller_id, CAST(:day AS date) - max(s.business_date) AS number,"
        " (array_agg(s.run ORDER BY s.business_date DESC))[1] AS run FROM step_result s"
        " JOIN controller c ON c.code = s.shard"
        " WHERE s.step = 'purge' AND s.business_date <= :day GROUP BY c.id"
    ),
    "store.risk_k": _risk("(figures->>'k')::int"),
    "store.risk_highest": _risk("(figures->'figures'->'prosecutor'->>'highest')::float8"),
    "store.risk_overall_controlled": _risk(_overall("controlled")),
    "store.risk_overall_public": _risk(_overall("public")),
    "store.assessments_sensitive": (
        "SELECT c.id AS controller_id, count(e.id) AS number, 'pipia_event' AS run"
        " FROM controller c LEFT JOIN pipia p ON p.controller_id = c.id"
        " AND p.occasion = 'sensitive' LEFT JOIN pipia_event e ON e.pipia_id = p.pipia_id"
        " AND e.kind = 'signed' AND e.day <= :day AND (e.facts->>'valid_until')::date >= :day"
        " GROUP BY c.id"
    ),
    "store.findings_overdue": (
        "SELECT c.id AS controller_id, count(f.id) AS number, 'finding' AS run FROM controller c"
        " LEFT JOIN finding f ON f.controller_id = c.id AND f.state = 'open' AND f.due < :day"
        " GROUP BY c.id"
    ),
    "store.evidence_expiring": (
        "SELECT c.id AS controller_id, count(n.kind) AS number, 'control_evidence' AS run"
        " FROM controller c LEFT JOIN (SELECT controller_id, kind, max(valid_until) AS until"
        " FROM control_evidence WHERE NOT withdrawn AND held_on <= :day GROUP BY 1, 2) n"
        " ON n.controller_id = c.id AND n.until < :soon GROUP BY c.id"
    ),
}
"""One statement per measure. Constants of this module; values travel as parameters."""
