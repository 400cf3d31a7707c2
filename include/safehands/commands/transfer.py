"""``safehands handover package`` and on: what moves in a hand-over, step by step and by hand.

Files and public keys go between the two parties; no option and no line names a customer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from safehands.commands.call import Call, leaf
from safehands.commands.transfer_call import done, filled, owner_of, pairs, reception
from safehands.commands.transfer_end import WORK
from safehands.messages import say

__all__ = ["members"]

_PAPERS = ("closing_evidence", "handler_confirmation", "poster_hung")
_DONE = ("erased", "returned", "none", "kept")
_DECLARED = re.compile(rf"(?P<done>{'|'.join(_DONE)})(@(?P<on>[0-9-]{{10}}))?(:(?P<by>.+))?")


def members(lang: str) -> dict[str, click.Command]:
    """Return the commands by name; ``safehands handover`` lists them among its own steps.

    What the request says already (owner, stations, the buyer's code and key, where documents lie,
    until when law keeps) need not be said again.
    """

    def option(name: str, **more: Any) -> click.Option:
        asked = {"required": True, **more}
        return click.Option([f"--{name}"], help=say(f"cli.transfer.option.{name}", lang), **asked)

    handover = click.Argument(["handover"], type=click.UUID)
    owner = option("owner", required=False)
    station = option("station", multiple=True, required=False)
    given = option("file", type=click.Path(path_type=Path), required=False)
    signer, by = option("signer"), option("by")
    until = option("until", type=click.DateTime(["%Y-%m-%d"]), required=False)
    buyer, recipient = option("buyer", required=False), option("recipient", required=False)
    form = option("form", type=click.Choice(["package", "xlsx"]), default="package", required=False)
    made: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "key": (_key, (owner,)),
        "package": (
            _package,
            (handover, owner, station, buyer, recipient, form, given),
        ),
        "receive": (_receive, (owner, signer, station, given)),
        "receipt": (_receipt, (handover, owner, given)),
        "accept": (_accept, (handover, owner, signer, given)),
        "bundle": (_bundle, (handover, owner, given)),
        "reconcile": (_reconcile, (handover, owner, station)),
        "cutover": (_cutover, (handover, owner, station, until, by)),
        "certify": (
            _certify,
            (handover, owner, by, option("declared", multiple=True), given),
        ),
    }
    path = click.Path(path_type=Path)
    more: dict[str, click.Parameter] = {
        "handover": handover,
        "owner": owner,
        "station": station,
        "file": given,
        "signer": signer,
        "by": by,
        "buyer": buyer,
        "recipient": recipient,
        "what": option("what", type=click.Choice(_PAPERS)),
        "sha256": option("sha256"),
        "package": option("package", type=path, required=False),
        "delta": option("delta", type=path, multiple=True, required=False),
        "form": form,
        "number": option("number", type=int),
        "parcels": option("parcels", type=int),
        "missing": option("missing", type=int, default=0, required=False),
        "page": option("page", type=path),
    }
    made |= {
        name: (work, tuple(more[one] for one in names)) for name, (work, names) in WORK.items()
    }
    return {
        name: leaf(name, lang, f"cli.transfer.{name}", filled(name, work), *params)
        for name, (work, params) in made.items()
    }


def _key(call: Call, owner: str) -> None:
    from safehands import journal
    from safehands.keys import age

    with call.installation() as inst:
        recipient = age.make_identity(
            inst.provider, f"transfer-identity/{owner_of(inst, owner).code}"
        )
        signer = str(journal.signing_key(inst.provider).verifier)
    call.line(json.dumps({"recipient": recipient, "signer": signer}))


def _package(
    call: Call,
    handover: UUID,
    owner: str,
    station: tuple[str, ...],
    buyer: str,
    recipient: str,
    form: Any,
    file: Path,
) -> None:
    from safehands.transfer.order import Order
    from safehands.transfer.package import make_package
    from safehands.transfer.run import check_ready

    with call.installation() as inst:
        seller, day = owner_of(inst, owner), call.day
        order = Order(handover, seller, station, buyer, recipient, form=form, day=day)

        def work() -> Any:
            check_ready(inst, order, day)
            return make_package(inst.store, order, file, inst.clock())

        done(call, inst, work)


def _receive(call: Call, owner: str, signer: str, station: tuple[str, ...], file: Path) -> None:
    from safehands.transfer.receive import receive_package

    with call.installation() as inst:

        def work() -> Any:
            how = reception(call, inst, owner, signer, station)
            return receive_package(inst.store, file.read_bytes(), how, inst.clock())

        done(call, inst, work)


def _receipt(call: Call, handover: UUID, owner: str, file: Path) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.receipt import sign_receipt

    with call.installation() as inst:
        buyer, now = owner_of(inst, owner), inst.clock()

        def work() -> None:
            keep_certificate(file, sign_receipt(inst.store, buyer, str(handover), now))

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=file.name))


def _accept(call: Call, handover: UUID, owner: str, signer: str, file: Path) -> None:
    from safehands.ledger import VerifierKey, load_document
    from safehands.transfer.receipt import accept_receipt

    with call.installation() as inst:
        seller = owner_of(inst, owner)

        def work() -> Any:
            document = load_document(file.read_text(encoding="utf-8"))
            key = VerifierKey.parse(signer)
            return accept_receipt(inst.store, seller, handover, document, key, inst.clock())

        done(call, inst, work)


def _bundle(call: Call, handover: UUID, owner: str, file: Path) -> None:
    from safehands.transfer.evidence_bundle import make_bundle

    with call.installation() as inst:
        seller = owner_of(inst, owner)
        done(call, inst, lambda: make_bundle(inst.store, seller, handover, file, inst.clock()))


def _reconcile(call: Call, handover: UUID, owner: str, station: tuple[str, ...]) -> None:
    from safehands.transfer.receipt import reconcile

    with call.installation() as inst:
        seller = owner_of(inst, owner)
        done(call, inst, lambda: reconcile(inst.store, seller, handover, station, inst.clock()))


def _cutover(
    call: Call, handover: UUID, owner: str, station: tuple[str, ...], until: Any, by: str
) -> None:
    from safehands.handover.approvals import check_still
    from safehands.handover.state import load
    from safehands.transfer.cutover import Cut, cut_over

    with call.installation() as inst:
        run = f"handover-{handover}"
        cut = Cut(handover, owner_of(inst, owner), station, until.date(), by, run, call.day)
        archive = inst.settings.archive

        def work() -> Any:
            with inst.store.begin() as connection:
                state = load(connection, handover).state
            if state == "approved":
                # Nothing was packaged: the erasure rests on the approval alone.
                check_still(inst, handover, call.day)
            return cut_over(inst.store, cut, inst.policy, archive, inst.clock())

        done(call, inst, work)


def _certify(
    call: Call, handover: UUID, owner: str, by: str, declared: tuple[str, ...], file: Path
) -> None:
    from safehands.certificates import keep_certificate
    from safehands.transfer.certificate import Declaration, certify
    from safehands.vault.access import check_staff

    said = {what: _said(word, by, call.day) for what, word in pairs(declared).items()}
    with call.installation() as inst:
        seller, now = owner_of(inst, owner), inst.clock()
        words = {what: Declaration(**one) for what, one in said.items()}

        def work() -> None:
            for one in words.values():
                check_staff(one.by)
            keep_certificate(file, certify(inst.store, seller, handover, words, now))

        done(call, inst, work)
    call.line(call.say("cli.transfer.written", file=file.name))


def _said(word: str, by: str, today: date) -> dict[str, Any]:
    """Return what was done, on which day and by whom, of ``DONE[@DAY][:STAFF]``.

    Who signs the certificate and its day stand for what is not said. Raises ``UsageError`` for
    another word, and for a day that is none or is still to come.
    """
    found = _DECLARED.fullmatch(word)
    try:
        day = date.fromisoformat(found["on"]) if found and found["on"] else today
    except ValueError:
        found, day = None, today
    if found is None or day > today:
        raise click.UsageError(f"--declared WHAT={'|'.join(_DONE)}[@YYYY-MM-DD][:STAFF]")
    return {"by": found["by"] or by, "on": day, "done": found["done"]}
