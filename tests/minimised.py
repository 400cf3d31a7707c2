"""Minimised tables made by hand, loaded as shards, and the store read back in plain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import text

from nights import NOW
from safehands.artifacts import write_artifact
from safehands.datasets import Handoff, Shard, SourceFile
from safehands.keys import KeyRing
from safehands.night import Night
from safehands.pseudonymise import pseudonymise
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store import Store
from safehands.store.register import Owner, open_ring, owners, register
from safehands.vault.access import Access
from safehands.vault.holds import Order, place
from safehands.vault.restrict import restrict

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIME = pa.timestamp("us", "UTC")
SCHEMAS = {
    "parcels": pa.schema(
        [
            ("_file", pa.int32()),
            ("waybill_no", pa.string()),
            ("carrier", pa.int16()),
            ("receiver_phone", pa.string()),
            ("receiver_name", pa.string()),
            ("receiver_address", pa.string()),
            ("district", pa.int32()),
            ("pickup_code", pa.string()),
            ("shelf", pa.string()),
            ("in_custody", pa.bool_()),
            ("status", pa.int16()),
            ("weight_band", pa.int16()),
            ("tags", pa.int16()),
            ("arrived_at", TIME),
            ("collected_at", TIME),
        ]
    ),
    "customers": pa.schema(
        [
            ("_file", pa.int32()),
            ("receiver_phone", pa.string()),
            ("receiver_name", pa.string()),
            ("receiver_address", pa.string()),
            ("updated_at", TIME),
        ]
    ),
    "preferences": pa.schema(
        [
            ("_file", pa.int32()),
            ("receiver_phone", pa.string()),
            ("notify_channel", pa.int16()),
            ("delivery_choice", pa.int16()),
            ("time_window", pa.int16()),
            ("marketing", pa.int8()),
            ("updated_at", TIME),
        ]
    ),
    "quarantine": pa.schema(
        [
            ("_file", pa.int32()),
            ("_sheet", pa.string()),
            ("_row", pa.int32()),
            ("dataset", pa.string()),
            ("rule", pa.string()),
            ("column", pa.string()),
            ("payload", pa.string()),
        ]
    ),
}
DATASETS = ("parcels", "customers", "preferences")
PHONE = "13800000001"
Rows = Sequence[Mapping[str, Any]]


def at(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    """Return a wall time in Asia/Shanghai."""
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI)


def parcel(number: str, arrived: datetime, **changes: Any) -> dict[str, Any]:
    """Return a parcel that waits, or one collected if ``collected_at`` is given."""
    waiting = changes.get("collected_at") is None and changes.get("status", 1) <= 1
    row = {
        "waybill_no": number,
        "carrier": 1,
        "receiver_phone": PHONE,
        "receiver_name": "张伟",
        "district": 440305,
        "pickup_code": "7-1-2" if waiting else None,
        "shelf": "A7" if waiting else None,
        "in_custody": waiting,
        "status": 1 if waiting else 2,
        "weight_band": 1,
        "tags": 0,
        "arrived_at": arrived,
    }
    return {**row, **changes}


def collected(number: str, arrived: datetime, **changes: Any) -> dict[str, Any]:
    """Return a parcel that was collected an hour after it arrived."""
    return parcel(number, arrived, **{"collected_at": arrived + timedelta(hours=1), **changes})


def preference(updated: datetime | None, **changes: Any) -> dict[str, Any]:
    row = {
        "receiver_phone": PHONE,
        "notify_channel": 1,
        "delivery_choice": 1,
        "time_window": 0,
        "marketing": -1,
        "updated_at": updated,
    }
    return {**row, **changes}


def customer(updated: datetime | None, **changes: Any) -> dict[str, Any]:
    row = {"receiver_phone": PHONE, "receiver_name": "张伟", "updated_at": updated}
    return {**row, **changes}


def declared() -> Register:
    """Two owners: A with two stations, B with one."""
    sets = {name: RecordSet(role="handler") for name in DATASETS}
    stations = {"A": ("A1", "A2"), "B": ("B1",)}
    return Register(
        controllers=tuple(
            Controller(
                code=owner,
                name=f"owner {owner}",
                record_sets=sets,
                stations=tuple(Station(code=c, name=c, folder=c) for c in codes),
            )
            for owner, codes in stations.items()
        )
    )


def _pass(table: pa.Table) -> list[dict[str, Any]]:
    return []


@dataclass
class World:
    """A store with owners A and B, and nights that load shards into it."""

    store: Store
    night: Night
    now: datetime = NOW
    check: Callable[[pa.Table], list[dict[str, Any]]] = _pass
    made: list[Handoff] = field(default_factory=list)

    def __post_init__(self) -> None:
        register(self.store, declared(), self.night.business_date)

    def on(self, day: date) -> World:
        """Return the world on the night of another business date."""
        night = replace(self.night, run=f"nightly-{day}", business_date=day)
        return replace(self, night=night, now=at(day.year, day.month, day.day) + timedelta(days=1))

    def shard(
        self,
        parcels: Rows = (),
        *,
        customers: Rows = (),
        preferences: Rows = (),
        quarantine: Rows = (),
        stations: Sequence[str] = ("A1",),
        **changes: Any,
    ) -> Handoff:
        """Write a shard's artifacts; one file per station, rows are the first's by default."""
        number = len(self.made)
        files = tuple(
            SourceFile(code, f"{code}/{number}.csv", 1, _digest(number, code)) for code in stations
        )
        given = {"customers": customers, "preferences": preferences, "quarantine": quarantine}
        tables = {"parcels": parcels, **{k: v for k, v in given.items() if v}}
        artifacts = {
            name: write_artifact(_table(name, rows), self.night.work, name, self.night.key)
            for name, rows in tables.items()
        }
        shard = Shard(f"{stations[0][0]}-{number}", stations[0][0], files)
        changes = {"artifacts": artifacts, **changes}
        handoff = Handoff(self.night.run, "minimise", shard, **changes)
        self.made.append(handoff)
        return handoff

    def write(self, handoff: Handoff) -> Handoff:
        return pseudonymise(handoff, self.night, self.store, self.now, self.check)

    def load(self, parcels: Rows = (), **changes: Any) -> dict[str, int]:
        """Make a shard, write it and return its counts."""
        return dict(self.write(self.shard(parcels, **changes)).counts)

    def owner(self, code: str = "A") -> Owner:
        return owners(self.store)[code]

    def ring(self, code: str = "A") -> KeyRing:
        with self.store.begin() as connection:
            return open_ring(connection, self.store.provider, self.owner(code))

    def rows(self, query: str, code: str = "A", *, storage: bool = False) -> list[dict[str, Any]]:
        """Return the rows of a query as the pipeline sees them, bound to an owner.

        ``storage``: restricted people too.
        """
        owner = self.owner(code).id
        with self.store.begin(controller=owner, storage=storage) as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def people(self, code: str = "A") -> list[dict[str, Any]]:
        """Return the subjects by lookup and generation, restricted ones too, records opened."""
        query = "SELECT * FROM subject ORDER BY lookup, generation"
        found = self.rows(query, code, storage=True)
        ring = self.ring(code)
        for row in found:
            subject = [row["subject_id"].bytes]
            (secret,) = ring.unwrap_salts(subject, [bytes(row["wrapped_salt"])])
            (plain,) = ring.unseal("person", subject, [secret[:16]], [bytes(row["sealed"])])
            row["record"] = json.loads(plain)
        return found

    def parcels(self, code: str = "A") -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM parcel ORDER BY arrived_at, waybill", code)

    def slips(self, code: str = "A") -> list[dict[str, str]]:
        """Return the opened slips of parcels in custody, by waybill number."""
        ring = self.ring(code)
        salts = {}
        for row in self.rows("SELECT subject_id, wrapped_salt FROM subject", code):
            subject = row["subject_id"]
            (secret,) = ring.unwrap_salts([subject.bytes], [bytes(row["wrapped_salt"])])
            salts[subject] = secret[:16]
        found = []
        for row in self.rows("SELECT * FROM custody", code):
            token = row["waybill"].bytes
            loose = row["subject_id"] is None
            salt = ring.custody_salts([token])[0] if loose else salts[row["subject_id"]]
            (plain,) = ring.unseal("custody", [token], [salt], [bytes(row["sealed"])])
            found.append(json.loads(plain))
        return sorted(found, key=lambda slip: str(slip["waybill"]))

    def access(self, purpose: str = "rights", code: str = "A") -> Access:
        """Return a request of a member of staff."""
        return Access(code, "wang.li", purpose)

    def restrict(self, subject: Any, *, until: date | None = None, code: str = "A") -> None:
        """Restrict somebody at the world's present moment."""
        reason, policy = ("request" if until is None else "legal_period"), self.night.policy
        restrict(
            self.store,
            policy,
            self.access(code=code),
            self.now,
            subject=subject,
            reason=reason,
            until=until,
        )

    def hold(self, days: int = 30, code: str = "A", **target: Any) -> int:
        """Place a hold that ends so many days after the world's present day."""
        until = self.now.astimezone(SHANGHAI).date() + timedelta(days=days)
        order = Order(code, "dispute", "legal.chen", until, **target)
        return place(self.store, self.night.policy, order, "wang.li", self.now)

    def census(self) -> dict[str, int]:
        """Return how many rows each table holds, seen by the role that sees all."""
        with self.store.begin("safehands_backup") as connection:
            return {
                table: int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
                for table in (*TABLES, "effect", "ledger_entry")
            }


TABLES = (
    "subject",
    "parcel",
    "custody",
    "preference",
    "tombstone",
    "batch",
    "quarantine",
    "step_result",
    "quality_result",
)


def _table(name: str, rows: Rows) -> pa.Table:
    schema = SCHEMAS[name]
    filled = [{"_file": 0, **row} for row in rows]
    return pa.Table.from_pylist([{f: r.get(f) for f in schema.names} for r in filled], schema)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
