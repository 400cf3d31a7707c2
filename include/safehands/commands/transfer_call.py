"""What the commands of a transfer share: owners, the guard, a buyer's reception."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.store.register import Owner
    from safehands.transfer.receive import Reception

__all__ = ["done", "filled", "owner_of", "pairs", "reception"]


def owner_of(inst: Installation, code: str) -> Owner:
    """Return the owner ``code``. Raises ``HandoverRefused`` for none of that code."""
    from safehands.errors import HandoverRefused
    from safehands.store.register import owners

    known = owners(inst.store)
    if code not in known:
        raise HandoverRefused("transfer.no_owner")
    return known[code]


def done(call: Call, inst: Installation, work: Callable[[], Any]) -> None:
    """Run a step behind the guard, number the ledger, print what it returns as JSON."""
    from safehands import guard, journal

    found = guard.guarded("transfer", work)
    journal.sequence(inst.store, inst.clock())
    shown = getattr(found, "__dict__", found)
    if shown is not None:
        call.line(json.dumps(shown, default=str, ensure_ascii=False, sort_keys=True))


def filled(name: str, work: Callable[..., None]) -> Callable[..., None]:
    """Return ``work`` with what was not said taken from the hand-over's request.

    Raises ``UsageError`` naming the option that neither says.
    """

    def whole(call: Call, **given: Any) -> None:
        lacking = [one for one in _FROM_REQUEST if one in given and not given[one]]
        if lacking and given.get("handover"):
            said = _said(call, name, given["handover"])
            given |= {one: said[one] for one in lacking if said.get(one)}
        for one in lacking:
            if not given[one]:
                raise click.UsageError(f"--{one}")
        work(call, **given)

    return whole


def _said(call: Call, name: str, handover: Any) -> dict[str, Any]:
    from safehands import guard
    from safehands.handover.opening import known
    from safehands.handover.pages import folder_of
    from safehands.handover.transferpolicy import load_transfer_policy

    with call.installation() as inst:
        _, asked = guard.guarded("handover", lambda: known(inst, handover))
        request, folder = asked.request, folder_of(inst, handover)
        years = load_transfer_policy(inst.settings.policy).evidence_years
    mine = request.buyer if name in _BUYERS else request.seller
    file = _FILES.get(name)
    return {
        "owner": mine,
        "station": request.stations,
        "buyer": request.buyer,
        "recipient": request.buyer_key,
        "file": folder / file if file else None,
        "package": folder / "package.age",
        "until": datetime(call.day.year + years, call.day.month, min(call.day.day, 28)),  # noqa: DTZ001
    }


_FROM_REQUEST = ("owner", "station", "buyer", "recipient", "file", "package", "until")
_BUYERS = ("receipt",)
"""Commands with a hand-over's number that are the buyer's: both owners in one installation."""
_FILES = {
    "package": "package.age",
    "receipt": "receipt.json",
    "accept": "receipt.json",
    "bundle": "evidence.age",
    "prove": "evidence.age",
    "certify": "certificate.json",
    "stock": "stock-seller.json",
}


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Return ``THEIRS=OURS`` words as a dictionary."""
    if any("=" not in word for word in given):
        raise click.UsageError("--station THEIRS=OURS")
    return {word.partition("=")[0]: word.partition("=")[2] for word in given}


def reception(
    call: Call, inst: Installation, owner: str, signer: str, station: tuple[str, ...]
) -> Reception:
    """Return how a buyer receives: its own identity, the seller's key, ``THEIRS=OURS`` stations."""
    from safehands.keys import age
    from safehands.ledger import VerifierKey
    from safehands.transfer.receive import Reception

    buyer = owner_of(inst, owner)
    return Reception(
        buyer,
        age.identity(inst.provider, f"transfer-identity/{buyer.code}"),
        VerifierKey.parse(signer),
        pairs(station),
        inst.policy.reissue_after_days,
        f"receive-{call.day}",
        call.day,
    )
