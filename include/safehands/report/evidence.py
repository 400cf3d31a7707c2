"""What the store can prove of one night, read as plain data: counts, rules, digests, dates.

Nothing here opens a sealed column, and no subject id, token or cell is selected. The role
``safehands_pipeline`` reads; what is guarded by row-level security is read owner by owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from safehands.backuppolicy import load_backup_policy
from safehands.datasets import safe_name
from safehands.night import Night
from safehands.report.kept import Standing, months_of, standing
from safehands.store import Store
from safehands.store.register import Owner, owners
from safehands.store.verdicts import NEWEST_VERDICTS

__all__ = ["OWN_STEP", "ROWS_SHOWN", "gather", "newest_checkpoint"]

ROWS_SHOWN = 20
"""How many row numbers a report names per rule and file."""

OWN_STEP = "report"
"""The name under which this step records itself."""


def gather(night: Night, store: Store) -> dict[str, Any]:
    """Return the night's evidence as JSON types, in an order that depends on nothing else.

    ``owners``, ``stations``, ``files``, ``quarantine``, ``waiting``, ``unlisted``, ``steps``,
    ``quality``, ``backup`` and ``drill``. What a report itself adds to the store (its ledger entry,
    its step result, its assessments) is left out, so that a second look finds the same.
    """
    with store.begin() as connection:
        shared, now = _shared(connection, night), standing(connection)
    held = [_owner(store, night, owner, now) for owner in owners(store).values()]
    kinds = {row["code"]: row for row in shared.pop("owners")}
    return {
        **shared,
        "business_date": night.business_date.isoformat(),
        "run": night.run,
        "policy": night.policy.digest,
        "owners": [{**kinds[one["code"]], **one["counts"]} for one in held],
        "quarantine": [row for one in held for row in one["quarantine"]],
        "waiting": sum(one["waiting"] for one in held),
        "rules": [row for one in held for row in one["rules"]],
        "unlisted": [row for one in held for row in one["unlisted"]],
    }


def newest_checkpoint(connection: Connection) -> dict[str, Any] | None:
    """Return size and text of the newest signed checkpoint of the ledger."""
    found = _rows(connection, _CHECKPOINT)
    return found[0] if found else None


def _shared(connection: Connection, night: Night) -> dict[str, Any]:
    values = {"day": night.business_date, "own": OWN_STEP}
    return {
        "owners": _rows(connection, _OWNERS),
        "roles": _rows(connection, _ROLES),
        "stations": _rows(connection, _STATIONS),
        "files": [_file(row) for row in _rows(connection, _FILES, values)],
        "steps": _steps(_rows(connection, _STEPS, values)),
        "quality": _rows(connection, _QUALITY, values),
        "backup": next(iter(_rows(connection, _BACKUP, values)), None),
        "drill": _drill(connection, night),
    }


def _owner(store: Store, night: Night, owner: Owner, now: Standing) -> dict[str, Any]:
    values = {"day": night.business_date, "shown": ROWS_SHOWN}
    with store.begin(controller=owner.id) as connection:
        quarantine = _rows(connection, _QUARANTINE, values)
        return {
            "code": owner.code,
            "counts": _counts(connection, owner, now),
            "quarantine": [{**row, "sheet": safe_name(row["sheet"])} for row in quarantine],
            "waiting": _rows(connection, _WAITING, values)[0]["rows"],
            "rules": [{"owner": owner.code, **row} for row in _rows(connection, _RULES, values)],
            "unlisted": _rows(connection, _UNLISTED),
        }


def _rows(
    connection: Connection, query: str, values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), values or {}).mappings()]


def _counts(connection: Connection, owner: Owner, now: Standing) -> dict[str, int]:
    months = months_of(connection, owner.id, now)[0].values()
    return {
        **_rows(connection, _COUNTS)[0],
        "parcels": sum(one.parcels for one in months),
        "unlinked": sum(one.unlinked for one in months),
    }


def _drill(connection: Connection, night: Night) -> dict[str, Any] | None:
    """Return the newest restore drill, and whether one that passed is overdue by policy."""
    found = _rows(connection, _DRILL, {"day": night.business_date})
    if not found:
        return None
    every = load_backup_policy(night.settings.policy).drill.every_days
    passed = found[0].pop("passed_day")
    age = (night.business_date - passed).days if passed else every + 1
    day = passed.isoformat() if passed else ""
    return {**found[0], "passed_day": day, "overdue": age > every}


def _file(row: dict[str, Any]) -> dict[str, Any]:
    """Keep of a batch what is shown: its problem, or what was not collected from it."""
    facts = row.pop("facts")
    sheets = facts.get("sheets", [])
    dropped = {(sheet["dataset"], name) for sheet in sheets for name in sheet["dropped"]}
    return {
        **row,
        "label": safe_name(row["label"]),
        "read": int(facts.get("read", 0)),
        "out": int(facts.get("out", 0)),
        "undeclared": int(facts.get("undeclared", 0)),
        "dropped": [list(pair) for pair in sorted(dropped)],
    }


def _steps(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up the shards of each step, in the order in which the steps were first recorded."""
    steps: dict[str, dict[str, Any]] = {}
    for row in rows:
        empty = {"step": row["step"], "shards": 0, "counts": {}, "reasons": {}, "seconds": 0.0}
        step = steps.setdefault(row["step"], empty)
        step["shards"] += 1
        step["seconds"] = round(step["seconds"] + row["seconds"], 3)
        for part in ("counts", "reasons"):
            for name, number in row[part].items():
                step[part][name] = step[part].get(name, 0) + number
    return list(steps.values())


_OWNERS = "SELECT code, name, kind FROM controller ORDER BY code"
_ROLES = (
    "SELECT c.code AS owner, r.dataset, r.role, r.by_whom FROM record_set r"
    " JOIN controller c ON c.id = r.controller_id ORDER BY 1, 2"
)
_STATIONS = (
    "SELECT s.code, s.name, c.code AS owner FROM station s"
    " JOIN controller c ON c.id = s.controller_id ORDER BY 1"
)
_FILES = (
    "SELECT s.code AS station, b.label, b.state, b.problem, b.facts FROM batch b"
    " JOIN station s ON s.id = b.station_id WHERE b.business_date = :day"
    " AND b.run NOT LIKE 'retry-%'"
    " ORDER BY s.code, b.label, b.id"
)
_STEPS = (
    "SELECT step, counts, reasons, seconds FROM step_result"
    " WHERE business_date = :day AND step <> :own AND run NOT LIKE 'retry-%' ORDER BY id"
)
# A station that brought nothing tonight is shown with its newest verdicts, under their date; one
# that changed hands, with the newest of either owner. The checks of the pseudonymised tables know
# a station by its number alone.
_QUALITY = (
    NEWEST_VERDICTS + "SELECT coalesce(s.code, q.station) AS station, q.business_date::text AS day,"
    " q.dataset, q.suite, q.rule, q.dimension, q.severity,"
    " sum(q.evaluated)::bigint AS evaluated, sum(q.failed)::bigint AS failed"
    " FROM (SELECT n.*, max(business_date) OVER (PARTITION BY station) AS last FROM newest n) n"
    " JOIN quality_result q USING (controller_id, station, business_date) LEFT JOIN station s"
    " ON q.suite = 'pseudonymised' AND s.id::text = q.station"
    " WHERE q.business_date = n.last"
    " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 3, 4, 5"
)
_BACKUP = (
    "SELECT business_date::text AS day, manifest, facts FROM backup"
    " WHERE business_date <= :day ORDER BY business_date DESC, id DESC LIMIT 1"
)
_DRILL = (
    "SELECT business_date::text AS day, passed, manifest, older,"
    " round(rto_seconds::numeric, 1)::float8 AS rto_seconds,"
    " to_char(recovery_point AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') AS recovery_point,"
    " (SELECT max(p.business_date) FROM restore_drill p"
    " WHERE p.passed AND p.business_date <= :day) AS passed_day"
    " FROM restore_drill WHERE business_date <= :day ORDER BY id DESC LIMIT 1"
)
_COUNTS = (
    "SELECT (SELECT count(*) FROM subject) AS people,"
    " (SELECT count(*) FROM preference) AS preferences,"
    " (SELECT count(*) FROM tombstone) AS tombstones"
)
_QUARANTINE = (
    "SELECT q.rule, q.dataset, s.code AS station, b.label AS file, q.sheet,"
    " q.column_name AS column, count(*) AS rows,"
    " (array_agg(q.row_number ORDER BY q.row_number))[1:CAST(:shown AS int)] AS shown"
    " FROM quarantine q JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id"
    " WHERE q.day = :day GROUP BY q.rule, q.dataset, s.code, b.id, b.label, q.sheet, q.column_name"
    " ORDER BY q.rule, s.code, b.label, b.id, q.sheet, q.column_name"
)
# Who or what the newest full export of a station no longer lists, although an earlier one did.
_UNLISTED = (
    "SELECT s.code AS station, l.dataset, count(*) AS rows FROM listing l"
    " JOIN station s ON s.id = l.station_id WHERE l.seen_on < (SELECT max(n.seen_on)"
    " FROM listing n WHERE n.station_id = l.station_id AND n.dataset = l.dataset)"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
_WAITING = "SELECT count(*) AS rows FROM quarantine WHERE day < :day"
_CHECKPOINT = "SELECT size, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"
# Of the night's newest check, what isn't met and what nobody has shown; thresholds have a slash.
_RULES = (
    "SELECT rule, outcome FROM rule_result WHERE business_date = :day AND occasion = 'night'"
    " AND outcome IN ('not_met', 'no_evidence') AND checked = (SELECT checked FROM rule_result"
    " WHERE business_date = :day AND occasion = 'night' ORDER BY id DESC LIMIT 1) ORDER BY rule"
)
