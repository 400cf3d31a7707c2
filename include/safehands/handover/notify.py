"""Telling people: the right notice for the lane, on a poster, on slips, and as a send file.

No send file without the gateway's agreement and assessment in force; without one a shop has a
poster, slips for the counter and a tick sheet that is read back in. Nobody who refused is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from safehands import journal
from safehands.consent import may_ask
from safehands.errors import HandoverRefused
from safehands.handover.classify import campaign
from safehands.handover.measures import share_told
from safehands.handover.opening import Asked, known, people
from safehands.handover.pages import folder_of, keep, page
from safehands.handover.plan import figures
from safehands.handover.sending import in_force, send_file
from safehands.handover.state import advance, events, following, load
from safehands.installation import Installation
from safehands.ledger import canonical_json
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.notices import load_consent_book
from safehands.notices.render import SEGMENT
from safehands.store.register import open_ring
from safehands.vault.access import OFFICER, check_staff

__all__ = ["ITEMS", "notice_of", "notify", "window_end"]

ITEMS = ("recipient", "contact", "purposes", "method", "categories")
"""What people are told before their information is provided to another handler (PIPL 23)."""


def notice_of(inst: Installation, asked: Asked) -> dict[str, Any]:
    """Return the notice as JSON: its lane, the parties and what it says in both languages."""
    request, policy = asked.request, inst.policy
    with inst.store.begin(controller=asked.seller.id) as connection:
        found = connection.execute(text(_NAMES), {"codes": list(request.stations)}).all()
    names = [str(dict(tuple(row) for row in found).get(code, code)) for code in request.stations]
    said = {
        lang: {
            "purposes": _listed(
                (getattr(policy.purposes[name].label, lang) for name in request.buyer_purposes),
                lang,
            ),
            "recipient": request.buyer_name,
            "contact": request.buyer_contact,
            "seller": asked.seller.name,
            "stations": _listed(names, lang),
            "effective": request.effective_on.isoformat(),
            "days": request.window_days,
        }
        for lang in LANGUAGES
    }
    moves = asked.mode in _MOVING
    return {
        "mode": asked.mode,
        "article": asked.mode,
        "asks": asked.mode == "asset_deal",
        # Slips pass with notice where the parcels are the seller's own (LAW.md 0b).
        "custody": moves and "parcels" in asked.handler,
        "entrusted": moves and "entrusted" in asked.roles.values(),
        **said,
    }


def notify(
    inst: Installation, handover_id: UUID, by: str, day: date, now: datetime
) -> dict[str, Any]:
    """Write the notices and go to ``noticed``; return files and counts.

    Doing it again gives what was done. Raises ``HandoverRefused`` before the assessment, or when
    the notice would lack the buyer's name or contact.
    """
    check_staff(by)
    handover, asked = known(inst, handover_id)
    with inst.store.begin() as connection:
        done = [
            e["facts"] for e in events(connection, handover_id, "state") if e["key"] == "noticed"
        ]
    if done:
        return dict(done[0])
    if following(handover.mode, handover.state) != "noticed":
        raise HandoverRefused("handover.not_next", state=handover.state, to="noticed")
    document = notice_of(inst, asked)
    document |= {
        "sms": {
            lane: {lang: _measured(_sms(document, lane, lang)) for lang in LANGUAGES}
            for lane in _lanes(document)
        }
    }
    if asked.mode not in ("closure", "share_deal") and not (
        asked.request.buyer_name and asked.request.buyer_contact
    ):
        raise HandoverRefused("handover.no_recipient")
    folder = folder_of(inst, handover_id)
    keep(folder / "notice.json", canonical_json(document))
    keep(folder / "poster.html", _poster(document))
    keep(folder / "slips.html", _poster(document, slip=True))
    keep(folder / "tick-sheet.csv", _tick_sheet(inst))
    if document["asks"]:
        keep(folder / "tick-sheet.html", _paper_sheet(inst))
    sent = _send(inst, asked, document, day, folder_of(inst, handover_id), now)
    facts = {
        "by": by,
        "notice": hashlib.sha256(canonical_json(document)).hexdigest(),
        "campaign": campaign(handover_id),
        "channels": list(asked.request.channels),
        "posted": day.isoformat(),
        "until": (day + timedelta(days=asked.request.window_days)).isoformat(),
        **sent,
    }
    figures(inst, asked, day, _figures(asked, document, sent, day))
    with inst.store.begin(controller=asked.seller.id) as connection:
        advance(connection, handover_id, "noticed", facts, now)
    journal.sequence(inst.store, now)
    return facts


def window_end(inst: Installation, handover_id: UUID) -> date:
    """Return the last day on which answers count. Raises ``HandoverRefused`` before the notice."""
    with inst.store.begin() as connection:
        load(connection, handover_id)
        for event in events(connection, handover_id, "state"):
            if event["key"] == "noticed":
                return date.fromisoformat(event["facts"]["until"])
    raise HandoverRefused("handover.not_noticed")


def _send(
    inst: Installation,
    asked: Asked,
    document: Mapping[str, Any],
    day: date,
    folder: Any,
    now: datetime,
) -> dict[str, Any]:
    """Write the send file where the gateway may have one; return its digest and counts."""
    request = asked.request
    with people(inst, asked) as connection:
        rows = connection.execute(text(_TOLD), {"id": asked.id, "stations": _ids(asked)}).all()
    lanes = {row[0]: _lane(document, row[1]) for row in rows}
    counts = {"people": len(lanes), "lines": 0, "not_asked": 0, "file": "", "sha256": ""}
    agreement = request.gateway_agreement
    if "sms" not in request.channels or not request.gateway_key:
        return counts
    if not in_force(inst, asked.seller, agreement, day):
        return counts
    if document["asks"]:
        told, skipped = _askable(inst, asked, lanes, day)
    else:
        told, skipped = lanes, 0
    # Customers read Chinese; the poster and the full text are in both languages.
    said = {lane: _sms(document, lane, "zh") for lane in _lanes(document)}
    messages = {who: said[lane] for who, lane in told.items()}
    with inst.store.begin(OFFICER, asked.seller.id) as connection:
        ring = open_ring(connection, inst.store.provider, asked.seller)
        sealed = send_file(connection, ring, asked.id, messages, request.gateway_key)
        facts = {"lines": sealed.lines, "gateway": request.gateway_agreement[:16]}
        run = f"handover-{asked.id}"
        journal.append(connection, "handover", run, now, {"kind": "send_file", **facts})
    path = keep(folder / "send.csv.age", sealed.data)
    digest = hashlib.sha256(sealed.data).hexdigest()
    return {
        **counts,
        "lines": sealed.lines,
        "not_asked": skipped,
        "file": path.name,
        "sha256": digest,
    }


def _lanes(document: Mapping[str, Any]) -> list[str]:
    """Return the lanes that people are told of: the mode, and entrusted information beside it."""
    return [document["mode"], *(["entrusted_processor_change"] if document["entrusted"] else [])]


def _lane(document: Mapping[str, Any], kind: str) -> str:
    """Return what a person is told: of whom nothing can move is told so, and is asked nothing."""
    return _lanes(document)[-1] if kind == "entrusted" else str(document["mode"])


def _askable(
    inst: Installation, asked: Asked, lanes: Mapping[UUID, str], day: date
) -> tuple[dict[UUID, str], int]:
    """Leave out whom nobody may ask again; return the others and how many were left out."""
    wanted = {who for who, lane in lanes.items() if lane == asked.mode}
    book = load_consent_book(inst.settings.policy, inst.policy)
    with inst.store.begin(OFFICER, asked.seller.id) as connection:
        ring = open_ring(connection, inst.store.provider, asked.seller)
        may = may_ask(connection, ring, book, wanted, "handover", campaign(asked.id), day)
    kept = {who: lane for who, lane in lanes.items() if who in may or who not in wanted}
    return kept, len(lanes) - len(kept)


def _ids(asked: Asked) -> list[int]:
    return [asked.seller.stations[code] for code in asked.request.stations]


def _figures(
    asked: Asked, document: Mapping[str, Any], sent: Mapping[str, Any], day: date
) -> dict[str, float]:
    zh = document["zh"]
    items = sum(bool(zh[name]) for name in ("recipient", "contact", "purposes"))
    return {
        # A poster counts when somebody has registered that it hangs.
        "notice.coverage": share_told(sent["people"], sent["lines"]),
        "notice.recipient_missing": 0 if zh["recipient"] and zh["contact"] else 1,
        # Method and categories stand in every notice of a deal that asks.
        "notice.provision_items": items + 2,
        "notice.days_ahead": max(0, (asked.request.effective_on - day).days),
        "notice.window_days": asked.request.window_days,
    }


def _poster(document: Mapping[str, Any], *, slip: bool = False) -> bytes:
    parts = {lang: [_notice(document, lang)] for lang in LANGUAGES}
    if slip and document["asks"]:
        for lang in LANGUAGES:
            ticks, sign = (
                [say(f"handover.notice.sign.{name}", lang) for name in names]
                for names in (("yes", "no"), ("phone", "name"))
            )
            title = say("handover.notice.answer", lang)
            parts[lang].append({"title": title, "ticks": ticks, "sign": sign})
    return page("handover.notice.title", parts)


def _notice(document: Mapping[str, Any], lang: str) -> dict[str, Any]:
    said = document[lang]
    lines = [say(f"handover.notice.{lane}", lang, **said) for lane in _lanes(document)]
    if document["custody"]:
        lines.append(say("handover.notice.custody", lang, **said))
    if document["asks"]:
        lines += [say(f"handover.notice.item.{name}", lang, **said) for name in ITEMS]
        lines += [say("handover.notice.silence", lang, **said)]
    lines.append(say("handover.notice.rights", lang, **said))
    return {"lines": lines}


def _sms(document: Mapping[str, Any], lane: str, lang: str) -> str:
    return say(f"handover.sms.{lane}", lang, **document[lang])


def _measured(message: str) -> dict[str, Any]:
    """Return a text with its length and the messages it is charged as (UCS-2: 70, then 67 each)."""
    length = len(message.encode("utf-16-be")) // 2
    return {
        "text": message,
        "length": length,
        "messages": 1 if length <= 70 else -(-length // SEGMENT),
    }


def _paper_sheet(inst: Installation) -> bytes:
    """Return the sheet that lies on the counter: the columns of the file, with empty lines."""
    columns = load_consent_book(inst.settings.policy, inst.policy).columns
    names = ("phone", "answer", "at", "evidence", "guardian")
    empty = [["\u00a0"] * len(names) for _ in range(_LINES)]
    parts = {
        lang: [
            {
                "text": say("handover.notice.fill", lang),
                "head": [columns[name][0 if lang == "zh" else -2] for name in names],
                "rows": empty,
                "tall": True,
            }
        ]
        for lang in LANGUAGES[:1]
    }
    return page("handover.notice.sheet", parts)


def _tick_sheet(inst: Installation) -> bytes:
    """Return an empty sheet with the columns that ``safehands handover answers`` reads."""
    columns = load_consent_book(inst.settings.policy, inst.policy).columns
    heads = [columns[name][0] for name in ("phone", "answer", "at", "evidence", "guardian")]
    return ("\ufeff" + ",".join(heads) + "\n").encode()


def _listed(words: Any, lang: str) -> str:
    return ("、" if lang == "zh" else ", ").join(str(word) for word in words)


def today(now: datetime) -> date:
    """Return the day in Asia/Shanghai."""
    return now.astimezone(SHANGHAI).date()


_MOVING = ("asset_deal", "statutory_succession")
_LINES = 22
"""Lines on one printed page of A4."""
_NAMES = "SELECT code, name FROM station WHERE code = ANY (:codes)"
# Whoever is told: everybody of the hand-over but who is stored only or must stay; in a share deal,
# where nobody is classified, everybody with a parcel at the stations.
_TOLD = (
    "SELECT h.subject_id, h.class FROM handover_subject h WHERE h.handover_id = :id"
    " AND (h.class IN ('transferred', 'silent', 'unreachable', 'served_elsewhere', 'entrusted')"
    # Where the shop closes, whose records end is told so (快递暂行条例 30).
    " OR h.class = 'expired' AND EXISTS"
    " (SELECT FROM handover d WHERE d.handover_id = :id AND d.mode = 'closure'))"
    " UNION SELECT p.subject_id, '' FROM parcel p WHERE p.station_id = ANY (:stations)"
    " AND p.subject_id IS NOT NULL AND NOT EXISTS"
    " (SELECT FROM handover_subject h WHERE h.handover_id = :id)"
)
