"""A seller with two stations, a buyer with one, and a hand-over of the seller's first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from minimised import World, at, collected, parcel, preference
from safehands import backup, erasure, journal
from safehands.handover.state import PATHS, advance, load
from safehands.keys import age
from safehands.ledger import VerifierKey
from safehands.transfer.cutover import Cut, cut_over
from safehands.transfer.evidence_bundle import Bundle, make_bundle
from safehands.transfer.package import Order, Packaged, make_package
from safehands.transfer.receipt import accept_receipt, reconcile, sign_receipt
from safehands.transfer.receive import Reception, receive_package

BUYER_KEY = "transfer-identity/B"
PHONES = [f"1380000{n:04d}" for n in range(100)]


@dataclass
class Deal:
    """One hand-over of A1 from A to B; ``buyer`` may be another installation's world."""

    world: World
    buyer: World
    path: Path
    id: UUID = field(default_factory=uuid4)
    mode: str = "asset_deal"

    @property
    def verifier(self) -> VerifierKey:
        return journal.signing_key(self.world.store.provider).verifier

    @property
    def buyers_verifier(self) -> VerifierKey:
        return journal.signing_key(self.buyer.store.provider).verifier

    def recipient(self) -> str:
        return age.make_identity(self.buyer.store.provider, BUYER_KEY)

    def approved(self, classes: Mapping[str, str], *, until: str = "approved") -> None:
        """Draft the hand-over, list the people by phone and walk to ``until``."""
        store, seller = self.world.store, self.world.owner()
        values = {"id": self.id, "seller": seller.id, "mode": self.mode, "now": self.world.now}
        with store.begin(controller=seller.id, storage=True) as connection:
            connection.execute(text(_DRAFT), {**values, "digest": str(self.id)})
            for phone, name in classes.items():
                known, _ = erasure.find_subjects(store, seller, phone, every_holder=True)
                for subject in known:
                    row = {"id": self.id, "seller": seller.id, "who": subject, "class": name}
                    connection.execute(text(_LIST), row)
            path: Any = PATHS[self.mode]  # type: ignore[index]
            for state in path[1 : path.index(until) + 1]:
                advance(connection, self.id, state, {"test": state}, self.world.now)

    def package(self) -> Packaged:
        return make_package(self.world.store, self.order(), self.path, self.world.now)

    def order(self) -> Order:
        return Order(self.id, self.world.owner(), ("A1",), "B", self.recipient())

    def reception(self, **changes: Any) -> Reception:
        given = Reception(
            self.buyer.owner("B"),
            age.identity(self.buyer.store.provider, BUYER_KEY),
            self.verifier,
            {"A1": "B1"},
            180,
            "receive-test",
            self.buyer.night.business_date,
        )
        return replace(given, **changes)

    def receive(self) -> dict[str, Any]:
        sealed = self.path.read_bytes()
        return receive_package(self.buyer.store, sealed, self.reception(), self.buyer.now)

    def accept(self) -> dict[str, Any]:
        document = sign_receipt(
            self.buyer.store, self.buyer.owner("B"), str(self.id), self.buyer.now
        )
        store, seller = self.world.store, self.world.owner()
        signer = self.buyers_verifier
        return accept_receipt(store, seller, self.id, document, signer, self.world.now)

    def reconcile(self) -> dict[str, Any]:
        store, seller = self.world.store, self.world.owner()
        return reconcile(store, seller, self.id, ("A1",), self.world.now)

    def bundle(self) -> Bundle:
        store, path = self.world.store, self.path.with_suffix(".evidence")
        return make_bundle(store, self.world.owner(), self.id, path, self.world.now)

    def cut(self) -> dict[str, Any]:
        self.bundle()
        night = self.world.night
        day = night.business_date
        order = Cut(
            self.id,
            self.world.owner(),
            ("A1",),
            day.replace(year=day.year + 3),
            "wang.li",
            "cutover-test",
            day,
        )
        archive = night.settings.home / "archive"
        return cut_over(self.world.store, order, night.policy, archive, self.world.now)

    def finish(self) -> None:
        """Open the epoch, back up, prove, destroy the old key."""
        night, store, now = self.world.night, self.world.store, self.world.now
        erasure.turn_epoch(store, self.world.owner(), night.run, night.business_date, now)
        backup.backup(night, store, now)
        erasure.prove(night, store, now)

    def whole(self) -> dict[str, Any]:
        self.package()
        self.receive()
        self.accept()
        self.reconcile()
        return self.cut()

    def state(self) -> str:
        with self.world.store.begin() as connection:
            return load(connection, self.id).state


def deal_of(world: World, path: Path, buyer: World | None = None) -> Deal:
    """Give both installations a backup identity and load the seller's and the buyer's people."""
    for one in (world, buyer or world):
        provider = one.store.provider
        recipients = provider.first / "backup-recipients.txt"
        recipients.write_text(age.make_identity(provider) + "\n", encoding="ascii")
    return Deal(world, buyer or world, path)


def people_of_a(world: World) -> None:
    """Six people at A1; the fifth at A2 as well, the sixth waits for a parcel; one of nobody."""
    rows, wishes = [], []
    for n, phone in enumerate(PHONES[:6]):
        for i in range(n + 1):
            rows.append(collected(f"A{n}-{i}", at(2026, 11, 1 + i), receiver_phone=phone))
        wishes.append(preference(at(2026, 11, 2), receiver_phone=phone))
    rows.append(parcel("WAIT-1", at(2026, 11, 20), receiver_phone=PHONES[5]))
    rows.append(parcel("WAIT-2", at(2026, 11, 20), receiver_phone=None, receiver_name=None))
    rows.append(collected("LOOSE", at(2026, 11, 3), receiver_phone=None, receiver_name=None))
    world.load(rows, preferences=wishes)
    world.load([collected("Z2-1", at(2026, 11, 5), receiver_phone=PHONES[4])], stations=("A2",))


_DRAFT = "INSERT INTO handover VALUES (:id, :seller, :mode, 'drafted', '{}', :digest, :now, :now)"
_LIST = "INSERT INTO handover_subject VALUES (:id, :seller, :who, :class)"
CLASSES = {
    PHONES[0]: "transferred",
    PHONES[1]: "refused",
    PHONES[2]: "silent",
    PHONES[3]: "kept_by_law",
    PHONES[4]: "served_elsewhere",
    PHONES[5]: "transferred",
}
