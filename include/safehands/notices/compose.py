"""The notice of one owner as plain data, made from policy (PIPL 17, 30, 31).

No word of it is about a customer. The same policy gives the same document, so its digest says
whether anything changed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from safehands.notices.book import ConsentBook, NoticeBook
from safehands.organisation.files import Words
from safehands.policy import Policy
from safehands.stations import Controller

__all__ = ["ITEMS", "compose", "digest_of", "missing", "terms_of"]

Document = dict[str, Any]

ITEMS = (
    "name",
    "contact",
    "purposes",
    "collected",
    "sensitive",
    "retention",
    "after",
    "rights",
    "how",
    "minors",
)
"""What a notice must say (PIPL 17 ¶1, 30, 31; 网络数据安全管理条例 21)."""


def compose(
    policy: Policy, consent: ConsentBook, notice: NoticeBook, controller: Controller
) -> Document:
    """Return the notice of ``controller`` as JSON-able plain data."""
    return {
        "version": 1,
        "controller": controller.code,
        "name": controller.name,
        "contact": controller.contact,
        "stations": [station.name for station in controller.stations],
        "purposes": [_purpose(name, policy, consent) for name in policy.purposes],
        "collected": _collected(policy),
        "sensitive": _sensitive(policy, notice),
        "not_kept": _not_kept(policy),
        "sources": _words(notice.sources),
        "recipients": [
            {
                "who": _words(one.who),
                "id": one.who.zh,
                "role": _words(one.role),
                "basis": one.basis,
                "purpose": _words(one.purpose),
                "method": _words(one.method),
                "contact": _words(one.contact),
                "fields": [_label(name, policy) for name in one.fields],
            }
            for one in notice.recipients
        ],
        "retention": [
            {
                "id": name,
                "label": _words(rule.label),
                "days": rule.keep_days,
                "action": rule.action,
            }
            for name, rule in policy.retention.items()
        ],
        "after": _words(notice.after),
        "rights": [_words(one) for one in notice.rights],
        "how": _words(notice.how),
        "minors": _words(notice.minors),
        "guardian_below": consent.guardian_below,
        "minors_days": {
            "waiting": policy.keep_days("quarantined_minor"),
            "restricted": policy.elsewhere["minors"].keep_days,
        },
    }


def terms_of(policy: Policy, consent: ConsentBook, purpose: str) -> str:
    """Return the digest of what somebody consents to: purpose, methods and categories.

    When it differs from that of a consent, a new one is needed (PIPL 14 ¶2).
    """
    use = consent.purposes[purpose]
    facts = {
        "purpose": [purpose, policy.purposes[purpose].label.zh],
        "methods": sorted(use.methods),
        "fields": sorted(_fields_of(purpose, policy, consent)),
        "separate": use.separate,
    }
    return digest_of(facts)[:32]


def missing(document: Document) -> list[str]:
    """Return the required items that the notice does not say; an empty list is what is wanted."""
    said = document["sensitive"]
    unsaid = [one for one in said or () if not (one["necessity"] and one["impact"])]
    return [item for item in ITEMS if not document[item] or (item == "sensitive" and unsaid)]


def digest_of(facts: Document) -> str:
    """Return the SHA-256 of canonical JSON, as hex."""
    canonical = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _purpose(name: str, policy: Policy, consent: ConsentBook) -> Document:
    purpose, use = policy.purposes[name], consent.purposes[name]
    return {
        "id": name,
        "label": _words(purpose.label),
        "basis": purpose.basis,
        "article": purpose.article,
        "separate": use.separate,
        "methods": [_words(consent.methods[method]) for method in use.methods],
        "fields": [_label(field, policy) for field in _fields_of(name, policy, consent)],
        "terms": terms_of(policy, consent, name),
    }


def _fields_of(purpose: str, policy: Policy, consent: ConsentBook) -> list[str]:
    """Return the fields of a purpose; whoever provides everything to somebody says everything.

    What rests on a consent to the present handler is not provided: the next one asks anew.
    """
    whole = "provide" in consent.purposes[purpose].methods
    names = (
        name
        for dataset in policy.datasets.values()
        for name, rule in dataset.fields.items()
        if rule.treatment != "drop"
        and (
            purpose in rule.purposes
            or (whole and any(policy.purposes[one].basis != 1 for one in rule.purposes))
        )
    )
    return list(dict.fromkeys(names))


def _collected(policy: Policy) -> list[Document]:
    found: dict[str, Document] = {}
    for dataset in policy.datasets.values():
        for name, rule in dataset.fields.items():
            if rule.treatment != "drop" and rule.purposes:
                found.setdefault(
                    name,
                    {
                        "id": name,
                        "label": _words(rule.label),
                        "category": rule.category,
                        "sensitive": rule.sensitive,
                        "purposes": list(rule.purposes),
                    },
                )
                # One export may call sensitive what another does not.
                found[name]["sensitive"] |= rule.sensitive
    return list(found.values())


def _sensitive(policy: Policy, notice: NoticeBook) -> list[Document]:
    """Return what is sensitive, why it is necessary and what it may do (PIPL 30).

    A field that policy keeps and for which nobody said so stands here without words.
    """
    found = [
        {
            "id": "children",
            "label": None,
            "necessity": _words(notice.children.necessity),
            "impact": _words(notice.children.impact),
        }
    ]
    for one in _collected(policy):
        if one["sensitive"]:
            said = notice.sensitive.get(one["id"])
            found.append(
                {
                    "id": one["id"],
                    "label": one["label"],
                    "necessity": _words(said.necessity) if said else None,
                    "impact": _words(said.impact) if said else None,
                }
            )
    return found


def _not_kept(policy: Policy) -> list[dict[str, str]]:
    """Return the labels of sensitive fields that exports may have and that are never kept."""
    labels = {
        rule.label.zh: _words(rule.label)
        for dataset in policy.datasets.values()
        for rule in dataset.fields.values()
        if rule.sensitive and rule.treatment == "drop"
    }
    return [*labels.values(), _words(policy.elsewhere["id_photo"].label)]


def _label(name: str, policy: Policy) -> Document:
    for dataset in policy.datasets.values():
        if name in dataset.fields:
            return {"id": name, "label": _words(dataset.fields[name].label)}
    raise KeyError(name)


def _words(words: Words | Any) -> dict[str, str]:
    return {"zh": words.zh, "en": words.en}
