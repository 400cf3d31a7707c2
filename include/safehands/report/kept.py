"""What the report makes of parcels is kept until they change, so that a night reads only what did.

Two derived tables (revision 0025): ``person_figure``, one row per person, which the database itself
deletes in the transaction in which a parcel of theirs comes, goes or changes; and ``month_figure``,
the counts of an owner's month, which stand until a note of a change touches the month
(``safehands.store.changes``). Whoever has no row, and every touched month, is read from the parcels
as they are: what is shown is the same whether anything was kept or not.

``refresh`` keeps what was read. It writes only while nobody changes parcels and only if nobody did
since it looked, so a row that is kept never shows an older state; if it can't, the next night reads
the same again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.ledger import canonical_json
from safehands.store.changes import Changes, read_changes, watched
from safehands.store.months import end_of, first_of, parcel_months

__all__ = [
    "CONSUMER",
    "EDITION",
    "PARCEL_RULES",
    "Month",
    "Standing",
    "Unread",
    "ends_figures",
    "keep_months",
    "list_unread",
    "months_of",
    "spans",
    "standing",
]

CONSUMER = "report"
"""The name under which changes are noted for the report."""

EDITION = 1
"""Goes up when a figure is made in another way: what was kept before counts as not there."""

_FEW = 3
"""Up to a third of the people are looked up one by one."""

_WAITS = "collected_at IS NULL AND status <= 1"
"""A parcel that is still at the station."""

PARCEL_RULES = {
    "pickup_record": ("collected_at", "collected_at IS NOT NULL AND status <> 4"),
    "never_collected": ("arrived_at", "collected_at IS NULL AND status <> 4"),
    "exception_record": ("arrived_at", "status = 4"),
}
"""Event and rows of each retention rule of parcels."""


@dataclass(frozen=True)
class Month:
    """One owner's parcels of a month: counts, the newest collection, per rule the oldest event."""

    parcels: int
    unlinked: int
    waiting: int
    newest: datetime | None
    held: Mapping[str, int]
    oldest: Mapping[str, datetime | None]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "parcels": self.parcels,
            "unlinked": self.unlinked,
            "waiting": self.waiting,
            "newest": _written(self.newest),
            "held": dict(self.held),
            "oldest": {rule: _written(moment) for rule, moment in self.oldest.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Month:
        """Return the month of ``as_dict``'s form."""
        oldest = {rule: _moment(moment) for rule, moment in plain["oldest"].items()}
        newest = _moment(plain["newest"])
        return cls(**{**plain, "newest": newest, "oldest": oldest})


@dataclass(frozen=True)
class Standing:
    """What tells whether something that was kept still counts, for all owners.

    ``changes``: the notes up to here. ``sound``: every trigger that ends what is kept is there and
    switched on. ``months`` there are. What changes later is not in what it is used for.
    """

    changes: Changes
    sound: bool
    months: tuple[str, ...]

    @property
    def people(self) -> bool:
        """Say whether a person's row counts where there is one."""
        doubt = self.changes.everything or self.changes.of("person_figure")
        return self.sound and not doubt

    def month(self, controller: int, name: str) -> bool:
        """Say whether what is kept of an owner's month counts."""
        return self.sound and not self.changes.touched("parcel", controller, name)


def standing(connection: Connection) -> Standing:
    """Return how things stand as this transaction sees them."""
    return Standing(
        read_changes(connection, CONSUMER),
        "parcel" in watched(connection) and ends_figures(connection),
        tuple(parcel_months(connection)),
    )


def ends_figures(connection: Connection) -> bool:
    """Say whether every trigger that deletes a person's row is there and switched on."""
    return bool(connection.execute(text(_ENDED)).scalar_one())


@dataclass(frozen=True)
class Unread:
    """Who has to be read from their parcels: ``people`` of them stand in ``unread_person``.

    ``trusted``: rows of all others are worth something; else everybody is unread. ``few``: each is
    better looked up by the index than all parcels read, which PostgreSQL judges otherwise.
    """

    people: int
    trusted: bool
    few: bool = False


def months_of(
    connection: Connection, controller: int, now: Standing, *, whole: bool = False
) -> tuple[dict[str, Month], list[str]]:
    """Return the figures of the owner's months, ``YYYYMM`` → figures, and which were read anew.

    The transaction must be bound to the owner. ``whole``: nothing that was kept is believed.
    """
    kept = {} if whole else _kept(connection)
    stand = {name for name in kept if name in now.months and now.month(controller, name)}
    anew = [name for name in now.months if name not in stand]
    found = _look(connection, anew)
    return {name: found.get(name) or kept[name] for name in now.months}, anew


def keep_months(
    connection: Connection, controller: int, months: Mapping[str, Month], anew: Sequence[str]
) -> None:
    """Keep what was read ``anew`` of the owner's months, and nothing of a month that is gone."""
    rows = [
        {"c": controller, "m": m, "e": EDITION, "f": canonical_json(months[m].as_dict()).decode()}
        for m in anew
    ]
    gone = {"months": list(months)}
    connection.execute(text("DELETE FROM month_figure WHERE month <> ALL (:months)"), gone)
    if rows:
        connection.execute(text(_KEEP_MONTH), rows)


def list_unread(connection: Connection, now: Standing, *, whole: bool = False) -> Unread:
    """List who has to be read from their parcels in the temporary table ``unread_person``.

    Where ``people`` is 0 there may be no such table. The transaction must be bound to the owner.
    ``whole``: everybody.
    """
    trusted = now.people and not whole
    known = _WITHOUT if trusted else ""
    values = {"edition": EDITION}
    if trusted and _settled(connection):
        return Unread(0, trusted)
    if not connection.execute(text(f"SELECT EXISTS ({_UNREAD}{known})"), values).scalar_one():
        return Unread(0, trusted)
    connection.execute(text("DROP TABLE IF EXISTS unread_person"))
    made = connection.execute(text(f"{_AS_TABLE}{_UNREAD}{known}{_IN_ORDER}"), values)
    connection.execute(text("ANALYZE unread_person"))
    everybody = int(connection.execute(text("SELECT count(*) FROM subject")).scalar_one())
    return Unread(made.rowcount, trusted, made.rowcount * _FEW <= everybody)


def _settled(connection: Connection) -> bool:
    """Say whether everybody has a row, without looking at each: nothing changed since they had.

    ``refresh`` deletes the notes of changes when every owner's people have theirs. What is gone
    without a note is gone for the whole owner: the table is emptied by a crash of the server, and
    another edition is none of ours.
    """
    values = {"consumer": CONSUMER, "edition": EDITION}
    return bool(connection.execute(text(_SETTLED), values).scalar_one())


def spans(months: Sequence[str], column: str = "arrived_at") -> str:
    """Return the condition that a parcel arrived in one of the months, for SQL; none: ``false``."""
    joined: list[tuple[date, date]] = []
    for name in sorted(months):
        first, end = first_of(name), end_of(name)
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    parts = [
        f"({column} >= timestamptz '{first} 00:00+08' AND {column} < timestamptz '{end} 00:00+08')"
        for first, end in joined
    ]
    return f"({' OR '.join(parts)})" if parts else "false"


def _kept(connection: Connection) -> dict[str, Month]:
    rows = connection.execute(text(_KEPT), {"edition": EDITION})
    return {str(month): Month.from_dict(figures) for month, figures in rows}


def _look(connection: Connection, months: Sequence[str]) -> dict[str, Month]:
    """Read the figures of months from their parcels."""
    if not months:
        return {}
    nothing = dict.fromkeys(PARCEL_RULES, 0)
    found = {name: Month(0, 0, 0, None, nothing, dict.fromkeys(PARCEL_RULES)) for name in months}
    parts = []
    for event, rows in PARCEL_RULES.values():
        parts += [f"count(*) FILTER (WHERE {rows})", f"min({event}) FILTER (WHERE {rows})"]
    counted = ", ".join([_COUNTED, *parts])
    query = (
        f"SELECT right(tableoid::regclass::text, 6), {counted} FROM parcel"
        f" WHERE {spans(months)} GROUP BY tableoid"
    )
    for name, parcels, unlinked, waiting, newest, *held in connection.execute(text(query)):
        found[name] = Month(
            parcels,
            unlinked,
            waiting,
            newest,
            dict(zip(PARCEL_RULES, held[::2], strict=True)),
            dict(zip(PARCEL_RULES, held[1::2], strict=True)),
        )
    return found


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


_COUNTED = (
    f"count(*), count(*) - count(subject_id), count(*) FILTER (WHERE {_WAITS}), max(collected_at)"
)
_KEPT = "SELECT month, figures FROM month_figure WHERE edition = :edition"
_KEEP_MONTH = (
    "INSERT INTO month_figure VALUES (:c, :m, :e, CAST(:f AS jsonb))"
    " ON CONFLICT (controller_id, month) DO UPDATE"
    " SET edition = excluded.edition, figures = excluded.figures"
    " WHERE (month_figure.edition, month_figure.figures)"
    " IS DISTINCT FROM (excluded.edition, excluded.figures)"
)
_AS_TABLE = "CREATE TEMPORARY TABLE unread_person ON COMMIT DROP AS "
_UNREAD = "SELECT s.controller_id, s.subject_id FROM subject s"
# In the order of the index: looked up one by one, its pages are read one after the other.
_IN_ORDER = " ORDER BY s.controller_id, s.subject_id"
_WITHOUT = (
    " WHERE NOT EXISTS (SELECT FROM person_figure f WHERE f.controller_id = s.controller_id"
    " AND f.subject_id = s.subject_id AND f.edition = :edition)"
)
_SETTLED = (
    "SELECT NOT EXISTS (SELECT FROM change_note WHERE consumer = :consumer) AND EXISTS"
    " (SELECT FROM (SELECT edition FROM person_figure LIMIT 1) f WHERE f.edition = :edition)"
)
_ENDED = (
    "SELECT count(*) = 6 FROM pg_trigger WHERE tgname LIKE 'note\\_figure\\_%' AND tgenabled = 'A'"
    " AND tgrelid IN ('parcel'::regclass, 'subject'::regclass)"
)
