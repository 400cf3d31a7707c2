"""What is packaged, for whom, and whether that is what both parties approved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from safehands.errors import HandoverRefused, PolicyError
from safehands.handover import state
from safehands.handover.approvals import buyers_answer
from safehands.handover.transferpolicy import Fate as Declared
from safehands.handover.transferpolicy import TransferPolicy
from safehands.ledger import VerifierKey
from safehands.store.register import Owner
from safehands.transfer.contents import FATE, Fate
from safehands.transfer.rows import PART_PARCELS

__all__ = [
    "Order",
    "check_closing",
    "check_order",
    "check_policy",
    "check_signer",
    "check_stations",
]


@dataclass(frozen=True)
class Order:
    """What is packaged: the hand-over, the seller, its stations' codes, for which age recipient.

    ``form``: ``xlsx`` for a buyer without Safehands, who signs the form inside by hand.
    ``part_parcels``: parcels that are open in memory at a time. ``day``: the business date; when
    not said, that of the clock.
    """

    handover: UUID
    seller: Owner
    stations: tuple[str, ...]
    buyer: str
    recipient: str
    form: Literal["package", "xlsx"] = "package"
    part_parcels: int = PART_PARCELS
    day: date | None = None


def check_stations(known: state.Handover, stations: tuple[str, ...]) -> None:
    """Raise ``HandoverRefused`` for other stations than the hand-over was asked for."""
    asked = known.request.get("stations")
    if asked is not None and set(asked) != set(stations):
        raise HandoverRefused("transfer.other_stations", asked=", ".join(sorted(asked)))


def check_order(connection: Connection, known: state.Handover, order: Order) -> None:
    """Raise ``HandoverRefused`` unless stations, buyer and key are those that both approved.

    A buyer elsewhere is who signed the answer to the offer; a sealed workbook needs no name.
    """
    check_stations(known, order.stations)
    key = known.request.get("buyer_key")
    if key == "":
        raise HandoverRefused("transfer.no_recipient")
    if key is not None and key != order.recipient:
        raise HandoverRefused("transfer.other_key")
    agreed = known.request.get("buyer") or buyers_answer(connection, known.id).get("buyer")
    if agreed and agreed != order.buyer:
        raise HandoverRefused("transfer.other_buyer_code")
    if order.form == "package" and not order.buyer:
        raise HandoverRefused("transfer.no_buyer_code")


def check_signer(connection: Connection, handover: UUID, signer: VerifierKey) -> None:
    """Raise ``HandoverRefused`` for another key than the one that signed the buyer's approval."""
    agreed = buyers_answer(connection, handover).get("signer")
    if agreed and agreed != str(signer):
        raise HandoverRefused("transfer.other_signer")


def check_policy(rules: TransferPolicy) -> None:
    """Raise ``PolicyError`` for a column of which policy says another fate than a package gives it.

    What moves is code (:data:`safehands.transfer.contents.FATE`); policy is what people read and
    approve. A column that policy keeps back, say, is not packaged because the code still does.
    """
    for table, columns in FATE.items():
        declared = rules.moves[table].columns if table in rules.moves else {}
        for column, fate in columns.items():
            said = declared.get(column)
            if said is None or _MEANS[said] != fate:
                raise PolicyError("transfer.policy_differs", table=table, column=column)


_MEANS: dict[Declared, Fate] = {
    "token": "named anew",
    "rekey": "opened and sealed anew",
    "move": "as it is",
    "renew": "made by the buyer",
    "never": "stays",
}


def check_closing(known: state.Handover, day: date) -> None:
    """Raise ``HandoverRefused`` before the day of closing: people were told of that day."""
    closing = known.request.get("effective_on")
    if closing and day < date.fromisoformat(closing):
        raise HandoverRefused("transfer.too_early", day=closing)
