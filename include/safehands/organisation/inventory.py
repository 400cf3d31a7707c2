"""What an owner holds and why: the inventory, and the record of processing.

Both come from policy (fields, purposes, retention) and live counts, so they can't drift from what
the pipeline does. Source: GB/T 39335-2020 5.3 (data mapping, read in quotation); PIPL 55 and 56
(records of processing, kept three years). Not covered: what the owner keeps outside this system,
beyond the number of people declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import text

from safehands.installation import Installation
from safehands.organisation.catalogue import Organisation
from safehands.organisation.register import entries
from safehands.organisation.tiers import sizes
from safehands.policy import FieldRule, Policy
from safehands.store.register import owners

__all__ = ["inventory", "record_of_processing"]


def inventory(inst: Installation) -> list[dict[str, Any]]:
    """Return per owner ``owner``, ``held`` (rows per table) and ``datasets`` as JSON types.

    A dataset has ``role``, ``by_whom`` and its kept fields by category: ``fields`` (names),
    ``sensitive``, ``grade`` (highest), ``purposes``, ``keep_for`` with days and who set them.
    """
    roles = _roles(inst)
    return [
        {
            "owner": owner.code,
            "stations": len(owner.stations),
            "held": _held(inst, owner.id),
            "datasets": {
                name: {**roles.get((owner.code, name), _UNKNOWN), "categories": categories}
                for name, categories in _categories(inst.policy).items()
            },
        }
        for owner in owners(inst.store).values()
    ]


def record_of_processing(
    inst: Installation, organisation: Organisation, day: date
) -> list[dict[str, Any]]:
    """Return per owner one entry per purpose as JSON types, with what protects it on ``day``.

    An entry has ``label``, ``basis`` (item of PIPL 13 ¶1), ``article``, ``fields`` per dataset,
    ``retention`` and ``recipients``; the owner's part has ``people``, ``people_elsewhere``,
    ``tiers`` and ``measures`` (evidence in date by group of risk sources).
    """
    roles, people = _roles(inst), {size.owner: size for size in sizes(inst, organisation, day)}
    in_date = [e for e in entries(inst, day) if e.entry == "evidence" and e.valid_on(day)]
    found = []
    for owner in owners(inst.store).values():
        mine = [e.kind for e in in_date if e.owner == owner.code]
        size = people[owner.code]
        found.append(
            {
                "owner": owner.code,
                "day": day.isoformat(),
                "people": size.here,
                "people_elsewhere": size.elsewhere,
                "tiers": [tier.name for tier in size.tiers],
                "measures": _measures(organisation, mine),
                "recipients": _recipients(roles, owner.code, mine),
                "purposes": _purposes(inst.policy),
                "keep_years": organisation.keep_years.number,
            }
        )
    return found


def _held(inst: Installation, owner: int) -> dict[str, int]:
    with inst.store.begin(controller=owner) as connection:
        return dict(connection.execute(text(_HELD)).mappings().one())


def _roles(inst: Installation) -> dict[tuple[str, str], dict[str, str]]:
    with inst.store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(_ROLES))
        return {(r.code, r.dataset): {"role": r.role, "by_whom": r.by_whom} for r in rows}


def _categories(policy: Policy) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for dataset, name, field in _kept(policy):
        part = found.setdefault(dataset, {}).setdefault(field.category, _empty())
        part["fields"].append(name)
        part["sensitive"] = part["sensitive"] or field.sensitive
        part["grade"] = max(part["grade"], field.grade)
        part["purposes"] = sorted({*part["purposes"], *field.purposes})
        part["keep_for"][field.keep_for] = _retention(policy, field.keep_for)
    return found


def _empty() -> dict[str, Any]:
    return {"fields": [], "sensitive": False, "grade": 0, "purposes": [], "keep_for": {}}


def _kept(policy: Policy) -> list[tuple[str, str, FieldRule]]:
    return [
        (dataset, name, field)
        for dataset, block in policy.datasets.items()
        for name, field in block.fields.items()
        if field.treatment != "drop"
    ]


def _retention(policy: Policy, rule: str) -> dict[str, Any]:
    return policy.retention[rule].model_dump(include={"keep_days", "action", "kind", "basis"})


def _purposes(policy: Policy) -> dict[str, dict[str, Any]]:
    found = {}
    for name, purpose in policy.purposes.items():
        used = [(d, n, f) for d, n, f in _kept(policy) if name in f.purposes]
        by_dataset: dict[str, list[str]] = {}
        for dataset, field_name, _ in used:
            by_dataset.setdefault(dataset, []).append(field_name)
        found[name] = {
            "label": purpose.label.model_dump(),
            "basis": purpose.basis,
            "article": purpose.article,
            "fields": by_dataset,
            "retention": {f.keep_for: _retention(policy, f.keep_for) for _, _, f in used},
        }
    return found


def _measures(organisation: Organisation, kinds: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {kind.group: [] for kind in organisation.kinds.values()}
    for name in sorted(set(kinds) & organisation.kinds.keys()):
        groups[organisation.kinds[name].group].append(name)
    return groups


def _recipients(
    roles: Mapping[tuple[str, str], Mapping[str, str]], owner: str, kinds: list[str]
) -> dict[str, Any]:
    """Who else takes part: by whom record sets are entrusted or shared, agreements in date."""
    by_whom = {r["by_whom"] for (code, _), r in roles.items() if code == owner and r["by_whom"]}
    return {"by_whom": sorted(by_whom), "agreements": kinds.count("processor_agreement")}


_UNKNOWN = {"role": "unknown", "by_whom": ""}
_HELD = (
    "SELECT (SELECT count(*) FROM subject) AS subject,"
    " (SELECT count(*) FROM restriction) AS restricted,"
    " (SELECT count(*) FROM parcel) AS parcel, (SELECT count(*) FROM custody) AS custody,"
    " (SELECT count(*) FROM preference) AS preference,"
    " (SELECT count(*) FROM quarantine) AS quarantine,"
    " (SELECT count(*) FROM tombstone) AS tombstone"
)
_ROLES = (
    "SELECT c.code, r.dataset, r.role, r.by_whom FROM record_set r"
    " JOIN controller c ON c.id = r.controller_id"
)
