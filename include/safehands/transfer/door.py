"""The package's own door: whoever may not leave is taken out, whatever the listing says.

The listing was made when the window closed; since then people refuse, withdraw, ask for erasure or
restriction, come under a hold, or are masked by a night. The door looks at the store again and only
ever takes people *out* of ``transferred``. In an asset deal it asks for each one's own yes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.erasure.requests import open_reference
from safehands.handover.classify import campaign
from safehands.handover.state import Handover
from safehands.keys import KeyRing

__all__ = ["shut", "stored_too", "would_leave"]


def shut(connection: Connection, known: Handover, ring: KeyRing, day: date) -> dict[str, int]:
    """Take out whoever may not leave; return how many, by the class they have now."""
    values = _values(connection, known, ring, day)
    with stored_too(connection):
        rows = connection.execute(text(_SHUT), values).all()
    counts: dict[str, int] = {}
    for (name,) in rows:
        counts[str(name)] = counts.get(str(name), 0) + 1
    return dict(sorted(counts.items()))


def would_leave(connection: Connection, known: Handover, ring: KeyRing, day: date) -> int:
    """Return how many the door would take out now, and take nobody out."""
    values = _values(connection, known, ring, day)
    with stored_too(connection):
        return int(connection.execute(text(_COUNT), values).scalar_one())


@contextmanager
def stored_too(connection: Connection) -> Iterator[None]:
    """See restricted people for as long as this lasts; nobody's record is opened in it."""
    before = connection.execute(text(_SEEN)).scalar()
    connection.execute(text(_SEE), {"to": "on"})
    yield
    connection.execute(text(_SEE), {"to": before or "off"})


def _values(connection: Connection, known: Handover, ring: KeyRing, day: date) -> dict[str, object]:
    return {
        "id": known.id,
        "asset": known.mode == "asset_deal",
        "campaign": campaign(known.id),
        "day": day,
        "asked": _asked_to_be_erased(connection, ring),
    }


def _asked_to_be_erased(connection: Connection, ring: KeyRing) -> list[UUID]:
    """Return who asked for erasure and waits for the night: sealed under the epoch key."""
    rows = connection.execute(text(_REQUESTED)).all()
    return [who for request, wrapped in rows for who in open_reference(ring, request, wrapped)[1]]


_SEEN = "SELECT current_setting('safehands.storage', true)"
_SEE = "SELECT set_config('safehands.storage', :to, true)"
_REQUESTED = (
    "SELECT e.request, s.wrapped FROM erasure e JOIN erasure_subject s USING (request)"
    " WHERE e.state IN ('requested', 'held')"
)
# A no counts whichever campaign it was given in; a yes only in this one.
_OUT = """
WITH said AS (
    SELECT DISTINCT ON (e.subject_id) e.subject_id, e.kind FROM consent_event e
    WHERE e.purpose = 'handover' AND e.subject_id IS NOT NULL
    ORDER BY e.subject_id, e.at DESC, e.id DESC),
yes AS (
    SELECT DISTINCT ON (e.subject_id) e.subject_id, e.kind, e.guardian FROM consent_event e
    WHERE e.purpose = 'handover' AND e.campaign = :campaign AND e.subject_id IS NOT NULL
    ORDER BY e.subject_id, e.at DESC, e.id DESC),
minor AS (
    SELECT DISTINCT e.subject_id FROM consent_event e
    WHERE e.guardian <> '' AND e.subject_id IS NOT NULL),
objects AS (
    SELECT DISTINCT r.subject_id FROM subject_request r
    WHERE (r.kind IN ('delete', 'object', 'restrict')
            OR r.kind = 'withdraw' AND r.purpose IN ('', 'handover'))
        AND r.subject_id IS NOT NULL AND r.state IN ('registered', 'identified', 'granted')),
held AS (
    SELECT held_subjects(CAST(:day AS date)) AS subject_id
    UNION SELECT limited_subjects(CAST(:day AS date))),
everything AS (
    SELECT EXISTS (SELECT FROM legal_hold h WHERE h.scope = 'controller' AND h.ended_at IS NULL
        AND h.until >= CAST(:day AS date)) AS held),
judged AS (
    SELECT t.subject_id, CASE
        WHEN s.restricted THEN 'restricted'
        WHEN h.subject_id IS NOT NULL OR everything.held THEN 'kept_by_law'
        WHEN a.kind IN ('refused', 'withdrawn') OR o.subject_id IS NOT NULL
            OR t.subject_id = ANY (CAST(:asked AS uuid[])) THEN 'refused'
        WHEN m.subject_id IS NOT NULL
            AND NOT coalesce(y.kind = 'granted' AND y.guardian <> '', false) THEN 'minors'
        WHEN s.detail <> 0 THEN 'dormant'
        WHEN :asset AND coalesce(y.kind, '') <> 'granted' THEN 'silent'
        END AS class
    FROM handover_subject t JOIN subject s USING (controller_id, subject_id) CROSS JOIN everything
    LEFT JOIN said a USING (subject_id) LEFT JOIN yes y USING (subject_id)
    LEFT JOIN minor m USING (subject_id) LEFT JOIN objects o USING (subject_id)
    LEFT JOIN held h USING (subject_id)
    WHERE t.handover_id = :id AND t.class = 'transferred')
"""
_SHUT = _OUT + (
    " UPDATE handover_subject t SET class = j.class FROM judged j WHERE t.handover_id = :id"
    " AND t.subject_id = j.subject_id AND j.class IS NOT NULL RETURNING t.class"
)
_COUNT = _OUT + " SELECT count(*) FROM judged WHERE class IS NOT NULL"
