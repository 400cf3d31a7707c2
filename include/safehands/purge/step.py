"""Apply what is due: one transaction per owner with its claim and its ledger entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import Outcome
from safehands.errors import RetentionRefused
from safehands.keys import FileProvider, KeyRing
from safehands.masking import mask_name, mask_phone
from safehands.night import SHANGHAI, Night
from safehands.purge.plan import Due, plan_purge
from safehands.store import Store, lock
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.people import reseal
from safehands.store.register import Owner, open_ring, owners

__all__ = ["count_due", "purge"]

_RECORD, _MASKED = "person", 1


def purge(night: Night, store: Store, now: datetime) -> Outcome:
    """Delete, mask and forget what policy says is past its time on the night's business date.

    Counts: one per retention rule, plus ``months_dropped``. A person who goes leaves a
    tombstone, so that an old export does not bring them back.

    Raises ``RetentionRefused`` when the business date lies in the future: a clock that jumped
    ahead would delete what should be kept.
    """
    if night.business_date > now.astimezone(SHANGHAI).date():
        raise RetentionRefused("purge.future_date", date=night.business_date.isoformat())
    due = plan_purge(night.policy, night.business_date)
    _settle_load(store)
    counts: dict[str, int] = {}
    fresh = False
    for owner in owners(store).values():
        done, result = _purge_owner(store, night, owner, due, now)
        fresh = fresh or done
        for rule, number in result.items():
            counts[rule] = counts.get(rule, 0) + number
    # Not only when something was deleted just now: a purge that was killed may have deleted it.
    counts["months_dropped"] = _drop_months(store)
    _destroy_day_keys(store.provider, due)
    return Outcome(night.run, "purge", counts=counts, already=not fresh)


def count_due(night: Night, store: Store) -> dict[str, int]:
    """Return how many rows each rule would take today, without taking any (a rehearsal)."""
    due = plan_purge(night.policy, night.business_date)
    counts = {item.rule: 0 for item in due}
    for owner in owners(store).values():
        with store.begin(controller=owner.id) as connection:
            for item in due:
                if item.rule in _SELECT:
                    query = f"SELECT count(*) FROM {_SELECT[item.rule]}"
                    found = connection.execute(text(query), {"before": item.before})
                    counts[item.rule] += int(found.scalar_one())
    return counts


def _purge_owner(
    store: Store, night: Night, owner: Owner, due: tuple[Due, ...], now: datetime
) -> tuple[bool, dict[str, int]]:
    with store.begin(controller=owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        state = connection.execute(text(_STATE), {"id": owner.id}).scalar_one()
        digest = input_digest(night.business_date, state)
        claim = Claim("purge", owner.code, digest, night.policy.digest)
        done = find(connection, claim)
        if done is not None:
            return False, done["counts"]
        counts = _apply(connection, store.provider, owner, due, now)
        make(connection, claim, {"counts": counts})
        facts = {"controller": owner.code, "counts": counts, "policy": night.policy.digest}
        journal.append(connection, "purge", night.run, now, facts)
        _step_result(connection, night, owner, counts)
        return True, counts


def _apply(
    connection: Connection,
    provider: FileProvider,
    owner: Owner,
    due: tuple[Due, ...],
    now: datetime,
) -> dict[str, int]:
    counts: dict[str, int] = {}
    ring = open_ring(connection, provider, owner)
    for item in due:
        values = {"before": item.before}
        if item.rule == "contact_detail":
            counts[item.rule] = _mask(connection, ring, values)
        elif item.rule == "person_without_parcels":
            counts[item.rule] = _forget(connection, ring, owner, values, now)
        elif item.rule in _SELECT:
            statement = f"DELETE FROM {_SELECT[item.rule]}"
            counts[item.rule] = connection.execute(text(statement), values).rowcount
    return counts


def _mask(connection: Connection, ring: KeyRing, values: dict[str, Any]) -> int:
    query = (
        "SELECT s.subject_id, s.wrapped_salt, s.sealed,"
        f" (extract(epoch FROM s.last_seen) * 1000000)::int8 FROM {_SELECT['contact_detail']}"
    )
    rows = connection.execute(text(query), values).all()
    subjects = [row[0].bytes for row in rows]
    salts = [secret[:16] for secret in ring.unwrap_salts(subjects, [row[1] for row in rows])]
    plain = ring.unseal(_RECORD, subjects, salts, [row[2] for row in rows])
    sealed = ring.seal(_RECORD, subjects, salts, [_masked(record) for record in plain])
    moments = [row[3] for row in rows]
    reseal(connection, zip(subjects, sealed, _always(_MASKED), moments, moments, strict=False))
    return len(rows)


def _always(value: int) -> Iterator[int]:
    while True:
        yield value


def _masked(record: bytes) -> bytes:
    person = json.loads(record)
    kept = {"address": "", "name": mask_name(person["name"]), "phone": mask_phone(person["phone"])}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def _forget(
    connection: Connection, ring: KeyRing, owner: Owner, values: dict[str, Any], now: datetime
) -> int:
    query = f"SELECT s.subject_id, s.wrapped_salt FROM {_SELECT['person_without_parcels']}"
    rows = connection.execute(text(query), values).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    graves = [
        {"controller": owner.id, "token": secret[16:].hex(), "at": now, "id": row[0]}
        for row, secret in zip(rows, secrets, strict=True)
    ]
    if graves:
        connection.execute(text(_TOMBSTONE), graves)
        connection.execute(text("DELETE FROM subject WHERE subject_id = :id"), graves)
    return len(graves)


def _settle_load(store: Store) -> None:
    """Build the person index of months that are new, and statistics of tables that have none."""
    with store.begin() as connection:
        connection.execute(text("SELECT settle_load()"))


def _drop_months(store: Store) -> int:
    """Drop the partitions that no longer hold a row of anybody."""
    with store.begin("safehands_backup") as reader:
        months = [row[0] for row in reader.execute(text(_MONTHS))]
        empty = [m for m in months if reader.execute(text(_any_row(m))).scalar() is False]
    with store.begin() as connection:
        for month in empty:
            day = date(int(month[:4]), int(month[4:]), 1)
            connection.execute(text("SELECT drop_month(:month)"), {"month": day})
    return len(empty)


def _any_row(month: str) -> str:
    return (
        "SELECT EXISTS (SELECT FROM parcel WHERE arrived_at >="
        f" timestamp '{month[:4]}-{month[4:]}-01' AT TIME ZONE 'Asia/Shanghai' AND arrived_at <"
        f" (timestamp '{month[:4]}-{month[4:]}-01' + interval '1 month')"
        " AT TIME ZONE 'Asia/Shanghai')"
    )


def _destroy_day_keys(provider: FileProvider, due: tuple[Due, ...]) -> int:
    """Destroy the day keys of quarantine and landing archive that are past their time."""
    destroyed = 0
    for item in due:
        if item.action == "destroy_key":
            kind = {"landing_archive": "archive"}.get(item.rule, item.rule)
            for name in provider.names(f"day/{kind}"):
                if date.fromisoformat(name.rsplit("/", 1)[1]) < item.before.date():
                    destroyed += provider.destroy(name)
    return destroyed


def _step_result(
    connection: Connection, night: Night, owner: Owner, counts: dict[str, int]
) -> None:
    values = {
        "run": night.run,
        "day": night.business_date,
        "shard": owner.code,
        "counts": json.dumps(counts),
        "seconds": night.elapsed(),
    }
    connection.execute(text(_STEP), values)


_STATE = "SELECT coalesce(max(id), 0) FROM batch WHERE controller_id = :id AND state = 'loaded'"
_WAITS = "p.collected_at IS NULL AND p.status <= 1"
_SELECT = {
    "pickup_record": "parcel p WHERE p.collected_at < :before",
    "never_collected": "parcel p WHERE p.collected_at IS NULL AND p.arrived_at < :before",
    "contact_detail": (
        "subject s WHERE s.detail = 0 AND NOT s.restricted AND s.last_seen < :before"
        " AND NOT EXISTS (SELECT FROM parcel p WHERE p.subject_id = s.subject_id"
        f" AND (({_WAITS}) OR p.collected_at >= :before))"
    ),
    "custody_detail": (
        "custody c WHERE (c.waybill, c.arrived_at) NOT IN (SELECT p.waybill, p.arrived_at"
        f" FROM parcel p WHERE {_WAITS}) AND :before IS NOT NULL"
    ),
    "idle_preference": (
        "preference f WHERE f.updated_at < :before AND NOT EXISTS (SELECT FROM subject s"
        " WHERE s.subject_id = f.subject_id AND s.last_seen >= :before)"
    ),
    "person_without_parcels": (
        "subject s WHERE s.last_seen < :before AND NOT s.restricted"
        " AND NOT EXISTS (SELECT FROM parcel p WHERE p.subject_id = s.subject_id)"
        " AND NOT EXISTS (SELECT FROM preference f WHERE f.subject_id = s.subject_id)"
    ),
    "quarantine": (
        "quarantine q WHERE q.day < CAST(CAST(:before AS timestamptz)"
        " AT TIME ZONE 'Asia/Shanghai' AS date)"
    ),
}
_TOMBSTONE = (
    "INSERT INTO tombstone AS t (controller_id, token, erased_at, reason)"
    " VALUES (:controller, CAST(:token AS uuid), :at, 'retention')"
    " ON CONFLICT (controller_id, token) DO UPDATE"
    " SET erased_at = greatest(t.erased_at, excluded.erased_at)"
)
_MONTHS = (
    "SELECT right(c.relname, 6) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'parcel'::regclass ORDER BY 1"
)
_STEP = (
    "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
    " VALUES (:run, :day, :shard, 'purge', CAST(:counts AS jsonb), '{}', :seconds)"
)
