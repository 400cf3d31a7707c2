"""Apply what is due: one transaction per owner with its claim and its ledger entry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import Connection, text

from safehands import daykeys, journal
from safehands.datasets import Outcome
from safehands.keys import KeyProvider
from safehands.night import Night
from safehands.purge import held, selections
from safehands.purge.actions import Work, carry_out
from safehands.purge.clock import check_clock
from safehands.purge.months import drop_months, settle_load
from safehands.purge.plan import Due, plan_purge
from safehands.purge.whole import drop_due_months, taken
from safehands.store import Store, lock
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.register import Owner, open_ring, owners

__all__ = ["purge"]

_KEYS = {"quarantine": "quarantine", "quarantined_minor": "minors", "landing_archive": "archive"}
"""Rules whose action is to destroy day keys, by kind of key."""

_EVIDENCE = {
    "processing_record": ("step_result", "quality_result", "quality_night", "held_figure"),
    "risk_record": ("risk_assessment",),
}
"""Rules of the whole installation, by what the night writes about itself."""


def purge(night: Night, store: Store, now: datetime, confirmed: date | None = None) -> Outcome:
    """Carry out the retention schedule for the night's business date.

    Months of which every row is due go first, each with its partition. Then, owner by owner, holds
    and restrictions whose end has come are closed and each rule of policy is applied in
    its order. What a legal hold keeps is not deleted but stored and nothing else. A person who
    goes leaves a tombstone, so that an old export does not bring them back.

    Counts: one per retention rule, ``months_dropped``; where there are any, day keys destroyed as
    ``quarantine_keys``, ``minors_keys`` and ``archive_keys``; where there are any,
    ``kept_by_hold``, ``holds_ended``, ``restrictions_released``, ``restrictions_ended``,
    ``held_parcels_ended``.

    ``confirmed``: the business date as somebody states it on purpose, see ``check_clock``.

    Raises ``RetentionRefused`` when the clock is not believable; then nothing has been changed.
    """
    check_clock(night, store, now, confirmed)
    due = plan_purge(night.policy, night.business_date)
    settle_load(store)
    counts = {item.rule: 0 for item in due if selections.due(item.rule) or item.rule in _EVIDENCE}
    fresh = False
    kept_stations: list[str] = []

    def settled(connection: Connection, owner: Owner) -> bool:
        return find(connection, _claim(connection, night, owner)) is not None

    _add(counts, {"months_dropped": drop_due_months(store, night, due, now, settled)})
    for owner in owners(store).values():
        done, result, stations = _purge_owner(store, night, owner, due, now, confirmed)
        fresh, kept_stations = fresh or done, [*kept_stations, *stations]
        _add(counts, result)
    done, result = _purge_evidence(store, night, due, now)
    fresh = fresh or done
    _add(counts, result)
    # Not only when something was deleted just now: a purge that was killed may have deleted it.
    _add(counts, drop_months(store, night, _before(due, "parcel_month"), now))
    destroyed = _destroy_day_keys(store, night, due, kept_stations, now)
    fresh = fresh or bool(destroyed)
    _add(counts, destroyed)
    return Outcome(night.run, "purge", counts=counts, already=not fresh)


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number


def _before(due: Iterable[Due], rule: str) -> datetime:
    return next(item.before for item in due if item.rule == rule)


def _purge_owner(
    store: Store,
    night: Night,
    owner: Owner,
    due: tuple[Due, ...],
    now: datetime,
    confirmed: date | None,
) -> tuple[bool, dict[str, int], list[str]]:
    with store.begin(controller=owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        stations = held.stations_held(connection, night.business_date)
        claim = _claim(connection, night, owner)
        done = find(connection, claim)
        if done is not None:
            return False, done["counts"], stations
        counts = _apply(connection, store.provider, owner, due, now, night.business_date)
        gone = taken(connection, owner)
        _add(counts, gone.counts)
        make(connection, claim, {"counts": counts, "months": gone.claims})
        facts = {
            "controller": owner.code,
            "counts": counts,
            "policy": night.policy.digest,
            "business_date": night.business_date.isoformat(),
            "confirmed": confirmed is not None,
        }
        journal.append(connection, "purge", night.run, now, facts)
        _step_result(connection, night, owner.code, counts)
        return True, counts, stations


def _claim(connection: Connection, night: Night, owner: Owner) -> Claim:
    state = connection.execute(text(_STATE), {"id": owner.id}).scalar_one()
    digest = input_digest(night.business_date, state)
    return Claim("purge", owner.code, digest, night.policy.digest)


def _apply(
    connection: Connection,
    provider: KeyProvider,
    owner: Owner,
    due: tuple[Due, ...],
    now: datetime,
    day: date,
) -> dict[str, int]:
    ring = open_ring(connection, provider, owner)
    counts = held.close_ended(connection, ring, owner, day, now)
    holds = held.open_holds(connection, day)
    values = {
        "everything": holds.everything,
        "any_hold": holds.any,
        "pickup_record": _before(due, "pickup_record"),
    }
    work = Work(connection, ring, owner, day, now, values)
    for item in due:
        _add(counts, carry_out(work, item))
    for statement in _FORGET_BEFORE:
        connection.execute(text(statement))
    return counts


def _purge_evidence(
    store: Store, night: Night, due: tuple[Due, ...], now: datetime
) -> tuple[bool, dict[str, int]]:
    """Delete what the nights wrote about themselves and no law asks for any longer."""
    claim = Claim("purge", "", input_digest(night.business_date), night.policy.digest)
    with store.begin() as connection:
        lock(connection, "safehands.purge.evidence")
        done = find(connection, claim)
        if done is not None:
            return False, done["counts"]
        counts: dict[str, int] = {}
        for item in due:
            for table in _EVIDENCE.get(item.rule, ()):
                statement = f"DELETE FROM {table} WHERE business_date < :day"
                gone = connection.execute(text(statement), {"day": item.before.date()}).rowcount
                _add(counts, {item.rule: gone})
        make(connection, claim, {"counts": counts})
        if any(counts.values()):
            facts = {"counts": counts, "policy": night.policy.digest}
            journal.append(connection, "purge", night.run, now, facts)
            _step_result(connection, night, "", counts)
        return any(counts.values()), counts


def _destroy_day_keys(
    store: Store,
    night: Night,
    due: tuple[Due, ...],
    kept_stations: Iterable[str],
    now: datetime,
) -> dict[str, int]:
    """Destroy the day keys of quarantine and landing archive that are past their time.

    Those of stations whose owner's data is held as a whole stay. Return how many of each kind.
    """
    names = _past_day_keys(store.provider, due, set(kept_stations))
    with store.begin() as connection:
        counts = daykeys.by_kind(daykeys.announce(connection, names))
        if counts:
            facts = {"counts": counts, "policy": night.policy.digest}
            journal.append(connection, "purge", night.run, now, facts)
            _step_result(connection, night, "", counts)
    daykeys.finish(store)
    return counts


def _past_day_keys(provider: KeyProvider, due: tuple[Due, ...], kept: set[str]) -> list[str]:
    found = []
    for item in due:
        if item.action == "destroy_key":
            kind = _KEYS[item.rule]
            for name in provider.names(f"day/{kind}"):
                station, day = name.split("/")[-2:]
                if station not in kept and date.fromisoformat(day) < item.before.date():
                    found.append(name)
    return found


def _step_result(connection: Connection, night: Night, shard: str, counts: dict[str, int]) -> None:
    values = {
        "run": night.run,
        "day": night.business_date,
        "shard": shard,
        "counts": json.dumps(counts),
        "seconds": night.elapsed(),
    }
    connection.execute(text(_STEP), values)


# What the load kept of the state before this night has served: its shards are all loaded.
_FORGET_BEFORE = (
    "UPDATE subject SET before = NULL WHERE before IS NOT NULL",
    "UPDATE preference SET before = '' WHERE before <> ''",
)
_STATE = "SELECT coalesce(max(id), 0) FROM batch WHERE controller_id = :id AND state = 'loaded'"
_STEP = (
    "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
    " VALUES (:run, :day, :shard, 'purge', CAST(:counts AS jsonb), '{}', :seconds)"
)
