"""Write evidence, declarations and figures for one owner, as other parts would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands import rulebook
from safehands.installation import Installation
from safehands.organisation import Row, record
from safehands.rulebook import Books, Occasion, RuleResult
from safehands.store.register import owners

__all__ = ["OWNER", "Home"]

OWNER = "jia"


@dataclass
class Home:
    inst: Installation
    books: Books

    @property
    def owner_id(self) -> int:
        return owners(self.inst.store)[OWNER].id

    def evidence(self, kind: str, held: date = BUSINESS_DATE, days: int = 10, **more: Any) -> None:
        row = Row(OWNER, "evidence", kind, held, held + timedelta(days=days), 0.0, "owner", "", "")
        record(self.inst, [Row(**{**row.__dict__, **more})], BUSINESS_DATE)

    def declare(self, kind: str, number: float, held: date = BUSINESS_DATE, days: int = 10) -> None:
        until = held + timedelta(days=days)
        row = Row(OWNER, "declaration", kind, held, until, number, "owner", "", "")
        record(self.inst, [row], BUSINESS_DATE)

    def figure(self, name: str, number: float, day: date = BUSINESS_DATE, scope: str = "") -> None:
        kind = self.books.rules.figures[name]
        scope = scope or ("H-1" if kind.each else "")
        owner = owners(self.inst.store)[OWNER]
        with self.inst.store.begin(controller=owner.id) as connection:
            rulebook.record_figure(
                connection,
                self.books.rules.figures,
                owner,
                name,
                number,
                day=day,
                run="test-run",
                source="test",
                scope=scope,
            )

    def put(self, measure: str, number: float | None) -> None:
        """Make ``measure`` of the register, a declaration or a figure read ``number``."""
        family, _, name = measure.partition(".")
        if number is None:
            return
        if family == "register":
            expired = BUSINESS_DATE - timedelta(days=400)
            self.evidence(name, held=BUSINESS_DATE if number >= 1 else expired)
        elif family == "declared":
            self.declare(name, number)
        else:
            self.figure(name, number)

    def check(
        self, occasion: Occasion | None = None, day: date = BUSINESS_DATE
    ) -> dict[str, RuleResult]:
        found = rulebook.check(self.inst, day, occasion, books=self.books)
        return {result.rule: result for result in found}

    def facts(self, occasion: Occasion | None = None, **more: Any) -> Any:
        found = rulebook.gather(self.inst, self.books, BUSINESS_DATE, occasion, **more)
        return found[OWNER]

    def run(self, statement: str, **values: Any) -> None:
        """Execute as the administrator, the way earlier steps would have left things."""
        with self.inst.store.admin().begin() as connection:
            connection.execute(text(statement), {"owner": self.owner_id, **values})

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.inst.store.admin().connect() as connection:
            return list(connection.execute(text(query), values))

    def assessment(self, day: date, k: int, overall: float, highest: float) -> None:
        releases = [{"release": r, "overall": overall} for r in ("public", "controlled")]
        figures = {
            "people": 100,
            "k": k,
            "releases": releases,
            "figures": {"prosecutor": {"highest": highest}},
        }
        self.run(
            "INSERT INTO risk_assessment (business_date, controller_id, figures)"
            " VALUES (:day, :owner, CAST(:f AS jsonb))",
            day=day,
            f=json.dumps(figures),
        )

    def quality(self, rule: str, evaluated: int, failed: int, day: date = BUSINESS_DATE) -> None:
        suite = rule.split(".", maxsplit=1)[0]
        self.run(
            "INSERT INTO quality_result (controller_id, run, business_date, station, dataset,"
            " suite, rule, dimension, severity, evaluated, failed) VALUES (:owner, 'n-1', :day,"
            " 'S1', :suite, :suite, :rule, 'validity', 'warning', :evaluated, :failed)",
            day=day,
            suite=suite,
            rule=rule,
            evaluated=evaluated,
            failed=failed,
        )

    def step(
        self, step: str, shard: str, counts: dict[str, int], day: date = BUSINESS_DATE
    ) -> None:
        self.run(
            "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
            " VALUES ('n-1', :day, :shard, :step, CAST(:counts AS jsonb), '{}', 0)",
            day=day,
            shard=shard,
            step=step,
            counts=json.dumps(counts),
        )

    def backup(self, day: date) -> None:
        self.run(
            "INSERT INTO backup (business_date, manifest, created_at, facts)"
            " VALUES (:day, :manifest, now(), '{}')",
            day=day,
            manifest=f"m-{day}",
        )
