"""What a person has to do, and what they should know: keys of sentences with safe parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safehands.settings import Settings

__all__ = ["attention", "places", "warnings"]

_NAMED = 8
"""How many rules a line names; ``safehands rules check`` shows all."""


def places(settings: Settings) -> dict[str, bool]:
    """Return what the machine itself shows: clear text in the landing folder, shared disks."""
    return {
        "landing_clear": not settings.archive_landing,
        "keys_on_one_disk": _disk(settings.keys) == _disk(settings.keys_second),
        "backups_beside_store": not settings.backups_url
        and _disk(settings.backups) == _disk(settings.home),
    }


def attention(
    evidence: Mapping[str, Any], retention: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what needs a person: ``key`` in ``report.attention.*`` and ``params``, most urgent
    first."""
    aside = [f for f in evidence["files"] if f["state"] == "set_aside"]
    overdue = sum(rule["overdue"] for rule in retention)
    unknown = sum(role["role"] == "unknown" for role in evidence["roles"])
    rows = sum(row["rows"] for row in evidence["quarantine"])
    places_of_rows = {(row["station"], row["file"]) for row in evidence["quarantine"]}
    stale = evidence["backup"] is None or evidence["backup"]["day"] != evidence["business_date"]
    lost = 0 if evidence["backup"] is None else int(evidence["backup"]["facts"].get("lost", 0))
    found = [
        _item("files_set_aside", len(aside)),
        _item("no_backup", int(stale)),
        _item("backup_lost", lost),
        _item(
            "drill_failed", int(evidence["drill"] is not None and not evidence["drill"]["passed"])
        ),
        _item("overdue", overdue),
        _item("rows_set_aside", rows, files=len(places_of_rows)),
        _item("unlisted", sum(row["rows"] for row in evidence["unlisted"])),
        _item("roles_unknown", unknown),
        *_rules(evidence, "not_met"),
    ]
    return [item for item in found if item["params"]["count"]]


def warnings(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what holds every night until somebody changes the set-up."""
    shown = {
        "landing_clear": evidence["places"]["landing_clear"],
        "no_escrow": not evidence["places"].get("escrow", False),
        "keys_on_one_disk": evidence["places"]["keys_on_one_disk"],
        "backups_beside_store": evidence["places"]["backups_beside_store"],
        "no_drill": evidence["drill"] is None or evidence["drill"]["overdue"],
    }
    unproved = [item for item in _rules(evidence, "no_evidence") if item["params"]["count"]]
    return [*({"key": key, "params": {}} for key, holds in shown.items() if holds), *unproved]


def _rules(evidence: Mapping[str, Any], outcome: str) -> list[dict[str, Any]]:
    """Return rules and thresholds of gates with ``outcome``: how many, and the first by name."""
    names = sorted({row["rule"] for row in evidence["rules"] if row["outcome"] == outcome})
    bounds = [name for name in names if "/" in name]
    rules = [name for name in names if "/" not in name]
    found = {f"rules_{outcome}": rules, f"bounds_{outcome}": bounds}
    return [
        {"key": key, "params": {"count": len(group), "shown": ", ".join(group[:_NAMED])}}
        for key, group in found.items()
    ]


def _item(key: str, count: int, **more: int) -> dict[str, Any]:
    return {"key": key, "params": {"count": count, **more}}


def _disk(folder: Path) -> int:
    """Return the device of ``folder``, or of the folder in which it will be made."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return existing.stat().st_dev
