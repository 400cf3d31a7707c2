"""What the commands of a transfer share: owners, the guard, a buyer's reception."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.store.register import Owner
    from safehands.transfer.receive import Reception

__all__ = ["done", "owner_of", "pairs", "reception"]


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
