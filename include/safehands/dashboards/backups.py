"""Backups and ledger: generations, drills with their times, checkpoints and the verify button."""

from __future__ import annotations

from typing import Any

from safehands.dashboards.asking import Asking

__all__ = ["backups"]


def backups(asking: Asking, drill_days: int) -> dict[str, Any]:
    """Return the figures; they belong to the installation, whoever's evidence is looked at."""
    drills = asking.rows(_DRILLS)
    passed = next((drill for drill in drills if drill["passed"]), None)
    return {
        "generations": asking.rows(_GENERATIONS),
        "kept": asking.one(_KEPT),
        "drills": drills,
        "passed": passed,
        "overdue": passed is None or passed["age"] > drill_days,
        "drill_days": drill_days,
        "checkpoint": next(iter(asking.rows(_CHECKPOINT)), None),
        "entries": asking.one(_ENTRIES)["count"],
    }


_GENERATIONS = (
    "SELECT b.business_date::text AS day, b.manifest, (b.facts->>'rows')::bigint AS rows,"
    " (b.facts->>'bytes')::bigint AS bytes, b.prune_id IS NOT NULL AS pruned,"
    " EXISTS (SELECT FROM generation_proof p WHERE p.manifest = b.manifest) AS proved"
    " FROM backup b ORDER BY b.id DESC LIMIT 30"
)
_KEPT = (
    "SELECT count(*)::int AS count, min(business_date)::text AS oldest FROM backup"
    " WHERE prune_id IS NULL"
)
_DRILLS = (
    "SELECT business_date::text AS day, passed, round(rto_seconds::numeric, 1)::float8 AS seconds,"
    " (CAST(:day AS date) - business_date)::int AS age,"
    " to_char(recovery_point AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') AS point,"
    " round((extract(epoch FROM ended_at - recovery_point) / 3600)::numeric, 1)::float8 AS behind"
    " FROM restore_drill ORDER BY id DESC LIMIT 12"
)
_CHECKPOINT = "SELECT size, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"
_ENTRIES = "SELECT coalesce(max(seq) + 1, 0)::bigint AS count FROM ledger_entry"
