"""What rests on a consent that no longer holds goes, whatever became of the consent.

Withdrawal and refusal act in the transaction that records them. A consent also ends when its time
is over and when policy changes what was agreed to (PIPL 14 ¶2); and a person who refused and was
erased may be back with the station's next export. None of these has a transaction of its own, so
the night settles them after every load and before every purge.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from safehands import journal
from safehands.installation import Installation
from safehands.notices import ConsentBook, load_consent_book, terms_of
from safehands.policy import Policy
from safehands.store import lock
from safehands.store.register import Owner, open_ring, owners
from safehands.vault.suppression import suppressed

__all__ = ["settle"]


def settle(
    inst: Installation, day: date, run: str, now: datetime, controller: str | None = None
) -> int:
    """Clear what rests on consents that ended by ``day``; return how many people it concerned.

    Of all owners or of ``controller``. The same again clears nothing and writes nothing.
    """
    policy, cleared = inst.policy, 0
    book = load_consent_book(inst.settings.policy, policy)
    for owner in owners(inst.store).values():
        if controller not in (None, owner.code):
            continue
        with inst.store.begin(controller=owner.id) as connection:
            lock(connection, f"safehands.controller.{owner.id}")
            ended = _ended(connection, policy, book, day)
            refused = _refused_before(inst, connection, owner, book, day)
            if ended or refused:
                facts = {"controller": owner.code, "ended": ended, "refused_before": refused}
                journal.append(connection, "consent", run, now, facts)
            cleared += ended + refused
    return cleared


def _ended(connection: Connection, policy: Policy, book: ConsentBook, day: date) -> int:
    values = [
        {"purpose": name, "terms": terms_of(policy, book, name), "day": day}
        for name in policy.consent_purposes
    ]
    return sum(int(connection.execute(text(_HONOUR), one).scalar_one()) for one in values)


def _refused_before(
    inst: Installation, connection: Connection, owner: Owner, book: ConsentBook, day: date
) -> int:
    """Clear the wishes of people whose number refused before; their own answer counts more."""
    since = day - timedelta(days=book.pause_days)
    cleared = 0
    for purpose in inst.policy.consent_purposes:
        who = list(connection.execute(text(_UNASKED), {"purpose": purpose}).scalars())
        if who:
            ring = open_ring(connection, inst.store.provider, owner)
            found = suppressed(connection, ring, who, purpose, "", since)
            values = {"who": sorted(found)}
            cleared += connection.execute(text(_CLEAR), values).rowcount if found else 0
    return cleared


_HONOUR = "SELECT honour_answers(:purpose, :terms, :day)"
# Nobody is looked at unless some refusal is kept, and then only who came after the first of them.
_UNASKED = (
    "SELECT p.subject_id FROM preference p JOIN subject s USING (controller_id, subject_id)"
    " WHERE (p.marketing <> 0 OR p.time_window <> 0) AND (s.last_seen AT TIME ZONE"
    " 'Asia/Shanghai')::date >= (SELECT min(refused_on) FROM suppression WHERE purpose = :purpose)"
    " AND NOT EXISTS (SELECT FROM consent_event e WHERE e.controller_id = p.controller_id"
    " AND e.subject_id = p.subject_id AND e.purpose = :purpose)"
)
_CLEAR = "UPDATE preference SET marketing = 0, time_window = 0 WHERE subject_id = ANY (:who)"
