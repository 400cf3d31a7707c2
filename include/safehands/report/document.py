"""The report as data: what ``report.json`` holds and the page shows. Counts, rules, dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from safehands.night import SHANGHAI
from safehands.policy import Policy
from safehands.report.attention import attention, warnings

__all__ = ["DIMENSIONS", "FORMAT", "compose"]

FORMAT = "safehands-report/1"

DIMENSIONS = ("completeness", "validity", "uniqueness", "consistency", "timeliness")

_PROCESSING = "pseudonymised"


def compose(
    evidence: Mapping[str, Any],
    figures: Mapping[str, Any],
    policy: Policy,
    moment: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the whole report as JSON types.

    ``figures``: ``risk`` (per owner code) and ``retention``. ``moment``: ``made_at`` (ISO 8601),
    ``digest`` of the evidence, ``checkpoint`` (``None`` or size and note).
    """
    needs = attention(evidence, figures["retention"])
    return {
        "format": FORMAT,
        "edition": "internal",
        "business_date": evidence["business_date"],
        "made_at": _local(moment["made_at"]),
        "run": evidence["run"],
        "policy": evidence["policy"],
        "evidence": moment["digest"],
        "glance": _glance(evidence, figures, needs),
        "attention": needs,
        "warnings": warnings(evidence),
        "steps": evidence["steps"],
        "files_set_aside": _files_set_aside(evidence["files"]),
        "rows_set_aside": _by_rule(evidence["quarantine"]),
        "rows_waiting": evidence["waiting"],
        "quality": _stations(evidence),
        "findings": _findings(evidence),
        "not_collected": _not_collected(evidence["files"]),
        "retention": _retention(evidence, figures["retention"], policy),
        "risk": [{"owner": _owner(o), **figures["risk"][o["code"]]} for o in evidence["owners"]],
        "threats": evidence["threats"],
        "owners": [{**o, "name": _owner(o)} for o in evidence["owners"]],
        "roles": evidence["roles"],
        "backup": evidence["backup"],
        "drill": evidence["drill"],
        "checkpoint": moment["checkpoint"],
    }


def _local(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(SHANGHAI).isoformat(timespec="minutes")


def _owner(owner: Mapping[str, Any]) -> str:
    """Return how an owner is shown: a sole trader's name is a person's, so their code stands."""
    return f"{owner['name']} ({owner['code']})" if owner["kind"] == "company" else owner["code"]


def _glance(
    evidence: Mapping[str, Any], figures: Mapping[str, Any], needs: list[dict[str, Any]]
) -> dict[str, int]:
    counts = {step["step"]: step["counts"] for step in evidence["steps"]}
    loaded = counts.get("pseudonymise", {})
    groups = [risk["k"] for risk in figures["risk"].values() if risk["people"]]
    return {
        "stations": len(evidence["stations"]),
        "delivered": len({f["station"] for f in evidence["files"]}),
        "parcels": sum(o["parcels"] for o in evidence["owners"]),
        "new_parcels": loaded.get("new", 0),
        "people": sum(o["people"] for o in evidence["owners"]),
        "new_people": loaded.get("new_people", 0),
        "k": min(groups, default=0),
        "needs_person": len(needs),
    }


def _files_set_aside(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"station": f["station"], "file": f["label"], "problem": f["problem"]}
        for f in files
        if f["state"] == "set_aside"
    ]


def _by_rule(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather the places of each dataset's rule, those with most rows first."""
    rules: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["dataset"], row["rule"])
        empty = {"dataset": key[0], "rule": key[1], "rows": 0, "places": []}
        rule = rules.setdefault(key, empty)
        rule["rows"] += row["rows"]
        kept = ("station", "file", "sheet", "column", "rows", "shown")
        rule["places"].append({name: row[name] for name in kept})
    return sorted(rules.values(), key=lambda rule: (-rule["rows"], rule["dataset"], rule["rule"]))


def _stations(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the share of passed checks per station and dimension, the worst station first."""
    found = []
    verdicts: dict[str, list[Mapping[str, Any]]] = {}
    for q in evidence["quality"]:
        if q["suite"] != _PROCESSING:
            verdicts.setdefault(q["station"], []).append(q)
    for station in evidence["stations"]:
        mine = verdicts.get(station["code"], [])
        by = {d: _score(q for q in mine if q["dimension"] == d) for d in DIMENSIONS}
        score = {"score": _score(mine), "dimensions": by}
        found.append({**_place(station), "day": mine[0]["day"] if mine else None, **score})
    return sorted(found, key=lambda s: (10_001 if s["score"] is None else s["score"], s["station"]))


def _place(station: Mapping[str, Any]) -> dict[str, Any]:
    return {"station": station["code"], "name": station["name"], "owner": station["owner"]}


def _score(results: Iterable[Mapping[str, Any]]) -> int | None:
    """Return hundredths of a percent, rounded down, so that one bad row in a million shows."""
    evaluated = failed = 0
    for result in results:
        evaluated += result["evaluated"]
        failed += result["failed"]
    return (evaluated - failed) * 10_000 // evaluated if evaluated else None


def _findings(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rules with failures whose rows were kept: they are warnings, no quarantine."""
    aside = {row["rule"] for row in evidence["quarantine"]}
    rules: dict[str, dict[str, Any]] = {}
    for q in evidence["quality"]:
        if q["failed"] and q["rule"] not in aside and q["day"] == evidence["business_date"]:
            empty = {"rule": q["rule"], "dataset": q["dataset"], "severity": q["severity"]}
            start = {**empty, "evaluated": 0, "failed": 0, "stations": []}
            rule = rules.setdefault(q["rule"], start)
            rule["evaluated"] += q["evaluated"]
            rule["failed"] += q["failed"]
            rule["stations"].append(q["station"])
    for rule in rules.values():
        rule["stations"] = sorted(set(rule["stations"]))
    return sorted(rules.values(), key=lambda rule: (-rule["failed"], rule["rule"]))


def _not_collected(files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    loaded = [f for f in files if f["state"] == "loaded"]
    fields = Counter(tuple(pair) for f in loaded for pair in f["dropped"])
    dropped = [{"dataset": d, "field": n, "files": c} for (d, n), c in sorted(fields.items())]
    return {
        "files": len(loaded),
        "undeclared": sum(f["undeclared"] for f in loaded),
        "dropped": dropped,
    }


def _retention(
    evidence: Mapping[str, Any], held: Iterable[Mapping[str, Any]], policy: Policy
) -> list[dict[str, Any]]:
    steps = {step["step"]: step["counts"] for step in evidence["steps"]}
    done = steps.get("purge", {})
    return [
        {
            **row,
            "done": done.get(row["rule"], 0),
            **policy.retention[row["rule"]].model_dump(
                include={"keep_days", "action", "kind", "basis", "confidence"}
            ),
        }
        for row in held
    ]
