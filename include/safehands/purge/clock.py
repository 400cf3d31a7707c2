"""Whether the clock may be believed before anything is deleted.

A clock that jumped ahead by a year would delete a year's records; one that jumped back would write
tombstones that old exports outlive. The store knows better: the ledger's newest entry and the last
purge say when it was. An earlier business date than the last one is no jump but a retry; it takes
nothing that was not due then.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from safehands.errors import RetentionRefused
from safehands.night import SHANGHAI, Night
from safehands.store import Store

__all__ = ["check_clock"]


def check_clock(night: Night, store: Store, now: datetime, confirmed: date | None = None) -> None:
    """Refuse to go on when the business date or ``now`` (aware) can't be right.

    Raises ``RetentionRefused`` when

    - the business date lies after today in Asia/Shanghai (nothing can confirm that),
    - ``now`` is more than ``clock.backwards_minutes`` before the ledger's newest entry,
    - the business date is more than ``clock.max_gap_days`` after the last purge's.

    ``confirmed`` is the business date as somebody states it on purpose; where it equals the
    night's, the last two do not refuse.
    """
    if night.business_date > now.astimezone(SHANGHAI).date():
        raise RetentionRefused("purge.future_date", date=night.business_date.isoformat())
    if confirmed is not None and confirmed != night.business_date:
        raise RetentionRefused(
            "purge.confirmed_other",
            date=night.business_date.isoformat(),
            confirmed=confirmed.isoformat(),
        )
    if confirmed is not None:
        return
    with store.begin() as connection:
        _check_backwards(connection, night, now)
        _check_gap(connection, night)


def _check_backwards(connection: Connection, night: Night, now: datetime) -> None:
    newest = connection.execute(text(_NEWEST_ENTRY), {"run": night.run}).scalar()
    limit = timedelta(minutes=night.policy.clock.backwards_minutes)
    if newest is not None and now + limit < newest:
        raise RetentionRefused(
            "purge.clock_behind",
            now=_shown(now),
            newest=_shown(newest),
            date=night.business_date.isoformat(),
        )


def _check_gap(connection: Connection, night: Night) -> None:
    last = connection.execute(text(_LAST_PURGE)).scalar()
    days = night.policy.clock.max_gap_days
    if last is not None and night.business_date - last > timedelta(days=days):
        raise RetentionRefused(
            "purge.clock_ahead",
            date=night.business_date.isoformat(),
            last=last.isoformat(),
            days=days,
        )


def _shown(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


# Entries of this run carry this run's clock, which is the one in question. The newest few are
# looked at, not all: shards commit side by side, so the last row need not be the latest moment.
_NEWEST_ENTRY = (
    "SELECT max((body::jsonb ->> 'at')::timestamptz) FROM (SELECT body FROM ledger_entry"
    " ORDER BY id DESC LIMIT 500) newest WHERE body::jsonb ->> 'run' <> :run"
)
# Recorded only after the clock was believed or the date confirmed: this run counts too.
_LAST_PURGE = "SELECT max(business_date) FROM step_result WHERE step = 'purge'"
