"""The typed request for a hand-over: command, form and documents are made from this one model.

It names stations, staff and businesses, never a customer. What is not proved is an asset deal: a
lighter lane than the documents carry cannot be chosen (LAW.md 0b).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from safehands.datasets import names_a_person
from safehands.errors import HandoverRefused, PolicyError
from safehands.handover.state import Mode
from safehands.ledger import canonical_json
from safehands.organisation.files import Frozen, checked, read_yaml

__all__ = ["TERMS", "HandoverRequest", "Proof", "lane", "load_request", "request_of"]

Proof = Literal[
    "none",
    "share_transfer_registration",
    "merger_registration",
    "division_registration",
    "dissolution_resolution",
    "bankruptcy_ruling",
    "operator_change_registration",
    "entrustment_end",
]
Channel = Literal["sms", "poster", "counter"]
Term = Literal["purpose", "method", "scope", "term", "measures", "duties"]
TERMS: tuple[Term, ...] = ("purpose", "method", "scope", "term", "measures", "duties")
"""What the agreement has to state (PIPL 21; 网络数据安全管理条例 12)."""

_PROVES: dict[str, frozenset[str]] = {
    "share_deal": frozenset({"share_transfer_registration"}),
    "statutory_succession": frozenset(
        {
            "merger_registration",
            "division_registration",
            "dissolution_resolution",
            "bankruptcy_ruling",
        }
    ),
    "entrusted_processor_change": frozenset({"entrustment_end"}),
}
_DIGEST = r"^([0-9a-f]{64})?$"
_CODE = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
_STAFF = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._@-]{1,63}$")]
_LONG = re.compile(r"\d{7}")


def _field(zh: str, en: str, eg: str = "", **rest: Any) -> Any:
    """A field with its explanation in both languages and an example, for form and documents."""
    return Field(description=f"{zh} / {en}", examples=[eg] if eg else None, **rest)


class HandoverRequest(Frozen):
    """One hand-over as it is asked for. ``dry_run``: plan, and change nothing."""

    stations: tuple[_CODE, ...] = _field(
        "移交的驿站编号", "codes of the stations handed over", "SZ001", min_length=1
    )
    seller: _CODE = _field("转出方（经营者编号）", "the seller's owner code", "lihua")
    buyer: str = _field(
        "接手方在本系统的编号；在别处或没有则留空",
        "the buyer's owner code if it is in this installation, else empty",
        "antai",
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,32}$",
    )
    buyer_name: str = _field(
        "接手方名称（写进告知书）",
        "the buyer's name as people are told it",
        "安泰驿站有限公司",
        default="",
        max_length=80,
    )
    buyer_contact: str = _field(
        "接手方联系方式：座机或邮箱（写进告知书）",
        "the buyer's contact as people are told it: landline or e-mail",
        "0755-0000000",
        default="",
        max_length=80,
    )
    transfer_mode: Mode = _field(
        "转让方式；没有证明材料的一律按资产转让",
        "transfer mode; whatever is not proved is an asset deal",
        default="asset_deal",
    )
    proof: Proof = _field(
        "证明转让方式的材料种类", "kind of document that proves the mode", default="none"
    )
    proof_digest: str = _field(
        "该材料文件的 SHA-256",
        "SHA-256 of that document",
        "sha256sum 登记通知书.pdf",
        default="",
        pattern=_DIGEST,
    )
    effective_on: date = _field("交接日", "day of closing", "2027-01-31")
    closing_evidence: str = _field(
        "成交证明文件的 SHA-256；没有它不打包",
        "SHA-256 of the evidence of closing; without it nothing is packaged",
        "sha256sum 交割确认书.pdf",
        default="",
        pattern=_DIGEST,
    )
    buyer_purposes: tuple[str, ...] = _field(
        "接手方的处理目的（purposes.yaml）",
        "the buyer's purposes, as in purposes.yaml",
        default=("custody", "proof", "service", "rights"),
    )
    channels: tuple[Channel, ...] = _field(
        "告知渠道", "how people are told", default=("poster", "counter"), min_length=1
    )
    window_days: int = _field(
        "答复期（天；政策 10–42）",
        "days to answer (policy: 10 to 42)",
        "30",
        default=30,
        ge=10,
        le=42,
    )
    gateway_agreement: str = _field(
        "短信网关委托协议与影响评估文件的 SHA-256；没有就只用海报和柜台",
        "SHA-256 of the gateway's agreement with its assessment; without it only posters and slips",
        "sha256sum 短信网关协议.pdf",
        default="",
        pattern=_DIGEST,
    )
    gateway_key: str = _field(
        "短信网关的 age 公钥",
        "the gateway's age public key",
        "age1…",
        default="",
        pattern=r"^(age1[0-9a-z]{58})?$",
    )
    buyer_key: str = _field(
        "接手方的 age 公钥",
        "the buyer's age public key",
        "age1…（safehands handover key --owner antai）",
        default="",
        pattern=r"^(age1[0-9a-z]{58})?$",
    )
    buyer_people: int = _field(
        "接手方现有人数（约数）",
        "people the buyer handles already, rounded",
        "20000",
        default=0,
        ge=0,
    )
    agreement: str = _field(
        "转让协议文件的 SHA-256",
        "SHA-256 of the agreement",
        "sha256sum 转让协议.pdf",
        default="",
        pattern=_DIGEST,
    )
    agreement_terms: tuple[Term, ...] = _field(
        "协议写明的法定条款", "statutory terms that the agreement states", default=()
    )
    agreement_until: date | None = _field(
        "协议约定的保密与协助义务截止日",
        "until when the agreement's duties hold",
        "2030-01-31",
        default=None,
    )
    handler_confirmation: str = _field(
        "快递企业或平台书面确认文件的 SHA-256（受托数据）",
        "SHA-256 of the courier's or platform's written confirmation (entrusted data)",
        "sha256sum 中通确认函.pdf",
        default="",
        pattern=_DIGEST,
    )
    seller_approver: _STAFF = _field(
        "转出方批准人的工号", "staff id of who approves for the seller", "wang.li"
    )
    buyer_approver: str = _field(
        "接手方批准人的工号（关停可留空）",
        "staff id of who approves for the buyer (empty for a closure)",
        "chen.fang",
        default="",
        pattern=r"^([A-Za-z][A-Za-z0-9._@-]{1,63})?$",
    )
    dry_run: bool = _field("只演练，不改动任何数据", "rehearse only, change nothing", default=True)

    @field_validator("seller_approver", "buyer_approver")
    @classmethod
    def _no_number(cls, value: str) -> str:
        if _LONG.search(value):
            raise ValueError("a staff id holds no long number")
        return value

    @field_validator("buyer_name", "buyer_contact")
    @classmethod
    def _business(cls, value: str) -> str:
        if names_a_person(value):
            raise ValueError("a business contact, no personal number")
        return value

    @model_validator(mode="after")
    def _two_parties(self) -> HandoverRequest:
        if len(set(self.stations)) != len(self.stations):
            raise ValueError("a station stands twice")
        if self.buyer and self.buyer == self.seller:
            raise ValueError("seller and buyer are the same")
        if self.buyer_approver and self.buyer_approver == self.seller_approver:
            raise ValueError("two different people approve")
        if self.transfer_mode != "closure" and not self.buyer_approver:
            raise ValueError("buyer_approver is missing")
        return self

    @property
    def digest(self) -> str:
        """Digest of what is asked for; whether it is a rehearsal does not count."""
        body = self.model_dump(mode="json", exclude={"dry_run"})
        return hashlib.sha256(canonical_json(body)).hexdigest()


def lane(request: HandoverRequest, seller_kind: str) -> tuple[Mode, str]:
    """Return the mode that holds, and why as a message key (empty: the one that was chosen).

    ``seller_kind``: ``company``, ``sole_trader`` or ``unknown`` (stations.yaml). A 个体工商户 has
    no shares; nothing unproved gets a lighter lane than an asset deal. A closure needs no proof: it
    moves nothing.
    """
    chosen = request.transfer_mode
    if chosen in ("asset_deal", "closure"):
        return chosen, ""
    if chosen == "share_deal" and seller_kind != "company":
        return "asset_deal", "handover.lane.no_shares"
    if request.proof not in _PROVES[chosen] or not request.proof_digest:
        return "asset_deal", "handover.lane.unproved"
    return chosen, ""


def load_request(path: Path) -> HandoverRequest:
    """Read a request from YAML (with ``version: 1``).

    Raises ``HandoverRefused`` naming the field and what is wrong with it, never its content.
    """
    return request_of(read_yaml(path), path.name)


def request_of(given: Mapping[str, Any], name: str = "form") -> HandoverRequest:
    """Return what a form or file gives as a request; what is empty counts as not given."""
    said = {key: value for key, value in given.items() if value is not None}
    try:
        return checked(HandoverRequest, said, name, "request")
    except PolicyError as error:
        where = str(error.params.get("where", "-"))
        why = str(error.params.get("why", "-"))
        raise HandoverRefused("handover.bad_request", where=where, why=why) from None
