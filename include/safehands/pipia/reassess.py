"""Assess again after a night, or in full: rules, re-identification figures, stale answers."""

from __future__ import annotations

import json
import secrets
from datetime import date
from typing import Any

from sqlalchemy import text

from safehands import journal
from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.pipia.records import EVENT, cases
from safehands.pipia.signing import check
from safehands.report.step import figures
from safehands.rulebook.check import check as check_rules
from safehands.rulebook.facts import gather, open_books
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.register import Owner, owners

__all__ = ["reassess"]


def reassess(inst: Installation, day: date, *, full: bool) -> dict[str, int]:
    """Check the rules, and every assessment of the owners whose evidence changed since then.

    ``full``: of all owners, and re-identification is measured again on the tables. The night's own
    report measures it on the nights between. Return counts: ``owners``, ``changed``, ``unmet``
    (verdicts), ``assessments``, ``stale`` (answers), ``full``. The same again writes nothing.
    """
    known = owners(inst.store)
    measured = _measure(inst, day, known) if full else 0
    facts = gather(inst, open_books(inst), day)
    results = check_rules(inst, day)
    changed = {
        code
        for code, owner in known.items()
        if _changed(inst, owner, day, full, facts.get(code, {}))
    }
    mine = [case for case in cases(inst, day) if full or case.owner in changed]
    counts = {
        "owners": len(known),
        "changed": len(changed),
        "measured": measured,
        "unmet": sum(r.outcome == "not_met" for r in results),
        "assessments": len(mine),
        "stale": sum(check(inst, case, day) for case in mine),
        "full": int(full),
    }
    if changed:
        with inst.store.begin() as connection:
            told = {"kind": "reassessed", "day": day.isoformat(), **counts}
            journal.append(connection, EVENT, f"{EVENT}-{day.isoformat()}", inst.clock(), told)
    journal.sequence(inst.store, inst.clock())
    return counts


def _changed(inst: Installation, owner: Owner, day: date, full: bool, facts: Any) -> bool:
    """Claim the owner's evidence as it is; false when it was looked at before."""
    numbers = {name: fact.number for name, fact in sorted(facts.items())}
    digest = input_digest(day if full else "", full, numbers)
    claim = Claim("risk_assessment", owner.code, digest, inst.policy.digest)
    with inst.store.begin(controller=owner.id) as connection:
        return find(connection, claim) is None and make(connection, claim, {"day": day})


def _measure(inst: Installation, day: date, known: dict[str, Owner]) -> int:
    """Measure re-identification on the tables; figures that differ from the newest are kept."""
    night = Night("assess", day, inst.settings, inst.policy, RunKey("a", secrets.token_bytes(32)))
    kept = 0
    for code, found in figures(night, inst.store)["risk"].items():
        values = {"owner": known[code].id, "day": day}
        with inst.store.begin(controller=known[code].id) as connection:
            newest = connection.execute(text(_NEWEST), values).scalar()
            if newest != json.loads(json.dumps(found)):
                values["f"] = json.dumps(found)
                connection.execute(text(_KEEP), values)
                kept += 1
    return kept


_NEWEST = (
    "SELECT figures FROM risk_assessment WHERE controller_id = :owner AND business_date <= :day"
    " ORDER BY business_date DESC, id DESC LIMIT 1"
)
_KEEP = (
    "INSERT INTO risk_assessment (business_date, controller_id, figures)"
    " VALUES (:day, :owner, CAST(:f AS jsonb))"
)
