"""Reading back what people said, and closing the window. Silence is never consent (PIPL 14, 23).

A refusal blocks at once: the person's class changes in the same run, and nothing of them is
packaged. Nobody is asked a second time (网络数据安全管理条例 22(5)).
"""

from __future__ import annotations

import csv
import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from safehands import journal
from safehands.consent import import_sheet
from safehands.consent.sheet import Asked as Sheet
from safehands.errors import BadInput, HandoverRefused
from safehands.handover.classify import campaign, classify, counts, reference
from safehands.handover.measures import coverage
from safehands.handover.notify import window_end
from safehands.handover.opening import Asked, known, people, scope_of
from safehands.handover.plan import figures, measure
from safehands.handover.state import advance, note
from safehands.handover.transferpolicy import load_transfer_policy
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.notices import current

__all__ = ["close_window", "read_answers", "read_delivery", "reclassify"]

_OPEN = ("noticed", "answered", "approved")
_FAILED = frozenset({"failed", "undelivered", "失败", "未送达", "空号", "停机"})


def read_answers(
    inst: Installation, handover_id: UUID, path: Path, channel: str, by: str, now: datetime
) -> dict[str, int]:
    """Read a file of answers (tick sheet, slips, survey) and classify anew.

    A person may still refuse after the window, until packaging; a late yes is recorded and counts
    only while the window is open. Raises ``BadInput`` naming line and column, ``HandoverRefused``
    before the notice and once something was packaged.
    """
    handover, asked = known(inst, handover_id)
    if handover.state not in _OPEN or asked.mode not in ("asset_deal", "statutory_succession"):
        raise HandoverRefused("handover.no_answers_now", state=handover.state)
    with inst.store.begin(controller=asked.seller.id) as connection:
        notice = current(connection, asked.seller.id, now.date())
    if notice is None or not notice.terms("handover"):
        raise HandoverRefused("handover.no_privacy_notice")
    given = Sheet("handover", channel, notice.number, campaign(handover_id), separate=True)
    read = import_sheet(inst, asked.seller.code, path, given, by, now)
    reclassify(inst, asked, now.date())
    journal.sequence(inst.store, now)
    return {"recorded": read.recorded, "unknown": read.unknown, "again": int(read.again)}


def read_delivery(inst: Installation, handover_id: UUID, path: Path, now: datetime) -> int:
    """Read a gateway's delivery log (columns ``ref`` and ``state``); count who was not reached.

    They are told by the posted notice, and counted apart; in an asset deal their history never
    moves. How many were told is counted anew. Raises ``BadInput`` for a file that is none.
    """
    _, asked = known(inst, handover_id)
    failed = _failed(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = {"not_delivered": len(failed), "sha256": digest}
    with people(inst, asked) as connection:
        values: dict[str, Any] = {"id": handover_id}
        silent = connection.execute(text(_SILENT), values).scalars().all()
        values["who"] = [one for one in silent if reference(handover_id, one) in failed]
        done = connection.execute(text(_UNREACHABLE), values).rowcount
        facts = {"kind": "delivery", "not_delivered": len(failed), "unreachable": done}
        note(connection, handover_id, "delivery", digest[:16], kept, now)
        told = coverage(connection, handover_id)
        journal.append(connection, "handover", f"handover-{handover_id}", now, facts)
    if told is not None:
        figures(inst, asked, now.astimezone(SHANGHAI).date(), {"notice.coverage": told})
    journal.sequence(inst.store, now)
    return int(done)


def reclassify(inst: Installation, asked: Asked, day: date) -> dict[str, int]:
    """Write the classes as they are on ``day``; return how many people each has."""
    rules = load_transfer_policy(inst.settings.policy)
    with people(inst, asked) as connection:
        return classify(connection, scope_of(asked, inst, day), inst.policy, rules)


def close_window(inst: Installation, handover_id: UUID, day: date, now: datetime) -> bool:
    """End the window when its last day has passed, and go to ``answered``.

    Return ``False`` when that was done before. Raises ``HandoverRefused`` while it is open: an
    early end would turn a late yes into silence.
    """
    handover, asked = known(inst, handover_id)
    if handover.state == "noticed" and asked.mode == "asset_deal":
        until = window_end(inst, handover_id)
        if day <= until:
            raise HandoverRefused("handover.window_open", until=until.isoformat())
    if handover.state != "noticed":
        return False
    found = reclassify(inst, asked, day)
    with people(inst, asked) as connection:
        tables = counts(connection, scope_of(asked, inst, day))
        evidence = {
            "day": day.isoformat(),
            "classes": {name: number for name, number in found.items() if number},
            "tables": {t: {n: k for n, k in one.items() if k} for t, one in tables.items()},
        }
        done = advance(connection, handover_id, "answered", evidence, now)
    measure(inst, asked, day)
    journal.sequence(inst.store, now)
    return done


def _failed(path: Path) -> set[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if not {"ref", "state"} <= set(lines.fieldnames or ()):
                raise BadInput("handover.no_delivery_log", file=path.name)
            return {row["ref"] for row in lines if (row["state"] or "").strip().lower() in _FAILED}
    except (OSError, UnicodeDecodeError, csv.Error):
        raise BadInput("handover.no_delivery_log", file=path.name) from None


_SILENT = "SELECT subject_id FROM handover_subject WHERE handover_id = :id AND class = 'silent'"
_UNREACHABLE = (
    "UPDATE handover_subject SET class = 'unreachable' WHERE handover_id = :id"
    " AND subject_id = ANY (:who) AND class = 'silent'"
)
