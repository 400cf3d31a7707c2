"""The stock-take: what waits at the counter on the day, shelf by shelf, signed by both.

Each party makes it from what it has itself: the seller from its store, the buyer from the package
and its own store. The list (waybill, shelf, masked name, last four digits) is printed and ticked at
the shelf; it stays with whoever made it. What is signed and exchanged holds a count and the digest
of the list alone, and the two are the same or nothing is cut over. A buyer without Safehands counts
at the shelf by the seller's list, and both sign a sheet by hand that holds nothing personal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import journal
from safehands.certificates import certificate
from safehands.errors import HandoverRefused
from safehands.handover import state
from safehands.handover.pages import page
from safehands.keys.pairing import PairKey
from safehands.ledger import Json, VerifierKey, body_digest, canonical_json, verify_document
from safehands.messages import LANGUAGES, say
from safehands.store import Store, effects, lock
from safehands.store.register import Owner, open_ring
from safehands.transfer.files import write_whole
from safehands.transfer.imports import tokens_of
from safehands.transfer.opening import Opened, open_package
from safehands.transfer.order import Order, check_signer
from safehands.transfer.papers import DIGEST
from safehands.transfer.receipt import by_hand
from safehands.transfer.receive import Reception
from safehands.transfer.rows import Seen, read_slips
from safehands.transfer.standing import moved
from safehands.vault.access import check_staff

__all__ = [
    "KIND",
    "Sheet",
    "accept_sheet",
    "accept_stock",
    "buyers_stock",
    "check_stock",
    "sellers_stock",
    "sheet_path",
]

KIND, STEP = "stocktake", "handover_stocktake"
Party = Literal["seller", "buyer"]


@dataclass(frozen=True)
class Sheet:
    """A sheet that both signed by hand: SHA-256 of the scan, its day, counted and not found."""

    sha256: str
    on: date
    parcels: int
    missing: int


Line = tuple[str, str, str, str]
"""Shelf, waybill number, masked name, last four digits."""


def sellers_stock(
    store: Store, order: Order, by: str, missing: int, path: Path, now: datetime
) -> dict[str, Json]:
    """Write the seller's list to ``path`` (HTML, for printing); return the signed document.

    Beside it lies the sheet that a buyer without Safehands signs by hand (:func:`sheet_path`).
    ``missing``: how many of the list are not on the shelf. Made again it replaces the last one.
    """
    check_staff(by)
    seller, handover = order.seller, order.handover
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        known = state.load(connection, handover)
        if known.state not in ("packaged", "received", "reconciled"):
            raise HandoverRefused("transfer.no_stock_now", state=known.state)
        stations = {seller.stations[code]: code for code in order.stations}
        ring = open_ring(connection, store.provider, seller)
        names = PairKey(store.provider, str(handover))
        seen = Seen(handover, stations, ring, names, known.mode == "asset_deal")
        lines = sorted(_lines(read_slips(connection, seen)))
        body = _body(str(handover), "seller", lines, by, missing)
        if _note(connection, handover, "seller", body, now):
            run = f"handover-{handover}"
            facts = {"handover": str(handover), "parcels": len(lines)}
            journal.append(connection, "handover", run, now, facts, body_digest(KIND, body))
        write_whole(path, _page(lines, str(handover), "seller"))
        write_whole(sheet_path(path), _sheet(body))
    journal.sequence(store, now)
    return certificate(store, KIND, body)


def buyers_stock(
    store: Store,
    package: bytes,
    deltas: Sequence[bytes],
    how: Reception,
    by: str,
    missing: int,
    path: Path,
    now: datetime,
) -> dict[str, Json]:
    """Write the buyer's list; return the signed document for the seller.

    ``deltas``: all of them, in their order. Raises ``HandoverRefused`` when a parcel of the list is
    not in the buyer's own store: it could not be handed out.
    """
    check_staff(by)
    own = how.buyer.code
    opened = [open_package(package, how.identity, how.signer, own)]
    opened += [open_package(one, how.identity, how.signer, own, kind="delta") for one in deltas]
    handover = str(opened[0].manifest["handover"])
    with store.begin(controller=how.buyer.id, storage=True) as connection:
        ring = open_ring(connection, store.provider, how.buyer)
        tokens: dict[bytes, bytes] = {}
        for one in opened:
            for part in range(one.parts):
                tokens |= tokens_of(ring, one.part(part))
        waits = _still_waiting(opened)
        wanted = [UUID(bytes=tokens[name]) for name in waits]
        found = int(connection.execute(text(_HERE), {"tokens": wanted}).scalar_one())
        if found != len(wanted):
            raise HandoverRefused("transfer.slips_missing", count=len(wanted) - found)
        lines = sorted(waits.values())
        body = _body(handover, "buyer", lines, by, missing)
        claim = effects.Claim(STEP, f"{own}/{handover}", body_digest(KIND, body), "")
        if effects.make(connection, claim, body):
            facts = {"handover": handover, "parcels": len(lines)}
            journal.append(connection, "receive", how.run, now, facts, body_digest(KIND, body))
        write_whole(path, _page(lines, handover, "buyer"))
    journal.sequence(store, now)
    return certificate(store, KIND, body)


def accept_stock(
    store: Store, handover: UUID, document: Mapping[str, Any], signer: VerifierKey, now: datetime
) -> dict[str, Any]:
    """Keep the buyer's signed stock-take. Raises ``LedgerBroken``, ``HandoverRefused``."""
    found = verify_document(document, signer)
    body: dict[str, Any] = dict(found.body)
    if found.kind != KIND or body.get("handover") != str(handover) or body.get("party") != "buyer":
        raise HandoverRefused("transfer.other_receipt")
    with store.begin() as connection:
        check_signer(connection, handover, signer)
        _note(connection, handover, "buyer", body, now)
    return body


def accept_sheet(
    store: Store, seller: Owner, handover: UUID, sheet: Sheet, by: str, now: datetime
) -> dict[str, Any]:
    """Keep the sheet that a buyer without Safehands signed beside the seller; ``by``: who read it.

    It is a paper: its SHA-256, day and counts are kept, the scan stays outside. Raises
    ``HandoverRefused`` for a buyer who received with Safehands and so signs with it, before the
    seller took stock, and when counted and missing parcels are not those of the seller's list.
    """
    check_staff(by)
    if not DIGEST.fullmatch(sheet.sha256):
        raise HandoverRefused("transfer.no_digest", what="stock-signed")
    with store.begin(controller=seller.id) as connection:
        lock(connection, f"safehands.controller.{seller.id}")
        if not by_hand(connection, handover):
            raise HandoverRefused("transfer.stock_not_by_hand")
        taken = state.events(connection, handover, "stocktake")
        mine = [one["facts"] for one in taken if one["facts"]["party"] == "seller"]
        if not mine:
            raise HandoverRefused("transfer.no_stocktake", party="seller")
        listed = mine[-1]["parcels"]
        if sheet.parcels + sheet.missing != listed:
            told = {"counted": sheet.parcels, "missing": sheet.missing}
            raise HandoverRefused("transfer.stock_sum", listed=listed, **told)
        body = {**mine[-1], "party": "buyer", "missing": sheet.missing, "by": by}
        body |= {"sha256": sheet.sha256, "on": sheet.on.isoformat()}
        _note(connection, handover, "buyer", body, now)
    return body


def sheet_path(page_path: Path) -> Path:
    """Return where the sheet to sign by hand lies: beside the list."""
    return page_path.with_name(f"{page_path.stem}.sheet.html")


def check_stock(connection: Connection, handover: UUID) -> None:
    """Raise ``HandoverRefused`` unless both signed the same list, whole, of all that moves."""
    sent = moved(connection, handover)
    if sent is None or not sent["custody"]:
        return
    last = {
        one["facts"]["party"]: one["facts"]
        for one in state.events(connection, handover, "stocktake")
    }
    for party in ("seller", "buyer"):
        if party not in last or last[party]["parcels"] != sent["custody"]:
            raise HandoverRefused("transfer.no_stocktake", party=party)
        if last[party]["missing"]:
            raise HandoverRefused("transfer.stock_missing", count=last[party]["missing"])
    if last["seller"]["list"] != last["buyer"]["list"]:
        raise HandoverRefused("transfer.stock_differs")


def _still_waiting(opened: Sequence[Opened]) -> dict[bytes, Line]:
    """Return what waits by its name: of the package, as the deltas changed it."""
    waits: dict[bytes, Line] = {}
    for one in opened:
        slips = one.whole("custody")
        if "base" in one.manifest:
            for name in one.whole("parcel")["waybill"].to_pylist():
                waits.pop(name, None)
            gone = one.gone()
            for table, name in zip(
                gone["table"].to_pylist(), gone["name"].to_pylist(), strict=True
            ):
                if table == "custody":
                    waits.pop(name, None)
        waits |= dict(zip(slips["waybill"].to_pylist(), _lines(slips), strict=True))
    return waits


def _lines(table: pa.Table) -> list[Line]:
    columns = (table[name].to_pylist() for name in ("shelf", "number", "name", "tail"))
    return [tuple(one or "" for one in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def _body(
    handover: str, party: Party, lines: Sequence[Line], by: str, missing: int
) -> dict[str, Any]:
    return {
        "handover": handover,
        "party": party,
        "parcels": len(lines),
        "shelves": len({line[0] for line in lines}),
        "list": hashlib.sha256(canonical_json([list(line) for line in lines])).hexdigest(),
        "missing": missing,
        "by": by,
    }


def _note(
    connection: Connection, handover: UUID, party: Party, body: Mapping[str, Any], now: datetime
) -> bool:
    """Keep a stock-take unless it is the party's last one already; return whether it is new."""
    taken = state.events(connection, handover, "stocktake")
    mine = [one["facts"] for one in taken if one["facts"]["party"] == party]
    if mine and mine[-1] == dict(body):
        return False
    return state.note(connection, handover, "stocktake", f"{party}/{len(mine) + 1}", body, now)


def _page(lines: Sequence[Line], handover: str, party: Party) -> bytes:
    head = [
        " / ".join(say(f"transfer.stock.{one}", lang) for lang in LANGUAGES)
        for one in ("shelf", "waybill", "name", "tail", "tick")
    ]
    parts: dict[str, list[dict[str, Any]]] = {
        lang: [
            {"text": _said(lang, handover, party, len(lines))},
            {"sign": [say("transfer.stock.sign", lang)]},
        ]
        for lang in LANGUAGES
    }
    # Customers' counter first: the list itself stands once, in the Chinese half.
    parts["zh"].insert(1, {"head": head, "rows": [[*line, "☐"] for line in lines]})
    return page("transfer.stock.title", parts)


def _sheet(body: Mapping[str, Any]) -> bytes:
    """Return the page that both sign by hand: counts and the digest of the list, of nobody."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for lang in LANGUAGES:
        facts = {key: body[key] for key in ("handover", "parcels", "shelves", "list")}
        rows = [[say(f"transfer.sheet.{key}", lang), str(value)] for key, value in facts.items()]
        blank = [[say(f"transfer.sheet.{key}", lang), ""] for key in ("found", "missing")]
        parts[lang] = [
            {"text": say("transfer.sheet.text", lang)},
            {"head": ["", ""], "rows": [*rows, *blank]},
            {"sign": [say(f"transfer.sheet.sign_{who}", lang) for who in ("seller", "buyer")]},
        ]
    return page("transfer.sheet.title", parts)


def _said(lang: str, handover: str, party: Party, count: int) -> str:
    who = say(f"handover.party.{party}", lang)
    return say("transfer.stock.text", lang, party=who, handover=handover, count=count)


_HERE = "SELECT count(*) FROM custody WHERE waybill = ANY(:tokens)"
