"""The plan of a hand-over: lanes, what goes and stays and is erased, what is missing, when.

``plan`` only reads, apart from the verdicts of the gate; ``assess`` opens the hand-over, writes the
classes and goes to ``assessed``. Before closing a buyer sees ``due_diligence``: rounded totals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import gates, journal, pipia
from safehands.handover import classify as classes
from safehands.handover import measures
from safehands.handover.calendar import calendar
from safehands.handover.opening import Asked, open_handover, people, scope_of
from safehands.handover.pages import folder_of, keep
from safehands.handover.planpage import diligence_page, plan_page
from safehands.handover.request import TERMS
from safehands.handover.sending import in_force
from safehands.handover.state import advance, load, note
from safehands.handover.transferpolicy import (
    TransferPolicy,
    check_known,
    load_transfer_policy,
)
from safehands.installation import Installation
from safehands.ledger import canonical_json
from safehands.organisation.catalogue import load_organisation
from safehands.organisation.register import entries
from safehands.organisation.tiers import tiers_of
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.judge import Occasion
from safehands.rulebook.load import load_rulebook

__all__ = ["FATES", "assess", "figures", "gate", "keep_diligence", "measure", "plan"]

FATES: dict[str, str] = {
    "transferred": "goes",
    "expired": "erased",
    "refused": "erased",
    "silent": "erased",
    "unreachable": "erased",
    "minors": "erased",
    "dormant": "erased",
    "entrusted": "returned",
    "quarantined": "erased",
    "restricted": "stays",
    "served_elsewhere": "stays",
    "kept_by_law": "stays",
}
"""What becomes of each class at the seller after cut-over."""

_ARTICLES = {
    "share_deal": "PIPL 17 ¶2",
    "statutory_succession": "PIPL 22; 网络数据条例 14",
    "asset_deal": "PIPL 23, 13 ¶2",
    "entrusted_processor_change": "PIPL 21",
    "closure": "PIPL 47(2)",
}


def plan(inst: Installation, asked: Asked, day: date) -> dict[str, Any]:
    """Return the plan as JSON. Raises ``PolicyError`` for a table or column without a policy."""
    rules = load_transfer_policy(inst.settings.policy)
    scope = scope_of(asked, inst, day)
    with people(inst, asked) as connection:
        check_known(connection, rules)
        found = (
            {}
            if asked.mode == "share_deal"
            else classes.preview(connection, scope, inst.policy, rules)
        )
        facts = _facts(connection, list(scope.stations))
    facts |= _seen(inst, asked)
    declared = {
        one.kind: float(one.number)
        for one in entries(inst, day)
        if one.owner == asked.seller.code and one.valid_on(day)
    }
    verdict = gate(inst, asked, day)
    return {
        "handover": str(asked.id),
        "request": asked.request.digest,
        "day": day.isoformat(),
        "seller": asked.seller.code,
        "stations": list(asked.request.stations),
        "mode": asked.mode,
        "asked_mode": asked.request.transfer_mode,
        "why": asked.why,
        "article": _ARTICLES[asked.mode],
        "lanes": _lanes(asked),
        "classes": [
            {"class": name, "people": number, "fate": FATES[name]}
            for name, number in found.items()
            if number
        ],
        "due_diligence": _diligence(inst, asked, facts, found, rules, day),
        "calendar": calendar(asked.mode, asked.request, rules, day, declared),
        "columns": {
            table: {"lane": one.lane, "columns": one.columns} for table, one in rules.moves.items()
        },
        "stays": {name: words.model_dump() for name, words in sorted(rules.stays.items())},
        "never": list(rules.excluded),
        "missing": _missing(inst, asked, day, rules, facts["open_requests"]),
        "blocked_by": sorted({item.id for item in verdict.blockers}),
        "blockers": _blockers(inst, verdict),
    }


def assess(inst: Installation, asked: Asked, by: str, day: date, now: datetime) -> dict[str, Any]:
    """Open the hand-over, classify everybody, keep the plan and go to ``assessed``.

    Return the plan. Again it is the same one: what was assessed is not assessed anew.
    """
    handover_id = open_handover(inst, asked, by, now)
    folder = folder_of(inst, handover_id)
    with inst.store.begin() as connection:
        fresh = load(connection, handover_id).state == "drafted"
    if not fresh:
        kept: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        return kept
    rules = load_transfer_policy(inst.settings.policy)
    with people(inst, asked) as connection:
        if asked.mode != "share_deal":
            classes.classify(connection, scope_of(asked, inst, day), inst.policy, rules)
    figures(inst, asked, day, _first_figures(asked))
    measure(inst, asked, day)
    made = plan(inst, asked, day)
    body = canonical_json(made)
    keep(folder / "plan.json", body)
    keep(folder / "plan.html", plan_page(made))
    keep_diligence(folder, made)
    evidence = {
        "plan": hashlib.sha256(body).hexdigest(),
        "by": by,
        "classes": {one["class"]: one["people"] for one in made["classes"]},
    }
    with inst.store.begin(controller=asked.seller.id) as connection:
        note(connection, handover_id, "document", "plan", {"sha256": evidence["plan"]}, now)
        advance(connection, handover_id, "assessed", evidence, now)
    journal.sequence(inst.store, now)
    return made


def keep_diligence(folder: Path, made: Mapping[str, Any]) -> None:
    """Keep the part of a plan that a buyer may see before closing: rounded totals alone."""
    names = ("handover", "day", "seller", "stations", "due_diligence")
    keep(folder / "due-diligence.json", canonical_json({name: made[name] for name in names}))
    keep(folder / "due-diligence.html", diligence_page(made))


def measure(inst: Installation, asked: Asked, day: date) -> dict[str, float]:
    """Count the hand-over's figures as the store has them on ``day``, record and return them."""
    rules = load_transfer_policy(inst.settings.policy)
    with people(inst, asked) as connection:
        found = measures.measured(connection, scope_of(asked, inst, day), rules)
        found["transfer.new_purposes"] = measures.new_purposes(
            connection, asked.seller.id, asked.request.buyer_purposes, day
        )
        told = measures.coverage(connection, asked.id)
    if told is not None:
        found["notice.coverage"] = told
    figures(inst, asked, day, found)
    return found


def gate(inst: Installation, asked: Asked, day: date) -> gates.GateVerdict:
    """Return what blocks this hand-over on ``day``; nobody can approve it away."""
    occasion = Occasion("handover", asked.mode, str(asked.id))
    return gates.check(inst, "handover", day, occasion=occasion, owner=asked.seller.code)


def figures(inst: Installation, asked: Asked, day: date, found: Mapping[str, float]) -> None:
    """Record counts of this hand-over for the rule book."""
    names = load_rulebook(inst.settings.policy).figures
    with inst.store.begin(controller=asked.seller.id) as connection:
        for name, number in found.items():
            record_figure(
                connection,
                names,
                asked.seller,
                name,
                number,
                day=day,
                run=f"handover-{asked.id}",
                source="handover, handover_subject",
                scope=str(asked.id),
            )


def _first_figures(asked: Asked) -> dict[str, float]:
    request = asked.request
    return {
        "transfer.mode_set": 1,
        "transfer.agreement_terms": len(set(request.agreement_terms)) if request.agreement else 0,
    }


def _lanes(asked: Asked) -> list[dict[str, str]]:
    found = []
    for dataset, role in sorted(asked.roles.items()):
        mode = asked.mode
        if role == "entrusted" and mode not in ("share_deal", "closure"):
            mode = "entrusted_processor_change"
        found.append({"dataset": dataset, "role": role, "lane": mode, "article": _ARTICLES[mode]})
    return found


def _missing(
    inst: Installation, asked: Asked, day: date, rules: TransferPolicy, open_requests: int
) -> list[str]:
    """Return what has to be brought or finished yet, as keys of sentences."""
    request, mode, lacking = asked.request, asked.mode, []
    moves = mode in ("asset_deal", "statutory_succession")
    if moves and not request.agreement:
        lacking.append("agreement")
    if moves and set(request.agreement_terms) != set(TERMS):
        lacking.append("agreement_terms")
    if moves and not _long_enough(asked, rules):
        lacking.append("agreement_until")
    if moves and not (request.buyer_name and request.buyer_contact):
        lacking.append("buyer_name")
    if moves and not request.closing_evidence:
        lacking.append("closing_evidence")
    if moves and not request.buyer_key:
        lacking.append("buyer_key")
    entrusted = "entrusted" in asked.roles.values() or mode == "entrusted_processor_change"
    if entrusted and not request.handler_confirmation:
        lacking.append("handler_confirmation")
    if (moves or mode == "entrusted_processor_change") and not _assessed(inst, asked, day):
        lacking.append("impact_assessment")
    if open_requests:
        lacking.append("open_requests")
    if "sms" in request.channels and not (request.gateway_agreement and request.gateway_key):
        lacking.append("gateway_agreement")
    elif "sms" in request.channels and not in_force(
        inst, asked.seller, request.gateway_agreement, day
    ):
        lacking.append("gateway_in_force")
    return lacking


def _long_enough(asked: Asked, rules: TransferPolicy) -> bool:
    """Say whether the agreement's duties last as long as the records of the hand-over."""
    until, closing = asked.request.agreement_until, asked.request.effective_on
    # The 29th of February has no counterpart in most years.
    day = 28 if (closing.month, closing.day) == (2, 29) else closing.day
    last = closing.replace(year=closing.year + rules.evidence_years, day=day)
    return until is not None and until >= last


def _assessed(inst: Installation, asked: Asked, day: date) -> bool:
    """Say whether an impact assessment of this hand-over is signed and acceptable (PIPL 55)."""
    with inst.store.begin(controller=asked.seller.id) as connection:
        found = pipia.current(connection, asked.seller.id, "handover", day, str(asked.id))
    return found is not None and found.acceptable


def _blockers(inst: Installation, verdict: gates.GateVerdict) -> list[dict[str, Any]]:
    """Return what blocks in words: the rule, what it asks and what opens it."""
    book = load_rulebook(inst.settings.policy).rules
    return [
        {
            "rule": item.id,
            "outcome": item.outcome,
            "asks": book[item.id].requirement.model_dump(),
            "remedy": book[item.id].remedy.model_dump(),
        }
        for item in sorted(verdict.blockers, key=lambda item: item.id)
        if item.source == "rule"
    ]


def _facts(connection: Connection, stations: list[int]) -> dict[str, int]:
    row = connection.execute(text(_FACTS), {"stations": stations}).mappings().one()
    return {name: int(number or 0) for name, number in row.items()}


def _seen(inst: Installation, asked: Asked) -> dict[str, int]:
    with inst.store.begin("safehands_auditor") as connection:
        values = {"owner": asked.seller.id}
        row = connection.execute(text(_SEEN), values).mappings().one()
    return {name: int(number or 0) for name, number in row.items()}


def _diligence(
    inst: Installation,
    asked: Asked,
    facts: Mapping[str, int],
    found: Mapping[str, int],
    rules: TransferPolicy,
    day: date,
) -> dict[str, Any]:
    step = rules.due_diligence_round
    merged = facts["people"] + asked.request.buyer_people
    organisation = load_organisation(inst.settings.policy)
    # People and parcels are rounded; what is no person is shown as it is.
    return {
        **{name: _rounded(facts[name], step) for name in _ROUNDED},
        "dormant": _rounded(found.get("dormant", 0) + found.get("expired", 0), step),
        "with_basis": _rounded(found.get("transferred", 0), step),
        **{name: facts[name] for name in _EXACT},
        "quality_per_mille": facts["quality"],
        "risk_k": facts["risk_k"],
        "risk_highest_percent": facts["risk_highest"],
        "rounded_to": step,
        "size_after_merge": [
            {"name": one.name, **one.label.model_dump()}
            for one in tiers_of(organisation, merged, day)
        ],
    }


def _rounded(number: int, step: int) -> int | str:
    """Round to the nearest step; a few are a bound, so that nobody stands alone."""
    if 0 < number < step:
        return f"<{step}"
    return (number + step // 2) // step * step


_RISK = (
    "SELECT ({0})::float8 FROM risk_assessment r WHERE r.controller_id = :owner"
    " AND (r.figures->>'people')::int > 0"
    " ORDER BY r.business_date DESC, r.id DESC LIMIT 1"
)
_K = _RISK.format("r.figures->>'k'")
_HIGHEST = _RISK.format("r.figures->'figures'->'prosecutor'->>'highest'")
_ROUNDED = ("people", "parcels", "in_custody", "consents")
_EXACT = ("open_requests", "open_findings", "open_incidents")
_FACTS = (
    "SELECT (SELECT count(DISTINCT subject_id) FROM parcel WHERE station_id = ANY (:stations))"
    " AS people,"
    " (SELECT count(*) FROM parcel WHERE station_id = ANY (:stations)) AS parcels,"
    " (SELECT count(*) FROM custody c JOIN parcel p USING (controller_id, waybill)"
    " WHERE p.station_id = ANY (:stations)) AS in_custody,"
    " (SELECT count(*) FROM (SELECT DISTINCT ON (e.subject_id, e.purpose) e.kind"
    " FROM consent_event e WHERE e.subject_id IN"
    " (SELECT p.subject_id FROM parcel p WHERE p.station_id = ANY (:stations))"
    " ORDER BY e.subject_id, e.purpose, e.at DESC, e.id DESC) last"
    " WHERE last.kind = 'granted') AS consents,"
    " (SELECT count(*) FROM erasure WHERE state IN ('requested', 'held'))"
    " + (SELECT count(*) FROM subject_request"
    " WHERE state IN ('registered', 'identified', 'granted')) AS open_requests,"
    " (SELECT count(*) FROM finding WHERE state = 'open') AS open_findings,"
    " (SELECT 1000 - 1000 * sum(failed::bigint) / nullif(sum(evaluated::bigint), 0)"
    " FROM quality_result) AS quality"
)
# Evidence that an auditor reads: no person in it.
_SEEN = (
    "SELECT (SELECT count(*) FROM incident i WHERE i.controller_id = :owner AND NOT i.drill"
    " AND NOT EXISTS (SELECT FROM incident_event e WHERE e.incident_id = i.id"
    " AND e.kind = 'closed')) AS open_incidents,"
    f" ({_K}) AS risk_k, (SELECT ceil(100 * ({_HIGHEST}))) AS risk_highest"
)
