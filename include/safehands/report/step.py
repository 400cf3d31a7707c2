"""The step ``report``: what the night can prove, as one page and one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.datasets import Outcome
from safehands.ledger import canonical_json
from safehands.night import Night
from safehands.report import files
from safehands.report.attention import places
from safehands.report.document import compose
from safehands.report.evidence import OWN_STEP, gather, newest_checkpoint
from safehands.report.exposure import exposure
from safehands.report.kept import standing
from safehands.report.page import edition, render
from safehands.report.people import people_table
from safehands.report.refresh import refresh
from safehands.report.retention import retained
from safehands.rotation.state import escrow_holds
from safehands.store import Store, lock
from safehands.store.effects import Claim, find, input_digest, make
from safehands.store.register import owners
from safehands.threats import load_threats

__all__ = ["figures", "report"]

_PAGE, _DATA = "report.html", "report.json"

_WHOLE_DAYS = 7
"""How often what is kept of people and months is compared with the parcels, by the calendar."""


def report(
    night: Night, store: Store, now: datetime, ready: Mapping[str, Any] | None = None
) -> Outcome:
    """Assess re-identification risk and write ``report.html`` and ``report.json`` of the night.

    They lie in ``night.settings.reports / <business date>``. Both are a function of the evidence,
    the tables and the time recorded with the claim: for the same evidence nothing is written
    again, and a file that was lost or changed since is made anew, byte for byte.

    Counts: ``people``, ``parcels``, ``stations``, ``k`` (smallest group of any owner, 0 without
    people), ``needs_person``. Details: ``html``, ``json`` (paths), ``quality``: per station
    ``station`` and ``score`` (hundredths of a percent, ``None`` without a verdict), worst first.

    Every seventh day what is kept of people and months (``report.kept``) is made anew from the
    parcels; were it something else, an entry in the ledger says so (``figures_wrong``).

    ``ready`` are the ``figures`` of the tables as they are, drawn a moment ago; without them they
    are drawn here.

    Raises ``SetupProblem`` when the folder cannot be written. Promises nothing beyond the
    evidence: a judgement in it says "draft" until a person has made it.
    """
    wrong = refresh(store, whole=night.business_date.toordinal() % _WHOLE_DAYS == 0)
    if wrong:
        with store.begin() as connection:
            journal.append(connection, OWN_STEP, night.run, now, {"figures_wrong": wrong})
    shown = {**places(night.settings), "escrow": escrow_holds(store)}
    evidence = {**gather(night, store), "places": shown, "threats": _threats(night)}
    digest = input_digest(evidence, edition())
    claim = Claim(OWN_STEP, "night", digest, night.policy.digest)
    with store.begin() as connection:
        # One report at a time: files on disk and the digests in the ledger belong together.
        lock(connection, "safehands.report")
        work = _Work(night, store, evidence, digest, ready)
        done = find(connection, claim)
        if done is not None:
            _restore(work, done)
            return work.outcome(done["counts"], done["quality"], already=True)
        moment = {
            "made_at": now.isoformat(timespec="seconds"),
            "checkpoint": newest_checkpoint(connection),
        }
        written = _Written.of(work, moment)
        written.save(work.folder)
        result = {**moment, **written.result()}
        make(connection, claim, result)
        _record(connection, work, written, now)
    return work.outcome(result["counts"], result["quality"])


def figures(night: Night, store: Store) -> dict[str, Any]:
    """Return what is not evidence but follows from the tables: ``risk`` per owner's code (see
    ``exposure``), ``retention``, and the same per owner's code as ``held``.

    What is kept of people and months is brought up to date first: it is read here several times.
    """
    refresh(store)
    with store.begin() as connection:
        now = standing(connection)
    risk = {}
    threats = load_threats(night.settings.policy).at(night.business_date)
    for owner in owners(store).values():
        with store.begin(controller=owner.id, snapshot=True) as connection:
            people = people_table(connection, now)
        risk[owner.code] = exposure(people, threats)
    whole, mine = retained(night, store, now)
    return {"risk": risk, "retention": whole, "held": mine}


def _threats(night: Night) -> dict[str, Any]:
    """Return the judgement of the threats that counts, as JSON types; ``draft``: nobody's."""
    found = load_threats(night.settings.policy).at(night.business_date)
    return {**found.model_dump(mode="json"), "draft": found.judged is None}


@dataclass(frozen=True)
class _Work:
    """One report in the making."""

    night: Night
    store: Store
    evidence: Mapping[str, Any]
    digest: str
    ready: Mapping[str, Any] | None = None

    @property
    def folder(self) -> Path:
        return self.night.settings.reports / self.night.business_date.isoformat()

    def outcome(
        self, counts: Mapping[str, int], quality: list[dict[str, Any]], already: bool = False
    ) -> Outcome:
        paths = {"html": str(self.folder / _PAGE), "json": str(self.folder / _DATA)}
        details = {**paths, "quality": quality}
        return Outcome(self.night.run, OWN_STEP, counts=counts, details=details, already=already)


@dataclass(frozen=True)
class _Written:
    """The two files and the data they were made of."""

    document: Mapping[str, Any]
    page: bytes
    data: bytes
    held: Mapping[str, list[dict[str, Any]]]

    @classmethod
    def of(cls, work: _Work, moment: Mapping[str, Any]) -> _Written:
        made = {**moment, "digest": work.digest}
        drawn = work.ready if work.ready is not None else figures(work.night, work.store)
        document = compose(work.evidence, drawn, work.night.policy, made)
        text_ = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
        return cls(
            document, render(document, work.night.policy), f"{text_}\n".encode(), drawn["held"]
        )

    def save(self, folder: Path) -> None:
        files.write(folder / _DATA, self.data)
        files.write(folder / _PAGE, self.page)

    def digests(self) -> dict[str, str]:
        return {"html": files.digest(self.page), "json": files.digest(self.data)}

    def result(self) -> dict[str, Any]:
        """Return what the claim keeps, so that a second look needs no figures."""
        glance = self.document["glance"]
        names = ("people", "parcels", "stations", "k", "needs_person")
        quality = [{n: q[n] for n in ("station", "score")} for q in self.document["quality"]]
        counts = {name: glance[name] for name in names}
        return {"counts": counts, "quality": quality, "digests": self.digests()}


def _restore(work: _Work, done: Mapping[str, Any]) -> None:
    """Make the files anew when they are not what was recorded."""
    kept = {"html": work.folder / _PAGE, "json": work.folder / _DATA}
    if all(files.holds(path, done["digests"][name]) for name, path in kept.items()):
        return
    moment = {name: done[name] for name in ("made_at", "checkpoint")}
    _Written.of(work, moment).save(work.folder)


def _record(connection: Connection, work: _Work, written: _Written, now: datetime) -> None:
    night, result = work.night, written.result()
    for owner, risk in zip(work.evidence["owners"], written.document["risk"], strict=True):
        figures = {name: value for name, value in risk.items() if name != "owner"}
        values = {"day": night.business_date, "code": owner["code"], "f": json.dumps(figures)}
        connection.execute(text(_ASSESSMENT), values)
    connection.execute(text(_ROLL_UP), {"day": night.business_date})
    _keep_held(connection, night, written.held)
    facts = {"counts": result["counts"], "evidence": work.digest, "policy": night.policy.digest}
    journal.append(connection, OWN_STEP, night.run, now, {**facts, "files": result["digests"]})
    values = {
        "run": night.run,
        "day": night.business_date,
        "step": OWN_STEP,
        "counts": canonical_json(result["counts"]).decode(),
        "seconds": round(night.elapsed(), 3),
    }
    connection.execute(text(_STEP), values)


def _keep_held(
    connection: Connection, night: Night, held: Mapping[str, list[dict[str, Any]]]
) -> None:
    """Keep what each owner holds, for the dashboards; a later report of the day replaces it."""
    connection.execute(text(_NO_HELD), {"day": night.business_date})
    rows = [
        {
            "day": night.business_date,
            "code": code,
            "keep": night.policy.keep_days(row["rule"]),
            **row,
        }
        for code, found in held.items()
        for row in found
    ]
    if rows:
        connection.execute(text(_HELD), rows)


_ROLL_UP = "SELECT roll_up_quality(:day)"
_NO_HELD = "DELETE FROM held_figure WHERE business_date = :day"
_HELD = (
    "INSERT INTO held_figure (controller_id, business_date, rule, held, oldest, overdue, keep_days)"
    " SELECT id, :day, :rule, :held, :oldest, :overdue, :keep FROM controller WHERE code = :code"
)
_ASSESSMENT = (
    "INSERT INTO risk_assessment (business_date, controller_id, figures)"
    " SELECT :day, id, CAST(:f AS jsonb) FROM controller WHERE code = :code"
)
_STEP = (
    "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
    " VALUES (:run, :day, 'store', :step, CAST(:counts AS jsonb), '{}', :seconds)"
)
