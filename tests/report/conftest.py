"""A small store whose every number is known: two owners, three stations, seven people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from safehands.night import Night
from safehands.store import Store

CANARY = "13812345678"

_UNLESS_THERE = (
    "INSERT INTO subject SELECT controller_id, CAST(:p AS uuid), gen_random_uuid(), 0, 1, '',"
    " 1, '', 0, CAST(:seen AS timestamptz), CAST(:seen AS timestamptz), false FROM station"
    " WHERE code = :s ON CONFLICT DO NOTHING"
)


def person(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


class Filler:
    """Writes rows as the administrator, the way the earlier steps would have left them."""

    def __init__(self, store: Store, night: Night) -> None:
        self.store, self.night, self.waybills = store, night, 0

    def run(self, statement: str, **values: Any) -> None:
        with self.store.admin().begin() as connection:
            connection.execute(text(statement), values)

    def owner(self, code: str, name: str, kind: str, stations: dict[str, str]) -> None:
        self.run(
            "INSERT INTO controller (code, name, kind) VALUES (:c, :n, :k)", c=code, n=name, k=kind
        )
        for station, title in stations.items():
            self.run(
                "INSERT INTO station (controller_id, code, name)"
                " SELECT id, :s, :t FROM controller WHERE code = :c",
                c=code,
                s=station,
                t=title,
            )

    def role(self, owner: str, dataset: str, role: str, by: str = "") -> None:
        self.run(
            "INSERT INTO record_set SELECT id, :d, :r, :b FROM controller WHERE code = :c",
            c=owner,
            d=dataset,
            r=role,
            b=by,
        )

    def batch(self, station: str, label: str, facts: dict[str, Any], **more: Any) -> None:
        problem = more.get("problem")
        self.run(
            "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
            " business_date, state, problem, facts) SELECT controller_id, id, :label, 'p', :label,"
            " :run, :day, :state, CAST(:problem AS jsonb), CAST(:facts AS jsonb) FROM station"
            " WHERE code = :s",
            s=station,
            label=label,
            run=self.night.run,
            day=more.get("day", self.night.business_date),
            state="set_aside" if problem else "loaded",
            problem=json.dumps(problem) if problem else None,
            facts=json.dumps(facts),
        )

    def people(self, owner: str, *numbers: int, seen: str = "2026-11-20") -> None:
        for number in numbers:
            self.run(
                "INSERT INTO subject SELECT id, CAST(:p AS uuid), gen_random_uuid(), 0, 1, '',"
                " 1, '', 0, CAST(:seen AS timestamptz), CAST(:seen AS timestamptz), false"
                " FROM controller WHERE code = :c",
                c=owner,
                p=person(number),
                seen=f"{seen} 00:00+08",
            )

    def parcel(self, station: str, who: int | None, arrived: str, **more: Any) -> None:
        self.waybills += 1
        collected = more.get("collected")
        self.run("SELECT add_month(CAST(:d AS date))", d=arrived[:10])
        if who is not None:
            self.run(_UNLESS_THERE, s=station, p=person(who), seen="2026-11-20 00:00+08")
        self.run(
            "INSERT INTO parcel SELECT controller_id, id, CAST(:w AS uuid), CAST(:p AS uuid),"
            " CAST(:a AS timestamptz), CAST(:g AS timestamptz), :district, 1, :carrier, :status,"
            " :weight, 0 FROM station WHERE code = :s",
            s=station,
            w=f"ffffffff-0000-4000-8000-{self.waybills:012d}",
            p=None if who is None else person(who),
            a=f"{arrived}+08",
            g=f"{collected}+08" if collected else None,
            district=more.get("district", 330106),
            carrier=more.get("carrier", 4),
            status=2 if collected else 1,
            weight=more.get("weight", 1),
        )

    def preference(self, owner: str, who: int, notify: int, delivery: int) -> None:
        self.run(
            "INSERT INTO preference SELECT id, CAST(:p AS uuid), :n, :d, 0, -1,"
            " '2026-11-01 00:00+08', 1 FROM controller WHERE code = :c",
            c=owner,
            p=person(who),
            n=notify,
            d=delivery,
        )

    def quarantine(self, label: str, rule: str, rows: range, **more: Any) -> None:
        for row in rows:
            self.run(
                "INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number,"
                " rule, column_name, sealed) SELECT controller_id, id, :day, 'parcels', :sheet,"
                " :row, :rule, :column, :sealed FROM batch WHERE label = :label",
                label=label,
                day=more.get("day", self.night.business_date),
                sheet=more.get("sheet", ""),
                row=row,
                rule=rule,
                column=more.get("column", "receiver_phone"),
                sealed=CANARY.encode(),
            )

    def quality(self, station: str, rule: str, dimension: str, evaluated: int, failed: int) -> None:
        self.run(
            "INSERT INTO quality_result (controller_id, run, business_date, station, dataset,"
            " suite, rule, dimension, severity, evaluated, failed) SELECT controller_id, :run,"
            " :day, code, 'parcels', 'parcels', :rule, :dim, 'warning', :e, :f FROM station"
            " WHERE code = :s",
            s=station,
            run=self.night.run,
            day=self.night.business_date,
            rule=rule,
            dim=dimension,
            e=evaluated,
            f=failed,
        )

    def step(self, step: str, shard: str, seconds: float, **counts: int) -> None:
        self.run(
            "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
            " VALUES (:run, :day, :shard, :step, CAST(:counts AS jsonb), '{}', :seconds)",
            run=self.night.run,
            day=self.night.business_date,
            shard=shard,
            step=step,
            counts=json.dumps(counts),
            seconds=seconds,
        )

    def backup(self) -> None:
        facts = {"parts": 9, "written": 4, "rows": 120, "bytes": 2_500_000, "lost": 0}
        self.run(
            "INSERT INTO backup (business_date, manifest, created_at, facts) VALUES (:day,"
            " 'manifests/2026-11-23-0a1b2c3d.age', '2026-11-24 02:00+08', CAST(:f AS jsonb))",
            day=self.night.business_date,
            f=json.dumps({**facts, "manifest_digest": "ab" * 32}),
        )


@pytest.fixture
def fill(store: Store, night: Night) -> Filler:
    return Filler(store, night)


@pytest.fixture
def filled(fill: Filler) -> Filler:
    """A night with a bit of everything; S3's owner has no person."""
    fill.owner("lihua", "Li Hua", "sole_trader", {"S1": "Lake station", "S2": "Gate station"})
    fill.owner("antai", "Antai Ltd", "company", {"S3": "Hill station"})
    for dataset in ("parcels", "customers", "preferences"):
        fill.role("lihua", dataset, "handler")
    fill.role("antai", "parcels", "entrusted", "ZTO")
    fill.role("antai", "customers", "unknown")
    sheet = {"dataset": "parcels", "dropped": ["operator", "taker_phone"], "undeclared": ["H"]}
    fill.batch("S1", "S1/a.csv", {"read": 40, "out": 12, "undeclared": 1, "sheets": [sheet]})
    fill.batch("S2", "S2/<b>.xlsx", {"read": 9, "out": 9, "undeclared": 0, "sheets": [sheet]})
    problem = {"key": "ingest.empty", "params": {"file": "S3/c.csv"}, "exit_code": 23}
    fill.batch("S3", "S3/c.csv", {}, problem=problem)
    fill.people("lihua", 1, 2, 3, 4, 5, 6, 7)
    for who in range(1, 7):
        fill.parcel("S1", who, "2026-11-10 10:00", collected="2026-11-10 19:00")
    fill.parcel("S2", 7, "2026-11-11 10:00", collected="2026-11-12 11:00", carrier=1)
    fill.parcel("S2", None, "2026-11-12 10:00")
    fill.preference("lihua", 1, 2, 1)
    fill.quarantine("S1/a.csv", "parcels.phone_missing", range(3, 28))
    fill.quarantine("S2/<b>.xlsx", "time_unreadable", range(8, 10), sheet=f"day {CANARY}")
    fill.quality("S1", "parcels.phone_odd", "validity", 30_000, 1)
    fill.quality("S1", "parcels.phone_missing", "completeness", 40, 25)
    fill.quality("S2", "parcels.phone_odd", "validity", 9, 0)
    fill.step("ingest", "s-1", 1.5, **{"in": 40, "out": 15, "quarantined": 25})
    fill.step("ingest", "s-2", 0.25, **{"in": 9, "out": 9, "quarantined": 0})
    fill.step("pseudonymise", "s-1", 0.5, **{"in": 24, "out": 8, "new": 8, "new_people": 7})
    fill.step("purge", "lihua", 0.1, pickup_record=3)
    fill.backup()
    return fill
