"""What is recorded with a shard: batches, quarantine, quality, step results, ledger entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from safehands import journal
from safehands.artifacts import read_artifact
from safehands.datasets import MINOR, Handoff, SourceFile
from safehands.daykeys import box_to_seal
from safehands.errors import StepFailed
from safehands.keys import KeyProvider
from safehands.night import Night
from safehands.store import driver
from safehands.store.register import Owner

__all__ = ["open_batches", "record"]


def open_batches(
    connection: Connection, handoff: Handoff, night: Night, owner: Owner
) -> npt.NDArray[np.int32]:
    """Insert one batch per file, loaded or set aside; return their ids in the shard's order."""
    ids = []
    for file in handoff.shard.files:
        problem = handoff.problems.get(file.path)
        values = {
            "controller": owner.id,
            "station": owner.stations[file.station],
            "file_digest": file.identity,
            "policy_digest": _policy_of(handoff, file, night),
            "label": file.label,
            "run": night.run,
            "business_date": night.business_date,
            "state": "set_aside" if problem else "loaded",
            "problem": json.dumps(problem.__dict__, default=dict) if problem else None,
            "facts": json.dumps(handoff.details.get("files", {}).get(file.path, {})),
        }
        ids.append(connection.execute(text(_BATCH), values).scalar_one())
    return np.array(ids, dtype=np.int32)


def _policy_of(handoff: Handoff, file: SourceFile, night: Night) -> str:
    """Return the digest of what decided how a file was read, or that it waits."""
    if file.path in handoff.problems:
        return night.policy.digest_of_waiting(file.station)
    sheets = handoff.details.get("files", {}).get(file.path, {}).get("sheets", ())
    return night.policy.digest_for(file.station, [sheet["header"] for sheet in sheets])


def record(
    connection: Connection,
    provider: KeyProvider,
    handoff: Handoff,
    night: Night,
    owner: Owner,
    now: datetime,
    pseudonymised: list[dict[str, Any]],
) -> None:
    """Write quarantine, quality results, step results and one ledger entry per step."""
    _quarantine(connection, provider, handoff, night, owner)
    if "waiting" not in handoff.details:
        # A second try of single rows says nothing about the quality of an export.
        quality = [*handoff.details.get("quality", []), *pseudonymised]
        _quality(connection, night, owner, quality)
    for step in handoff.steps():
        _step(connection, night, handoff.shard.key, step)
        facts = {"counts": step["counts"], "reasons": step["reasons"], **_identity(handoff, night)}
        journal.append(connection, step["step"], night.run, now, facts)


def _identity(handoff: Handoff, night: Night) -> dict[str, Any]:
    return {
        "controller": handoff.shard.controller,
        "shard": handoff.shard.key,
        "files": [f.identity for f in handoff.shard.files],
        "set_aside": len(handoff.problems),
        "policy": night.policy.digest,
    }


def _quarantine(
    connection: Connection, provider: KeyProvider, handoff: Handoff, night: Night, owner: Owner
) -> None:
    if "waiting" in handoff.details:
        _wait_no_longer(connection, handoff, night)
        return
    _supersede(connection, handoff, night, owner)
    if "quarantine" not in handoff.artifacts:
        return
    table = read_artifact(handoff.artifacts["quarantine"], night.key)
    batches = _batch_ids(connection, handoff, night, owner)
    stations = [f.station for f in handoff.shard.files]
    day = night.business_date.isoformat()
    young = pc.equal(table["rule"], MINOR)
    for rule, part in ((MINOR, table.filter(young)), ("", table.filter(pc.invert(young)))):
        for index in np.unique(part["_file"].to_numpy()).tolist():
            rows = part.filter(pa.array(part["_file"].to_numpy() == index))
            box = box_to_seal(provider, rule, stations[index], day)
            sealed = box.seal([p.encode() for p in rows["payload"].to_pylist()])
            _copy_quarantine(connection, night, owner, batches[index], rows, sealed)


def _wait_no_longer(connection: Connection, handoff: Handoff, night: Night) -> None:
    """Rows that were tried again and are in the store leave; the others say why they stay.

    They keep their day and so the end of their time: a second try is no reason to hold them longer.
    """
    again: dict[tuple[Any, ...], tuple[str, str]] = {}
    if "quarantine" in handoff.artifacts:
        table = read_artifact(handoff.artifacts["quarantine"], night.key)
        names = ("_file", "_sheet", "_row", "dataset", "rule", "column")
        for *place, rule, column in zip(*(table[n].to_pylist() for n in names), strict=True):
            again[tuple(place)] = (rule, column)
    waiting = [(row, tuple(place)) for row, *place in handoff.details["waiting"]]
    stay = [
        {"id": row, "rule": again[place][0], "column": again[place][1]}
        for row, place in waiting
        if place in again
    ]
    if stay:
        connection.execute(text(_STAYS), stay)
    values = {"ids": [row for row, place in waiting if place not in again]}
    left = connection.execute(text("DELETE FROM quarantine WHERE id = ANY(:ids)"), values).rowcount
    if left != len(values["ids"]):
        raise StepFailed("step.waiting_changed", rows=len(values["ids"]) - left)


def _supersede(connection: Connection, handoff: Handoff, night: Night, owner: Owner) -> None:
    """Rows of the same file that wait since an earlier policy were read anew just now."""
    for file in handoff.shard.files:
        values = {
            "controller": owner.id,
            "station": owner.stations[file.station],
            "file": file.identity,
            "policy": _policy_of(handoff, file, night),
        }
        connection.execute(text(_SUPERSEDED), values)


def _copy_quarantine(
    connection: Connection,
    night: Night,
    owner: Owner,
    batch: int,
    rows: pa.Table,
    sealed: list[bytes],
) -> None:
    columns = ("dataset", "_sheet", "_row", "rule", "column")
    lists = [rows[name].to_pylist() for name in columns]
    statement = (
        "CREATE TEMP TABLE IF NOT EXISTS incoming_quarantine (dataset text, sheet text,"
        " row_number int, rule text, column_name text, sealed bytea) ON COMMIT DROP"
    )
    raw = driver(connection)
    raw.execute(statement)
    raw.execute("TRUNCATE incoming_quarantine")
    with raw.cursor().copy("COPY incoming_quarantine FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["text", "text", "int4", "text", "text", "bytea"])
        for row in zip(*lists, sealed, strict=True):
            copy.write_row(row)
    values = {"controller": owner.id, "batch": batch, "day": night.business_date}
    connection.execute(text(_QUARANTINE), values)


def _batch_ids(
    connection: Connection, handoff: Handoff, night: Night, owner: Owner
) -> dict[int, int]:
    query = text(
        "SELECT id FROM batch WHERE controller_id = :c AND station_id = :s"
        " AND file_digest = :f AND policy_digest = :p"
    )
    found = {}
    for index, file in enumerate(handoff.shard.files):
        station = owner.stations[file.station]
        policy = _policy_of(handoff, file, night)
        values = {"c": owner.id, "s": station, "f": file.identity, "p": policy}
        found[index] = int(connection.execute(query, values).scalar_one())
    return found


def _quality(
    connection: Connection, night: Night, owner: Owner, results: Iterable[Mapping[str, Any]]
) -> None:
    rows = [
        {
            "controller": owner.id,
            "run": night.run,
            "day": night.business_date,
            **result,
            "patterns": json.dumps(result.get("patterns", {})),
        }
        for result in results
    ]
    if rows:
        connection.execute(text(_QUALITY), rows)


def _step(connection: Connection, night: Night, shard: str, step: Mapping[str, Any]) -> None:
    values = {
        "run": night.run,
        "day": night.business_date,
        "shard": shard,
        "step": step["step"],
        "counts": json.dumps(step["counts"]),
        "reasons": json.dumps(step["reasons"]),
        "seconds": step["seconds"],
    }
    connection.execute(text(_STEP), values)


_BATCH = (
    "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
    " business_date, state, problem, facts) VALUES (:controller, :station, :file_digest,"
    " :policy_digest, :label, :run, :business_date, :state, CAST(:problem AS jsonb),"
    " CAST(:facts AS jsonb)) RETURNING id"
)
_QUARANTINE = (
    "INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number, rule,"
    " column_name, sealed) SELECT :controller, :batch, :day, dataset, sheet, row_number, rule,"
    " column_name, sealed FROM incoming_quarantine"
)
_STAYS = "UPDATE quarantine SET rule = :rule, column_name = :column WHERE id = :id"
_SUPERSEDED = (
    "DELETE FROM quarantine q USING batch b WHERE b.id = q.batch_id"
    " AND q.controller_id = :controller AND b.station_id = :station"
    " AND b.file_digest = :file AND b.policy_digest <> :policy"
)
_QUALITY = (
    "INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,"
    " dimension, severity, evaluated, failed, patterns) VALUES (:controller, :run, :day, :station,"
    " :dataset, :suite, :rule, :dimension, :severity, :evaluated, :failed,"
    " CAST(:patterns AS jsonb))"
)
_STEP = (
    "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
    " VALUES (:run, :day, :shard, :step, CAST(:counts AS jsonb), CAST(:reasons AS jsonb),"
    " :seconds)"
)
