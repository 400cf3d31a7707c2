"""The five cases of a play: who hands over what to whom, in which mode, with which papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from safehands.handover.request import TERMS, HandoverRequest
from safehands.handover.state import Mode

__all__ = ["CASES", "WINDOW", "Case", "request_for"]

WINDOW = 14
"""Days to answer in a play: within policy (10 to 42)."""


@dataclass(frozen=True)
class Case:
    """One mode: seller, its station, the buyer and the station it becomes there."""

    mode: Mode
    seller: str
    station: str
    buyer: str
    becomes: str
    proof: str = "none"
    asks: bool = False

    @property
    def moves(self) -> bool:
        """Say whether anybody's information goes to the buyer."""
        return bool(self.becomes)


CASES: tuple[Case, ...] = (
    Case("share_deal", "antai", "HZ001", "hengxin", "", "share_transfer_registration"),
    Case(
        *("statutory_succession", "antai", "HZ001", "hengxin", "HZ901", "merger_registration"),
    ),
    Case("asset_deal", "antai", "HZ001", "lihua", "HZ801", asks=True),
    Case("entrusted_processor_change", "lihua", "SZ001", "hengxin", "", "entrustment_end"),
    Case("closure", "lihua", "SZ002", "", ""),
)


def request_for(case: Case, papers: Mapping[str, str], opened: date, name: str) -> HandoverRequest:
    """Return the typed request of a case.

    ``papers``: digests of the documents and public keys by field; ``name``: how people are told who
    takes over.
    """
    given: dict[str, Any] = {
        "stations": (case.station,),
        "seller": case.seller,
        "buyer": case.buyer,
        "buyer_name": name,
        "buyer_contact": "0755-0000000" if name else "",
        "transfer_mode": case.mode,
        "proof": case.proof,
        "effective_on": opened + timedelta(days=WINDOW + 6),
        "channels": ("sms", "poster", "counter") if case.asks else ("poster", "counter"),
        "window_days": WINDOW,
        "agreement_terms": TERMS if case.buyer else (),
        "agreement_until": opened + timedelta(days=1200) if case.buyer else None,
        "seller_approver": "wang.li",
        "buyer_approver": "chen.fang" if case.buyer else "",
        "buyer_people": 20_000 if case.buyer else 0,
        "dry_run": True,
        **papers,
    }
    return HandoverRequest.model_validate(given)
