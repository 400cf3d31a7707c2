"""``safehands handover``: what follows the package, up to the cut-over, and after an abort."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from safehands.commands.call import Call
from safehands.commands.transfer_call import done, owner_of, reception

if TYPE_CHECKING:
    from safehands.transfer.order import Order

__all__ = ["WORK"]


def _paper(call: Call, handover: UUID, owner: str, what: Any, sha256: str, by: str) -> None:
    from safehands.transfer.papers import bring

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(
            call,
            inst,
            lambda: bring(inst.store, seller, handover, what, sha256, call.day, by, now),
        )


def _freeze(call: Call, handover: UUID, owner: str, station: tuple[str, ...], by: str) -> None:
    from safehands.transfer.freeze import freeze

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(call, inst, lambda: freeze(inst.store, seller, handover, station, by, now))


def _last_load(call: Call, handover: UUID, owner: str, station: tuple[str, ...], by: str) -> None:
    from safehands.transfer.freeze import last_load

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(call, inst, lambda: last_load(inst.store, seller, handover, station, by, now))


def _order(
    handover: UUID,
    seller: Any,
    station: tuple[str, ...],
    buyer: str,
    recipient: str,
    form: Any = "package",
) -> Order:
    from safehands.transfer.order import Order

    return Order(handover, seller, station, buyer, recipient, form=form)


def _delta(
    call: Call,
    handover: UUID,
    owner: str,
    station: tuple[str, ...],
    buyer: str,
    recipient: str,
    form: Any,
    package: Path,
    file: Path,
) -> None:
    from safehands.handover.answers import reclassify
    from safehands.handover.opening import known
    from safehands.transfer.delta import make_delta

    with call.installation() as inst:
        order = _order(handover, owner_of(inst, owner), station, buyer, recipient, form)

        def work() -> Any:
            # Whoever came since is put into a class first; the door only takes people out.
            reclassify(inst, known(inst, handover)[1], call.day)
            return make_delta(inst.store, order, package, file, inst.clock())

        done(call, inst, work)


def _receive_delta(
    call: Call, owner: str, signer: str, station: tuple[str, ...], package: Path, file: Path
) -> None:
    from safehands.transfer.receive_delta import receive_delta

    with call.installation() as inst:
        how = reception(call, inst, owner, signer, station)
        sealed, now = (package.read_bytes(), file.read_bytes()), inst.clock()
        done(call, inst, lambda: receive_delta(inst.store, *sealed, how, inst.policy, now))


def _delta_receipt(call: Call, handover: UUID, owner: str, number: int, file: Path) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.receipt import sign_delta

    with call.installation() as inst:
        buyer, now = owner_of(inst, owner), inst.clock()

        def work() -> None:
            keep_certificate(file, sign_delta(inst.store, buyer, str(handover), number, now))

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=file.name))


def _accept_delta(call: Call, handover: UUID, owner: str, signer: str, file: Path) -> None:
    from safehands.transfer.receipt import accept_delta

    _accept(call, owner, signer, file, accept_delta, handover)


def _accept_deletion(call: Call, handover: UUID, owner: str, signer: str, file: Path) -> None:
    from safehands.transfer.receipt import accept_deletion

    _accept(call, owner, signer, file, accept_deletion, handover)


def _accept(
    call: Call,
    owner: str,
    signer: str,
    file: Path,
    take: Callable[..., Any],
    handover: UUID,
) -> None:
    from safehands.ledger import VerifierKey, load_document

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()

        def work() -> Any:
            document = load_document(file.read_text(encoding="utf-8"))
            return take(inst.store, seller, handover, document, VerifierKey.parse(signer), now)

        done(call, inst, work)


def _accept_form(call: Call, handover: UUID, owner: str, by: str, file: Path) -> None:
    from safehands.transfer.form import read_form
    from safehands.transfer.receipt import accept_form

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(
            call,
            inst,
            lambda: accept_form(inst.store, seller, handover, read_form(file), by, now),
        )


def _stock(
    call: Call,
    handover: UUID,
    owner: str,
    station: tuple[str, ...],
    by: str,
    missing: int,
    page: Path,
    file: Path,
) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.stocktake import sellers_stock

    with call.installation() as inst:
        order, now = _order(handover, owner_of(inst, owner), station, "", ""), inst.clock()

        def work() -> None:
            keep_certificate(file, sellers_stock(inst.store, order, by, missing, page, now))

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=f"{page.name}, {file.name}"))


def _stock_buyer(
    call: Call,
    owner: str,
    signer: str,
    station: tuple[str, ...],
    package: Path,
    delta: tuple[Path, ...],
    by: str,
    missing: int,
    page: Path,
    file: Path,
) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.stocktake import buyers_stock

    with call.installation() as inst:
        how, now = reception(call, inst, owner, signer, station), inst.clock()

        def work() -> None:
            sealed, later = package.read_bytes(), [one.read_bytes() for one in delta]
            made = buyers_stock(inst.store, sealed, later, how, by, missing, page, now)
            keep_certificate(file, made)

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=f"{page.name}, {file.name}"))


def _accept_stock(call: Call, handover: UUID, signer: str, file: Path) -> None:
    from safehands.ledger import VerifierKey, load_document
    from safehands.transfer.stocktake import accept_stock

    with call.installation() as inst:
        now = inst.clock()

        def work() -> Any:
            document = load_document(file.read_text(encoding="utf-8"))
            return accept_stock(inst.store, handover, document, VerifierKey.parse(signer), now)

        done(call, inst, work)


def _stock_signed(
    call: Call, handover: UUID, owner: str, sha256: str, parcels: int, missing: int, by: str
) -> None:
    from safehands.transfer.stocktake import Sheet, accept_sheet

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        sheet = Sheet(sha256, call.day, parcels, missing)
        done(call, inst, lambda: accept_sheet(inst.store, seller, handover, sheet, by, now))


def _settle(call: Call, handover: UUID, owner: str, station: tuple[str, ...], by: str) -> None:
    from safehands.transfer.waiting import settle

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(call, inst, lambda: settle(inst.store, seller, handover, station, by, call.day, now))


def _revoke(call: Call, handover: UUID, owner: str, file: Path) -> None:
    from safehands.transfer.revocation import load_checklist, revoke

    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        done(call, inst, lambda: revoke(inst.store, seller, handover, load_checklist(file), now))


def _delete(
    call: Call, owner: str, signer: str, station: tuple[str, ...], package: Path, file: Path
) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.receipt import sign_deletion
    from safehands.transfer.receive_delta import delete_received

    with call.installation() as inst:
        how, now = reception(call, inst, owner, signer, station), inst.clock()

        def work() -> dict[str, Any]:
            body = delete_received(inst.store, package.read_bytes(), how, inst.policy, now)
            made = sign_deletion(inst.store, how.buyer, body["handover"], now)
            keep_certificate(file, made)
            return body

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=file.name))


def _prove(call: Call, handover: UUID, owner: str, by: str, file: Path) -> None:
    from safehands.transfer.evidence_bundle import prove

    phone = str(click.prompt(call.say("cli.vault.prompt.phone"), hide_input=True, err=True))
    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        sealed = file.read_bytes()
        done(call, inst, lambda: prove(inst.store, seller, handover, sealed, phone, by, now))


_SELLER, _BUYER = ("handover", "owner"), ("owner", "signer", "station", "package")
WORK: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "paper": (_paper, (*_SELLER, "what", "sha256", "by")),
    "freeze": (_freeze, (*_SELLER, "station", "by")),
    "last-load": (_last_load, (*_SELLER, "station", "by")),
    "delta": (_delta, (*_SELLER, "station", "buyer", "recipient", "form", "package", "file")),
    "receive-delta": (_receive_delta, (*_BUYER, "file")),
    "delta-receipt": (_delta_receipt, (*_SELLER, "number", "file")),
    "accept-delta": (_accept_delta, (*_SELLER, "signer", "file")),
    "accept-form": (_accept_form, (*_SELLER, "by", "file")),
    "stock": (_stock, (*_SELLER, "station", "by", "missing", "page", "file")),
    "stock-buyer": (_stock_buyer, (*_BUYER, "delta", "by", "missing", "page", "file")),
    "accept-stock": (_accept_stock, ("handover", "signer", "file")),
    "stock-signed": (_stock_signed, (*_SELLER, "sha256", "parcels", "missing", "by")),
    "prove": (_prove, (*_SELLER, "by", "file")),
    "settle": (_settle, (*_SELLER, "station", "by")),
    "revoke": (_revoke, (*_SELLER, "file")),
    "delete": (_delete, (*_BUYER, "file")),
    "accept-deletion": (_accept_deletion, (*_SELLER, "signer", "file")),
}
"""Command → what it does and the options it takes."""
