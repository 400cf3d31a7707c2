"""The end of a hand-over's own records: three years after its last step (网络数据安全管理条例 12).

Until then nothing of them may go: events, documents, and the bundle that proves single answers.
After that the keys of the bundle are destroyed, which ends it in every copy, and the folder of
documents is removed. Counts and digests of the events and the ledger stay: of nobody.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text

from safehands import journal
from safehands.handover.opening import known
from safehands.handover.pages import folder_of
from safehands.handover.state import events, note
from safehands.handover.transferpolicy import load_transfer_policy
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.transfer.evidence_bundle import end_bundle

__all__ = ["expire", "kept_until"]


def kept_until(inst: Installation, handover_id: UUID) -> date | None:
    """Return the last day on which records have to be there; ``None`` while it is open."""
    with inst.store.begin() as connection:
        passed = events(connection, handover_id, "state")
    last = [one["at"] for one in passed if one["key"] in ("certified", "aborted")]
    if not last:
        return None
    ended = last[0].astimezone(SHANGHAI).date()
    years = load_transfer_policy(inst.settings.policy).evidence_years
    try:
        return date(ended.year + years, ended.month, ended.day)
    except ValueError:
        return date(ended.year + years, 3, 1)


def expire(inst: Installation, day: date, now: datetime) -> int:
    """End the records whose time is over by ``day``; return how many hand-overs, each once."""
    ended = 0
    with inst.store.begin() as connection:
        closed = connection.execute(text(_CLOSED)).scalars().all()
    for handover_id in closed:
        until = kept_until(inst, handover_id)
        if until is not None and day > until:
            ended += _end(inst, handover_id, until, now)
    return ended


def _end(inst: Installation, handover_id: UUID, until: date, now: datetime) -> int:
    _, asked = known(inst, handover_id)
    # Keys first: what is left of a killed run is removed by the next one.
    end_bundle(inst.store, handover_id)
    shutil.rmtree(folder_of(inst, handover_id))
    with inst.store.begin(controller=asked.seller.id) as connection:
        facts = {"until": until.isoformat()}
        done = note(connection, handover_id, "expired", "records", facts, now)
    journal.sequence(inst.store, now)
    return int(done)


_CLOSED = (
    "SELECT handover_id FROM handover h WHERE state IN ('certified', 'aborted') AND NOT EXISTS"
    " (SELECT FROM handover_event e WHERE e.handover_id = h.handover_id AND e.kind = 'expired')"
    " ORDER BY opened_at"
)
