"""Hand-overs: where each stands, its time line, the reconciliation and its documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from safehands.dashboards.asking import OWNER_NAME, Asking
from safehands.handover.state import CLASSES, PATHS

__all__ = ["handover", "handovers"]


def handovers(asking: Asking) -> dict[str, Any]:
    """Return all hand-overs, the open ones first."""
    found = [_placed(row) for row in asking.rows(_ALL)]
    return {
        "open": [row for row in found if not row["over"]],
        "over": [row for row in found if row["over"]],
    }


def handover(asking: Asking, number: str) -> dict[str, Any]:
    """Return one hand-over as a whole. Raises ``KeyError`` for a number that is none."""
    try:
        wanted = UUID(number)
    except ValueError:
        raise KeyError(number) from None
    rows = asking.rows(f"{_HANDOVER} WHERE h.handover_id = CAST(:number AS uuid)", number=wanted)
    if not rows:
        raise KeyError(number)
    events = asking.rows(_EVENTS, number=wanted)
    return {
        "handover": _placed(rows[0]),
        "line": _line(rows[0], events),
        "identity": _identity(events),
        "documents": [_document(e) for e in events if e["kind"] == "document"],
        "approvals": [_approval(e) for e in events if e["kind"] == "approval"],
    }


def _placed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Add how far along its path a hand-over is."""
    path = PATHS[row["mode"]]
    aborted = row["state"] == "aborted"
    done = 0 if aborted else path.index(row["state"]) + 1
    following = "" if aborted or done == len(path) else path[done]
    over = aborted or not following
    return {**row, "path": path, "done": done, "next": following, "over": over}


def _line(row: Mapping[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the states reached with their day, then those ahead."""
    reached = {e["key"]: e["day"] for e in events if e["kind"] == "state"}
    reached.setdefault("drafted", row["opened"])
    line = [
        {"state": state, "day": reached.get(state, "")}
        for state in PATHS[row["mode"]]
        if state in reached or row["state"] != "aborted"
    ]
    if row["state"] == "aborted":
        line.append({"state": "aborted", "day": reached.get("aborted", row["changed"])})
    return line


def _identity(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the reconciliation: per table what is held and its classes, which add up to it.

    A delta may have come after it: the cut-over counted last.
    """
    passed = {e["key"]: e["facts"] for e in events if e["kind"] == "state"}
    found = passed.get("cut_over", {}).get("held_before") or passed.get("reconciled", {}).get(
        "classes"
    )
    if "reconciled" not in passed or not found:
        return None
    tables = {
        table: {"held": sum(classes.values()), "classes": classes}
        for table, classes in found.items()
    }
    used = [name for name in CLASSES if any(t["classes"].get(name) for t in tables.values())]
    return {"tables": tables, "classes": used}


def _document(event: Mapping[str, Any]) -> dict[str, Any]:
    digest = str(event["facts"].get("sha256", ""))
    return {"name": event["key"], "sha256": digest, "day": event["day"]}


def _approval(event: Mapping[str, Any]) -> dict[str, Any]:
    facts = event["facts"]
    return {"party": facts["party"], "decision": facts["decision"], "day": facts["day"]}


_HANDOVER = (
    f"SELECT h.handover_id::text AS id, {OWNER_NAME} AS owner, h.mode, h.state,"
    " h.request->'stations' AS stations, h.opened_at::date::text AS opened,"
    " h.changed_at::date::text AS changed FROM handover h"
    " JOIN controller c ON c.id = h.controller_id"
)
_ALL = f"{_HANDOVER} ORDER BY h.changed_at DESC LIMIT 200"
_EVENTS = (
    "SELECT kind, key, facts, to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') AS day"
    " FROM handover_event WHERE handover_id = CAST(:number AS uuid) ORDER BY id"
)
