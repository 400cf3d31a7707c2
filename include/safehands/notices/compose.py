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
    "retention",
    "after",
    "rights",
    "how",
    "minors",
)
"""What a notice must say (PIPL 17 ¶1; 网络数据安全管理条例 21)."""


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
        "sources": _words(notice.sources),
        "recipients": [
            {
                "who": _words(one.who),
                "role": _words(one.role),
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
    }


def terms_of(policy: Policy, consent: ConsentBook, purpose: str) -> str:
    """Return the digest of what somebody consents to: purpose, methods and categories.

    When it differs from that of a consent, a new one is needed (PIPL 14 ¶2).
    """
    use = consent.purposes[purpose]
    facts = {
        "purpose": [purpose, policy.purposes[purpose].label.zh],
        "methods": sorted(use.methods),
        "fields": sorted(_fields_of(purpose, policy)),
        "separate": use.separate,
    }
    return digest_of(facts)[:32]


def missing(document: Document) -> list[str]:
    """Return the required items that the notice does not say; an empty list is what is wanted."""
    return [item for item in ITEMS if not document[item]]


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
        "fields": [_label(field, policy) for field in _fields_of(name, policy)],
        "terms": terms_of(policy, consent, name),
    }


def _fields_of(purpose: str, policy: Policy) -> list[str]:
    names = (
        name
        for dataset in policy.datasets.values()
        for name, rule in dataset.fields.items()
        if purpose in rule.purposes and rule.treatment != "drop"
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
    return list(found.values())


def _label(name: str, policy: Policy) -> Document:
    for dataset in policy.datasets.values():
        if name in dataset.fields:
            return {"id": name, "label": _words(dataset.fields[name].label)}
    raise KeyError(name)


def _words(words: Words | Any) -> dict[str, str]:
    return {"zh": words.zh, "en": words.en}
