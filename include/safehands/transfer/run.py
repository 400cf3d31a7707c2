"""From the approval to the reconciliation, as an orchestrator does it: shards, package, receipt.

Each method of a ``TransferRun`` is one task: it opens its own transactions, may be killed at any
moment and done again, and returns numbers, counts and digests. What the hand-over was asked for
(stations, buyer, key) is read from its request. A buyer who is in this installation, which is told
by the key that the package is sealed to, receives, signs and is reconciled at once; for any other
the sealed file waits in the hand-over's folder. What needs a person (freeze, stock-take, cut-over)
is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from safehands import journal
from safehands.certificates import keep_certificate
from safehands.errors import HandoverRefused, KeyProblem
from safehands.handover.approvals import buyers_answer, check_still
from safehands.handover.opening import Asked, known
from safehands.handover.pages import folder_of
from safehands.handover.transferpolicy import load_transfer_policy
from safehands.installation import Installation
from safehands.keys import age
from safehands.store.register import owners
from safehands.transfer.order import Order, check_policy
from safehands.transfer.package import Packaged, make_package, packaged
from safehands.transfer.receipt import accept_receipt, reconcile, sign_receipt
from safehands.transfer.receive import Reception, receive_package
from safehands.transfer.rows import PART_PARCELS
from safehands.transfer.shards import HandoverShard, Ready, end_shards, rekey, run_key, shards_of

__all__ = ["TransferRun", "check_ready", "transfer_run"]


@dataclass(frozen=True)
class TransferRun:
    """One hand-over that is carried out.

    ``becomes``: the seller's station code → the buyer's. ``day``: the business date.
    ``part_parcels``: parcels of a shard.
    """

    inst: Installation
    asked: Asked
    becomes: Mapping[str, str]
    day: date
    form: Literal["package", "xlsx"] = "package"
    part_parcels: int = PART_PARCELS

    def buyer_here(self) -> bool:
        """Say whether the buyer is here too: the package's key is one of this installation's."""
        name = self._identity()
        try:
            return bool(name) and age.recipient(self.inst.provider, name) == self._recipient()
        except KeyProblem:
            return False

    def shards(self) -> list[HandoverShard]:
        """Return the shards to be re-keyed; none once it is packaged.

        Raises ``HandoverRefused`` for what would stop it later: no approval or one that has lapsed,
        no evidence of closing, a day before closing, no key or name of the buyer's, or a station of
        which nobody said what it becomes at a buyer who is here; ``GateClosed`` while a rule
        blocks; ``PolicyError`` where ``transfer.yaml`` and the package differ.
        """
        self._recipient()
        if self.form == "package" and self.buyer_here():
            self._stations()
        order = self._order()
        found = shards_of(self.inst.store, order, self.day)
        check_ready(self.inst, order, self.day)
        return found

    def rekey(self, shard: HandoverShard) -> HandoverShard:
        """Re-key one shard. Raises as ``shards.rekey`` does."""
        asked, inst = self.asked, self.inst
        key = run_key(inst.provider, asked.id)
        return rekey(inst.store, asked.seller, asked.request.stations, shard, self._work(), key)

    def package(self, shards: Iterable[HandoverShard]) -> tuple[Packaged, int]:
        """Seal the package; return it, and how many shards went into it as they were made before.

        Raises what ``check_ready`` and ``make_package`` raise.
        """
        asked, inst = self.asked, self.inst
        order = self._order()
        check_ready(inst, order, self.day)
        ready = Ready(shards, run_key(inst.provider, asked.id))
        made = make_package(inst.store, order, self._file("package.age"), inst.clock(), ready)
        return made, ready.used

    def receive(self) -> dict[str, Any]:
        """Receive at the buyer, sign the receipt there, accept it at the seller; return its body.

        Raises what ``receive_package`` and ``accept_receipt`` raise.
        """
        inst, asked = self.inst, self.asked
        buyer = owners(inst.store)[asked.request.buyer]
        signer = journal.signing_key(inst.provider).verifier
        how = Reception(
            buyer,
            age.identity(inst.provider, self._identity()),
            signer,
            self._stations(),
            inst.policy.reissue_after_days,
            f"receive-{self.day}",
            self.day,
        )
        sealed = self._file("package.age").read_bytes()
        body = receive_package(inst.store, sealed, how, inst.clock())
        document = sign_receipt(inst.store, buyer, str(asked.id), inst.clock())
        keep_certificate(self._file("receipt.json"), document)
        accept_receipt(inst.store, asked.seller, asked.id, document, signer, inst.clock())
        return body

    def reconcile(self) -> dict[str, Any]:
        """Reconcile to the row; raises what ``receipt.reconcile`` raises."""
        inst, asked = self.inst, self.asked
        return reconcile(inst.store, asked.seller, asked.id, asked.request.stations, inst.clock())

    def close(self) -> bool:
        """Destroy the shards' key and remove their files; return whether there was a key."""
        return end_shards(self.inst.provider, self.asked.id, self._work())

    def _order(self) -> Order:
        asked = self.asked
        with self.inst.store.begin(controller=asked.seller.id) as connection:
            signed = buyers_answer(connection, asked.id)
        return Order(
            asked.id,
            asked.seller,
            asked.request.stations,
            asked.request.buyer or signed.get("buyer", ""),
            self._recipient(),
            form=self.form,
            part_parcels=self.part_parcels,
            day=self.day,
        )

    def _work(self) -> Path:
        """Return where the shards lie, encrypted, until the package is sealed."""
        return self.inst.settings.work / f"handover-{self.asked.id}"

    def _file(self, name: str) -> Path:
        return folder_of(self.inst, self.asked.id) / name

    def _identity(self) -> str:
        buyer = self.asked.request.buyer
        return f"transfer-identity/{buyer}" if buyer else ""

    def _recipient(self) -> str:
        recipient = self.asked.request.buyer_key
        if not recipient:
            raise HandoverRefused("transfer.no_recipient")
        return recipient

    def _stations(self) -> dict[str, str]:
        stations = self.asked.request.stations
        lacking = [code for code in stations if code not in self.becomes]
        if lacking:
            raise HandoverRefused("transfer.becomes", stations=", ".join(sorted(lacking)))
        return {code: self.becomes[code] for code in stations}


def check_ready(inst: Installation, order: Order, day: date) -> None:
    """Raise unless what was approved may be packaged on ``day``; not once it is packaged.

    Raises what ``approvals.check_still`` raises, and ``PolicyError`` where ``transfer.yaml`` says
    another fate of a column than the package gives it.
    """
    with inst.store.begin(controller=order.seller.id) as connection:
        made = packaged(connection, order.handover)
    if made is None:
        check_policy(load_transfer_policy(inst.settings.policy))
        check_still(inst, order.handover, day)


def transfer_run(
    inst: Installation,
    handover: UUID,
    day: date,
    becomes: Mapping[str, str] | None = None,
    form: Literal["package", "xlsx"] = "package",
    part_parcels: int = PART_PARCELS,
) -> TransferRun:
    """Return what the request of a hand-over says. Raises ``HandoverRefused`` if there is none."""
    return TransferRun(inst, known(inst, handover)[1], dict(becomes or {}), day, form, part_parcels)
