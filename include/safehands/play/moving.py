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
from safehands.play.office import document
from safehands.play.town import Calendar
from safehands.store.register import owners
from safehands.transfer.certificate import BY_HAND, Declaration, certify
from safehands.transfer.cutover import Cut, cut_over
from safehands.transfer.evidence_bundle import make_bundle
from safehands.transfer.freeze import freeze
from safehands.transfer.order import Order
from safehands.transfer.package import make_package
from safehands.transfer.receipt import accept_receipt, reconcile, sign_receipt
from safehands.transfer.receive import Reception, receive_package
from safehands.transfer.revocation import OPENS, Access, Checklist, revoke
from safehands.transfer.stocktake import accept_stock, buyers_stock, sellers_stock
from safehands.transfer.waiting import settle

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
        """Do it all; a case that moves nothing only erases, a share deal not even that."""
        if self.case.mode == "share_deal":
            self.certify()
            self.tell("play.unmoved")
            return
        if self.case.moves:
            self.send()
            self.take()
            self.compare()
        self.close()
        self.cut()
        pipeline.finish_erasures(self.inst, self.clock.day)
        self.certify()
        self.tell("play.certified")

    def send(self) -> None:
        """Seal the package to the buyer's key."""
        order, path = self._order(), self._file("package.age")
        made = make_package(self.inst.store, order, path, self.clock())
        stopped, digest = dict(made.taken_out), made.digest[:16]
        self.tell("play.packaged", counts=dict(made.counts), digest=digest, stopped=stopped)

    def take(self) -> None:
        """Receive at the buyer, sign the receipt there, accept it at the seller."""
        store, provider = self.inst.store, self.inst.provider
        buyer, now = owners(store)[self.case.buyer], self.clock()
        signer, how = journal.signing_key(provider).verifier, self._reception()
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

    def close(self) -> None:
        """Freeze, take stock of what waits on the shelf, and keep the seller's proof."""
        store, seller, now = self.inst.store, self.asked.seller, self.clock()
        this, stations = self.asked.id, self.asked.request.stations
        freeze(store, seller, this, stations, "wang.li", now)
        if self.case.moves:
            self.count()
        make_bundle(store, seller, this, self._file("evidence.age"), now)
        settle(store, seller, this, stations, "wang.li", self.clock.day, now)

    def count(self) -> None:
        """Both go along the shelves with the list, sign it, and the seller keeps the buyer's."""
        store, now = self.inst.store, self.clock()
        sheet, theirs = self._file("stock-seller.html"), self._file("stock-buyer.html")
        mine = sellers_stock(store, self._order(), "wang.li", 0, sheet, now)
        keep_certificate(self._file("stock-seller.json"), mine)
        sealed = self._file("package.age").read_bytes()
        signer = journal.signing_key(self.inst.provider).verifier
        given = buyers_stock(store, sealed, [], self._reception(), "chen.fang", 0, theirs, now)
        keep_certificate(self._file("stock-buyer.json"), given)
        body = accept_stock(store, self.asked.id, given, signer, now)
        self.tell("play.counted", parcels=body["parcels"], shelves=body["shelves"])

    def cut(self) -> None:
        """Erase what the seller may not keep."""
        store, seller, now = self.inst.store, self.asked.seller, self.clock()
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

    def certify(self) -> None:
        """End every account, declare by hand what no program sees, and sign the certificate."""
        store, seller, now, day = self.inst.store, self.asked.seller, self.clock(), self.clock.day
        proof = document(self.inst.settings.home / "papers", "access", "账号停用 / accounts ended")
        ended = Checklist(
            accounts=tuple(
                Access(
                    opens=what,
                    account="staff",
                    done="revoked",
                    by="wang.li",
                    day=day,
                    evidence=proof,
                )
                for what in OPENS
            )
        )
        revoke(store, seller, self.asked.id, ended, now)
        said = {what: Declaration("wang.li", day, "erased") for what in BY_HAND}
        made = certify(store, seller, self.asked.id, said, now)
        keep_certificate(self._file("certificate.json"), made)

    def _order(self) -> Order:
        request = self.asked.request
        return Order(
            self.asked.id, self.asked.seller, request.stations, request.buyer, request.buyer_key
        )

    def _reception(self) -> Reception:
        store, provider = self.inst.store, self.inst.provider
        buyer = owners(store)[self.case.buyer]
        return Reception(
            buyer,
            age.identity(provider, f"transfer-identity/{buyer.code}"),
            journal.signing_key(provider).verifier,
            {self.case.station: self.case.becomes},
            self.inst.policy.reissue_after_days,
            f"receive-{self.clock.day}",
            self.clock.day,
        )

    def _file(self, name: str) -> Path:
        return self.folder / name
