"""Bring what is kept of people and months up to date: :mod:`safehands.report.kept`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from safehands.report.kept import (
    CONSUMER,
    Month,
    Standing,
    Unread,
    keep_months,
    list_unread,
    months_of,
    standing,
)
from safehands.report.people import People, differing, keep_people, read_people
from safehands.store import Store, lock
from safehands.store.changes import Changes, forget_changes
from safehands.store.register import Owner, owners

__all__ = ["refresh"]

_MUCH = 10
"""From a tenth of the people on, the database looks at what was kept before it plans again."""


def refresh(store: Store, *, whole: bool = False) -> int:
    """Keep what changed since the last time; return how many kept figures were found wrong.

    ``whole``: all of it is made anew from the parcels and compared, else none is found. Safe to
    repeat and to kill. While somebody changes parcels, an owner's figures are left for the next
    time.
    """
    with store.begin() as connection:
        # One at a time: of two, the faster would forget the notes that stop the slower from
        # keeping what it read before them.
        lock(connection, "safehands.figures")
        now = standing(connection)
        complete, wrong = True, 0
        for owner in owners(store).values():
            found = _read(store, owner, now, whole)
            wrong += found.wrong
            complete &= not found.news or _write(store, owner, now, found)
        if complete:
            forget_changes(connection, now.changes)
    return wrong


@dataclass(frozen=True)
class _Found:
    """What was read of an owner: ``people`` unread so far, ``months``, of which some ``anew``."""

    unread: Unread
    people: People | None
    months: Mapping[str, Month]
    anew: Sequence[str]
    wrong: int

    @property
    def news(self) -> bool:
        """Say whether anything is to be kept."""
        return bool(self.anew) or self.people is not None or not self.unread.trusted


def _read(store: Store, owner: Owner, now: Standing, whole: bool) -> _Found:
    with store.begin(controller=owner.id, snapshot=True) as connection:
        unread = list_unread(connection, now, whole=whole)
        people = read_people(connection, unread) if unread.people else None
        months, anew = months_of(connection, owner.id, now, whole=whole)
        wrong = 0
        if whole and now.people:
            kept, fresh = months_of(connection, owner.id, now)
            wrong = sum(kept[m] != months[m] for m in now.months if m not in fresh)
            wrong += differing(connection, people) if people is not None else 0
    return _Found(unread, people, months, anew, wrong)


def _write(store: Store, owner: Owner, now: Standing, found: _Found) -> bool:
    """Return whether it was written: nobody changed anything since ``now``."""
    people = found.people
    try:
        with store.begin(controller=owner.id) as connection:
            if not _alone(connection, owner, now.changes):
                return False
            keep_people(connection, owner.id, people, found.unread)
            keep_months(connection, owner.id, found.months, found.anew)
    except OperationalError as error:
        # 55P03: somebody kept on changing parcels for longer than this may wait for.
        if getattr(error.orig, "sqlstate", None) != "55P03":
            raise
        return False
    if people is not None:
        with store.begin(controller=owner.id) as connection:
            if connection.execute(text(_MANY), {"n": len(people) * _MUCH}).scalar_one():
                connection.execute(text("SELECT settle_figures()"))
    return True


def _alone(connection: Connection, owner: Owner, seen: Changes) -> bool:
    """Wait for whoever is changing parcels, and say whether anybody did since they were read.

    From here to the end of the transaction nobody can: each change deletes from the same table.
    """
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    connection.execute(text("LOCK TABLE person_figure IN SHARE ROW EXCLUSIVE MODE"))
    values = {"consumer": CONSUMER, "owner": owner.id, "seen": list(seen.ids)}
    return not connection.execute(text(_NEWER), values).scalar_one()


_NEWER = (
    "SELECT EXISTS (SELECT FROM change_note WHERE consumer = :consumer"
    " AND place IN ('', 'parcel', 'subject', 'person_figure')"
    " AND (controller IS NULL OR controller = :owner) AND id <> ALL (:seen))"
)
_MANY = "SELECT reltuples < :n FROM pg_class WHERE oid = 'person_figure'::regclass"
