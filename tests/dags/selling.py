"""A station that is to be sold: its landing, its register and the request's form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from runs import landing

from safehands import pipeline
from safehands.handover.notify import notify
from safehands.handover.opening import ask
from safehands.handover.plan import assess
from safehands.handover.request import request_of
from safehands.handover.tick import tick
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.play.office import equip, tell_terms
from safehands.stations import load_register
from safehands.transfer.papers import bring

PHONES = [f"139000084{n:02d}" for n in range(6)]
TODAY = datetime.now(UTC).astimezone(SHANGHAI).date()
CLOSING = TODAY + timedelta(days=20)
PROOF = "ab" * 32
STATIONS = """controllers:
- code: selling
  name: 卖方驿站有限公司
  kind: company
  contact: 柜台
  record_sets: {parcels: {role: handler}, customers: {role: handler}, preferences: {role: handler}}
  stations: [{code: H1, name: 卖方驿站, folder: H1}]
- code: buying
  name: 买方驿站有限公司
  kind: company
  contact: 柜台
  record_sets: {parcels: {role: handler}, customers: {role: handler}, preferences: {role: handler}}
  stations: [{code: H2, name: 买方驿站, folder: H2}]
"""


def form(**changes: Any) -> dict[str, Any]:
    """What the form of ``station_handover`` gives for this sale."""
    return {
        "stations": ["H1"],
        "seller": "selling",
        "buyer": "buying",
        "buyer_name": "买方驿站有限公司",
        "buyer_contact": "0755-0000000",
        "transfer_mode": "statutory_succession",
        "proof": "merger_registration",
        "proof_digest": PROOF,
        "effective_on": CLOSING.isoformat(),
        "agreement": PROOF,
        "agreement_terms": ["purpose", "method", "scope", "term", "measures", "duties"],
        "seller_approver": "wang.li",
        "buyer_approver": "chen.fang",
        "dry_run": False,
        **changes,
    }


def lay_out(folder: Path) -> Path:
    """Write both owners' landing and register; return the landing folder."""
    landing(folder, "H1", PHONES, 840000)
    (folder / "H2").mkdir()
    (folder / "stations.yaml").write_text(STATIONS, encoding="utf-8")
    return folder


def furnish(inst: Installation, folder: Path, papers: Path) -> None:
    """Give the seller all that the gate asks of an office, but no impact assessment."""
    equip(inst, "selling", papers, TODAY - timedelta(days=1))
    [seller, _] = load_register(folder, ("parcels", "customers", "preferences")).controllers
    tell_terms(inst, seller, TODAY - timedelta(days=1), inst.clock())


def waits_for_approval(inst: Installation, **changes: Any) -> UUID:
    """A hand-over whose window is over; ``inst`` reads its own landing folder."""
    lay_out(inst.settings.landing)
    pipeline.nightly(inst, TODAY, lambda *_: None)
    furnish(inst, inst.settings.landing, inst.settings.home / "papers")
    asked = ask(inst, request_of(form(**changes)))
    assess(inst, asked, asked.request.seller_approver, TODAY, inst.clock())
    notify(inst, asked.id, asked.request.seller_approver, TODAY, inst.clock())
    now, by = inst.clock(), asked.request.seller_approver
    bring(inst.store, asked.seller, asked.id, "poster_hung", PROOF, TODAY, by, now)
    tick(inst, TODAY + timedelta(days=1), inst.clock())
    return asked.id
