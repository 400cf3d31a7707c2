"""The plan of a hand-over: lanes, what goes and stays and is erased, what is missing, when.

``plan`` only reads, apart from the verdicts of the gate; ``assess`` opens the hand-over, writes the
classes and goes to ``assessed``. Before closing a buyer sees ``due_diligence``: rounded totals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import gates, journal
from safehands.handover import classify as classes
from safehands.handover import measures
from safehands.handover.calendar import calendar
from safehands.handover.opening import Asked, open_handover, people, scope_of
from safehands.handover.pages import folder_of, keep
from safehands.handover.planpage import plan_page
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

__all__ = ["FATES", "assess", "figures", "gate", "measure", "plan"]

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
        "missing": _missing(inst, asked, day),
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


def _missing(inst: Installation, asked: Asked, day: date) -> list[str]:
    """Return what has to be brought yet, as keys of sentences."""
    request, mode, lacking = asked.request, asked.mode, []
    moves = mode in ("asset_deal", "statutory_succession")
    if moves and not request.agreement:
        lacking.append("agreement")
    if moves and set(request.agreement_terms) != set(TERMS):
        lacking.append("agreement_terms")
    if moves and not (request.buyer_name and request.buyer_contact):
        lacking.append("buyer_name")
    if moves and not request.closing_evidence:
        lacking.append("closing_evidence")
    if moves and not (request.buyer or request.buyer_key):
        lacking.append("buyer_key")
    entrusted = "entrusted" in asked.roles.values() or mode == "entrusted_processor_change"
    if entrusted and not request.handler_confirmation:
        lacking.append("handler_confirmation")
    if "sms" in request.channels and not (request.gateway_agreement and request.gateway_key):
        lacking.append("gateway_agreement")
    elif "sms" in request.channels and not in_force(
        inst, asked.seller, request.gateway_agreement, day
    ):
        lacking.append("gateway_in_force")
    return lacking


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
    shown = {
        **{name: _rounded(number, step) for name, number in facts.items() if name not in _AS_IS},
        "dormant": _rounded(found.get("dormant", 0) + found.get("expired", 0), step),
        "consents": _rounded(found.get("transferred", 0), step),
    }
    return {
        **shown,
        "quality_per_mille": facts["quality"],
        "risk_k": facts["risk_k"],
        "risk_highest_percent": facts["risk_highest"],
        "rounded_to": step,
        "size_after_merge": [
            {"name": one.name, **one.label.model_dump()}
            for one in tiers_of(organisation, merged, day)
        ],
    }


def _rounded(number: int, step: int) -> int:
    """Round to the nearest step; a few people are none, so that nobody stands alone."""
    return (number + step // 2) // step * step


_RISK = (
    "SELECT ({0})::float8 FROM risk_assessment r WHERE r.controller_id = :owner"
    " AND (r.figures->>'people')::int > 0"
    " ORDER BY r.business_date DESC, r.id DESC LIMIT 1"
)
_K = _RISK.format("r.figures->>'k'")
_HIGHEST = _RISK.format("r.figures->'figures'->'prosecutor'->>'highest'")
_AS_IS = ("quality", "risk_k", "risk_highest")
_FACTS = (
    "SELECT (SELECT count(DISTINCT subject_id) FROM parcel WHERE station_id = ANY (:stations))"
    " AS people,"
    " (SELECT count(*) FROM parcel WHERE station_id = ANY (:stations)) AS parcels,"
    " (SELECT count(*) FROM custody c JOIN parcel p USING (controller_id, waybill)"
    " WHERE p.station_id = ANY (:stations)) AS in_custody,"
    " (SELECT count(*) FROM erasure WHERE state <> 'done') AS open_requests,"
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
