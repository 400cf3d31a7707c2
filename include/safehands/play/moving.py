"""The moving half of a case: package, receive, receipt, reconcile, cut over, erase, certify."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safehands import journal, pipeline
from safehands.certificates import keep_certificate
from safehands.handover.opening import Asked
from safehands.installation import Installation
from safehands.keys import age
from safehands.play.cases import Case
from safehands.play.town import Calendar
from safehands.store.register import owners
from safehands.transfer.certificate import BY_HAND, Declaration, certify
from safehands.transfer.cutover import Cut, cut_over
from safehands.transfer.evidence_bundle import make_bundle
from safehands.transfer.package import Order, make_package
from safehands.transfer.receipt import accept_receipt, reconcile, sign_receipt
from safehands.transfer.receive import Reception, receive_package

__all__ = ["Move"]


@dataclass
class Move:
    """What happens to the data of one approved case, both owners in one installation."""

    inst: Installation
    clock: Calendar
    case: Case
    asked: Asked
    folder: Path
    tell: Any

    def whole(self) -> None:
        """Do it all; a case that moves nothing only erases."""
        if self.case.moves:
            self.send()
            self.take()
            self.compare()
        self.cut()
        self.prove()

    def send(self) -> None:
        """Seal the package to the buyer's key."""
        request, seller = self.asked.request, self.asked.seller
        order = Order(self.asked.id, seller, request.stations, request.buyer, request.buyer_key)
        made = make_package(self.inst.store, order, self._file("package.age"), self.clock())
        self.tell("play.packaged", counts=dict(made.counts), digest=made.digest[:16])

    def take(self) -> None:
        """Receive at the buyer, sign the receipt there, accept it at the seller."""
        store, provider = self.inst.store, self.inst.provider
        buyer, now = owners(store)[self.case.buyer], self.clock()
        signer = journal.signing_key(provider).verifier
        how = Reception(
            buyer,
            age.identity(provider, f"transfer-identity/{buyer.code}"),
            signer,
            {self.case.station: self.case.becomes},
            self.inst.policy.reissue_after_days,
            f"receive-{self.clock.day}",
            self.clock.day,
        )
        body = receive_package(store, self._file("package.age").read_bytes(), how, now)
        document = sign_receipt(store, buyer, str(self.asked.id), now)
        keep_certificate(self._file("receipt.json"), document)
        accept_receipt(store, self.asked.seller, self.asked.id, document, signer, now)
        self.tell("play.received", **body["received"]["person"])

    def compare(self) -> None:
        """Reconcile to the row."""
        request = self.asked.request
        reconcile(self.inst.store, self.asked.seller, self.asked.id, request.stations, self.clock())
        self.tell("play.reconciled")

    def cut(self) -> None:
        """Keep the seller's proof, then erase what the seller may not keep."""
        store, seller, now = self.inst.store, self.asked.seller, self.clock()
        make_bundle(store, seller, self.asked.id, self._file("evidence.age"), now)
        day = self.clock.day
        cut = Cut(
            self.asked.id,
            seller,
            self.asked.request.stations,
            day.replace(year=day.year + 3),
            "wang.li",
            f"handover-{self.asked.id}",
            day,
        )
        facts = cut_over(store, cut, self.inst.policy, self.inst.settings.archive, now)
        self.tell("play.cut", erased=facts["erased"], restricted=facts["restricted"])

    def prove(self) -> None:
        """New epoch, backup, proof; then the certificate with what is declared by hand."""
        pipeline.finish_erasures(self.inst, self.clock.day)
        store, now = self.inst.store, self.clock()
        said = {what: Declaration("wang.li", self.clock.day, "erased") for what in BY_HAND}
        document = certify(store, self.asked.seller, self.asked.id, said, now)
        keep_certificate(self._file("certificate.json"), document)
        self.tell("play.certified")

    def _file(self, name: str) -> Path:
        return self.folder / name
