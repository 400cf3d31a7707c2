"""Agreements with third parties as reviewed policy (PIPL 20, 21, 23; 网络数据安全管理条例 12)."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.errors import GateClosed, PolicyError
from safehands.ledger import canonical_json
from safehands.notices import ConsentBook, load_consent_book
from safehands.organisation.files import Frozen, Words, checked, read_yaml
from safehands.policy import Policy
from safehands.risk.level import LEAST_CLASS
from safehands.threats import Judged, Threats, load_threats

__all__ = [
    "Agreement",
    "ShareBook",
    "digest_of",
    "ending",
    "in_force",
    "load_share_book",
]

Mechanism = Literal["standard_contract", "certification", "assessment"]


class SharedField(Frozen):
    """One column that a file may have."""

    zh: str
    en: str
    quasi: bool = False
    direct: bool = False
    full: bool = False


class Abroad(Frozen):
    """People per calendar year from which leaving the mainland needs a mechanism."""

    standard_from: Annotated[int, Field(ge=1)]
    assessment_from: Annotated[int, Field(ge=1)]
    sensitive_standard_from: Annotated[int, Field(ge=1)]
    sensitive_assessment_from: Annotated[int, Field(ge=1)]
    always_mechanism: bool


class OnFile(Frozen):
    """A cross-border mechanism that was completed (PIPL 38)."""

    kind: Mechanism
    reference: str
    until: date


class Agreement(Frozen):
    """One agreement: who gets what, for which purpose, how long, and who approved it."""

    owners: tuple[str, ...]
    recipient: Words
    role: Literal["processor", "joint", "independent"]
    dataset: Literal["people", "parcels"]
    model: Literal["identified", "enclave", "controlled", "public"]
    purposes: Annotated[tuple[str, ...], Field(min_length=1)]
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    begins: date = Field(alias="from")
    until: date
    method: Words
    measures: Words
    duties: Words
    sub_processors: tuple[Words, ...] = ()
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    storage: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...]
    contact: str
    age: Annotated[str, Field(pattern=r"^age1[a-z0-9]{20,}$")]
    format: Literal["csv", "parquet"]
    file_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    approver: Annotated[str, Field(min_length=1)]
    approved_on: date
    mechanism: OnFile | None = None
    necessary: str = ""
    threats: Judged | None = None

    @model_validator(mode="after")
    def _whole(self) -> Agreement:
        if self.until < self.begins or self.approved_on > self.until:
            raise ValueError("it ends before it begins or is approved")
        if len(set(self.fields)) != len(self.fields):
            raise ValueError("a field stands twice")
        if self.model == "public" and "ref" in self.fields:
            raise ValueError("a public file has no codes of people")
        if self.role == "independent" and self.model == "identified" and not self.necessary:
            raise ValueError("say why an independent handler needs to know who it is")
        return self


class ShareBook(Frozen):
    """``sharing.yaml``, ``agreements.yaml`` and the threats of ``threats.yaml`` together."""

    threats: Threats
    bulk_rows: Annotated[int, Field(ge=1)]
    remind_days: Annotated[int, Field(ge=0)]
    home: Literal["CN"]
    reasons: dict[str, Words]
    abroad: Abroad
    fields: dict[str, SharedField]
    agreements: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")], Agreement]

    def is_abroad(self, agreement: Agreement) -> bool:
        """Say whether recipient or storage is outside the mainland (HK, MO and TW are)."""
        return any(region != self.home for region in (agreement.region, *agreement.storage))

    def quasi(self, agreement: Agreement) -> tuple[str, ...]:
        """Return the fields that count for the class size."""
        return tuple(name for name in agreement.fields if self.fields[name].quasi)


def load_share_book(folder: Path, policy: Policy) -> ShareBook:
    """Read both files and check them against purposes, consent and the fields that exist.

    Raises ``PolicyError`` naming file and agreement.
    """
    rules = read_yaml(folder / "sharing.yaml")
    agreements = read_yaml(folder / "agreements.yaml").get("agreements") or {}
    for code, raw in agreements.items():
        checked(Agreement, raw, "agreements.yaml", str(code))
    made = {**rules, "agreements": agreements, "threats": load_threats(folder)}
    book = checked(ShareBook, made, "sharing.yaml", "-")
    consent = load_consent_book(folder, policy)
    for code, agreement in book.agreements.items():
        _check(policy, consent, book, code, agreement)
    return book


def _check(
    policy: Policy, consent: ConsentBook, book: ShareBook, code: str, agreement: Agreement
) -> None:
    for purpose in agreement.purposes:
        if purpose not in policy.purposes:
            _refuse(code, "purposes", purpose)
        # Provision to another handler on consent asks for a separate one (PIPL 23).
        separate = consent.purposes[purpose].separate
        asked = policy.purposes[purpose].basis == 1
        if agreement.role != "processor" and asked and not separate:
            _refuse(code, "purposes", f"{purpose}: separate consent (PIPL 23)")
        # Leaving the mainland asks for one whatever the role (PIPL 39).
        if book.is_abroad(agreement) and not (asked and separate):
            _refuse(code, "region", f"{purpose}: separate consent (PIPL 39)")
    for name in agreement.fields:
        field = book.fields.get(name)
        if field is None:
            _refuse(code, "fields", name)
        elif field.direct and agreement.model != "identified":
            _refuse(code, "fields", f"{name}: model {agreement.model}")
        elif field.full and agreement.role != "processor":
            _refuse(code, "fields", f"{name}: role {agreement.role}")
        elif name not in DATASETS[agreement.dataset]:
            _refuse(code, "fields", f"{name}: dataset {agreement.dataset}")
    # Whose copy it is must be seen in a leak; what is public is in everybody's hands.
    if agreement.model != "public" and not MARKED & set(agreement.fields):
        _refuse(code, "fields", f"one of {', '.join(sorted(MARKED))}")
    if agreement.model in LEAST_CLASS and not book.quasi(agreement):
        _refuse(code, "model", agreement.model)


def _refuse(code: str, where: str, why: str) -> None:
    raise PolicyError(
        "organisation.invalid", file="agreements.yaml", block=code, where=where, why=why
    )


MARKED = frozenset(("ref", "name_masked", "phone_masked", "phone"))
"""Fields by which a copy is traced: a code, stars, or at least the register."""

_OF_PEOPLE = ("ref", "name_masked", "phone_masked", "phone", "district")
DATASETS: dict[str, frozenset[str]] = {
    "people": frozenset((*_OF_PEOPLE, "notify_channel", "delivery_choice")),
    "parcels": frozenset((*_OF_PEOPLE, "arrived_week", "carrier", "weight_band", "status")),
}


def in_force(book: ShareBook, code: str, owner: str, day: date) -> Agreement:
    """Return the agreement. Raises ``GateClosed`` unless it is in force for ``owner`` on ``day``.

    No agreement in force, no disclosure.
    """
    agreement = book.agreements.get(code)
    if agreement is None or owner not in agreement.owners:
        raise GateClosed("sharing.no_agreement", agreement=code[:41], owner=owner)
    if not agreement.begins <= day <= agreement.until or agreement.approved_on > day:
        begins, until = agreement.begins.isoformat(), agreement.until.isoformat()
        raise GateClosed("sharing.not_in_force", agreement=code, begins=begins, until=until)
    return agreement


def ending(book: ShareBook, day: date) -> list[tuple[str, date]]:
    """Return agreements that ended, or end within the days of policy, soonest first."""
    last = day + timedelta(days=book.remind_days)
    found = [(code, one.until) for code, one in book.agreements.items() if one.until <= last]
    return sorted(found, key=lambda each: (each[1], each[0]))


def digest_of(agreement: Agreement) -> str:
    """Return the SHA-256 of the agreement as policy has it (canonical JSON)."""
    return hashlib.sha256(canonical_json(agreement.model_dump(mode="json"))).hexdigest()
