"""A seller with two stations, a buyer with one, and a hand-over of the seller's first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from minimised import World, at, collected, parcel, preference
from safehands import backup, erasure, journal
from safehands.handover.classify import campaign
from safehands.handover.state import PATHS, advance, load
from safehands.keys import age
from safehands.ledger import VerifierKey
from safehands.transfer.cutover import Cut, cut_over
from safehands.transfer.delta import Delta, make_delta
from safehands.transfer.evidence_bundle import Bundle, make_bundle
from safehands.transfer.freeze import freeze
from safehands.transfer.order import Order
from safehands.transfer.package import Packaged, make_package
from safehands.transfer.papers import bring
from safehands.transfer.receipt import (
    accept_delta,
    accept_receipt,
    reconcile,
    sign_delta,
    sign_receipt,
)
from safehands.transfer.receive import Reception, receive_package
from safehands.transfer.receive_delta import receive_delta
from safehands.transfer.stocktake import accept_stock, buyers_stock, sellers_stock
from safehands.transfer.waiting import settle

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
    stations: tuple[str, ...] = ("A1",)
    day: date | None = None

    @property
    def moves(self) -> bool:
        return "packaged" in PATHS[self.mode]  # type: ignore[index]

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
        self.say_yes()
        bring(
            store,
            seller,
            self.id,
            "closing_evidence",
            "ab" * 32,
            self.world.night.business_date,
            "wang.li",
            self.world.now,
        )

    def say_yes(self) -> None:
        """Everybody who is to move has agreed to this hand-over."""
        values = {"id": self.id, "campaign": campaign(self.id), "now": self.world.now}
        with self.world.store.admin().begin() as connection:
            connection.execute(text(_YES), values)

    def package(self) -> Packaged:
        return make_package(self.world.store, self.order(), self.path, self.world.now)

    def order(self) -> Order:
        who = self.world.owner()
        return Order(self.id, who, self.stations, "B", self.recipient(), day=self.day)

    def reception(self, **changes: Any) -> Reception:
        given = Reception(
            self.buyer.owner("B"),
            age.identity(self.buyer.store.provider, BUYER_KEY),
            self.verifier,
            dict.fromkeys(self.stations, "B1"),
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
        return reconcile(store, seller, self.id, self.stations, self.world.now)

    def bundle(self) -> Bundle:
        store, path = self.world.store, self.path.with_suffix(".evidence")
        return make_bundle(store, self.world.owner(), self.id, path, self.world.now)

    def freeze(self) -> None:
        """Freeze the station and let both take stock of what waits and moves."""
        store, seller, now = self.world.store, self.world.owner(), self.world.now
        freeze(store, seller, self.id, self.stations, "wang.li", now)

    def delta(self, number: int = 1) -> Delta:
        self.freeze()
        file = self.path.with_name(f"delta-{number}.age")
        return make_delta(self.world.store, self.order(), self.path, file, self.world.now)

    def receive_delta(self, number: int = 1) -> dict[str, Any]:
        file = self.path.with_name(f"delta-{number}.age")
        return receive_delta(
            self.buyer.store,
            self.path.read_bytes(),
            file.read_bytes(),
            self.reception(),
            self.buyer.night.policy,
            self.buyer.now,
        )

    def accept_delta(self, number: int = 1) -> dict[str, Any]:
        buyer, now = self.buyer.owner("B"), self.buyer.now
        document = sign_delta(self.buyer.store, buyer, str(self.id), number, now)
        store, seller = self.world.store, self.world.owner()
        return accept_delta(store, seller, self.id, document, self.buyers_verifier, now)

    def stock(self, deltas: int = 0, missing: int = 0) -> None:
        """Both take stock, and the seller keeps the buyer's."""
        pages = (self.path.with_name(f"stock-{who}.html") for who in ("seller", "buyer"))
        one, other = pages
        sellers_stock(self.world.store, self.order(), "wang.li", missing, one, self.world.now)
        files = [self.path.with_name(f"delta-{n}.age").read_bytes() for n in range(1, deltas + 1)]
        document = buyers_stock(
            self.buyer.store,
            self.path.read_bytes(),
            files,
            self.reception(),
            "chen.fang",
            0,
            other,
            self.buyer.now,
        )
        accept_stock(self.world.store, self.id, document, self.buyers_verifier, self.world.now)

    def ready(self) -> None:
        """Do all that the cut-over waits for: freeze, stock-take, bundle, parcels settled."""
        self.freeze()
        if self.moves and self.state() == "reconciled":
            self.stock()
        self.bundle()
        store, seller, now = self.world.store, self.world.owner(), self.world.now
        settle(
            store, seller, self.id, self.stations, "wang.li", self.world.night.business_date, now
        )

    def cut(self) -> dict[str, Any]:
        if self.state() in ("approved", "reconciled"):
            self.ready()
        return self.cut_alone()

    def cut_alone(self) -> dict[str, Any]:
        night = self.world.night
        day = self.day or night.business_date
        order = Cut(
            self.id,
            self.world.owner(),
            self.stations,
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
_YES = (
    "INSERT INTO consent_event (controller_id, subject_id, kind, purpose, separate, notice, terms,"
    " channel, evidence, guardian, campaign, at, recorded_at, by_whom, source)"
    " SELECT controller_id, subject_id, 'granted', 'handover', true, 1, 'x', 'paper', 'sheet-1',"
    " '', :campaign, :now, :now, 'wang.li', '' FROM handover_subject"
    " WHERE handover_id = :id AND class = 'transferred'"
)
_LIST = "INSERT INTO handover_subject VALUES (:id, :seller, :who, :class)"
CLASSES = {
    PHONES[0]: "transferred",
    PHONES[1]: "refused",
    PHONES[2]: "silent",
    PHONES[3]: "kept_by_law",
    PHONES[4]: "served_elsewhere",
    PHONES[5]: "transferred",
}
