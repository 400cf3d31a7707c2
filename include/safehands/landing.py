"""What waits in the landing folder, cut into shards.

A shard is a size-balanced set of files of one owner: a thousand stations become a few dozen tasks,
not thousands. The cut is a function of the files alone, so that a run that is repeated makes the
same shards.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import date, datetime

from sqlalchemy import text

from safehands import journal
from safehands.datasets import Shard, SourceFile, loaded_whole
from safehands.policy import Policy
from safehands.stations import Register
from safehands.store import Store

__all__ = ["cut_shards", "set_aside", "unloaded", "without_repeats"]


def unloaded(files: Iterable[SourceFile], known: Collection[tuple[str, str]]) -> list[SourceFile]:
    """Return the files that are not loaded yet; ``known``: station and identity of batches.

    A file that was cut is loaded when all of its parts are.
    """
    whole = loaded_whole(known) | set(known)
    return [f for f in files if (f.station, f.identity) not in whole]


def without_repeats(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Keep one of several files of a station with the same content: the first by path."""
    kept: dict[tuple[str, str], SourceFile] = {}
    for file in sorted(files, key=lambda f: f.path):
        kept.setdefault((file.station, file.identity), file)
    return list(kept.values())


def cut_shards(
    files: Iterable[SourceFile], register: Register, target_bytes: int
) -> tuple[Shard, ...]:
    """Put each owner's files into as few shards of about ``target_bytes`` as they fill.

    The largest file goes first, each into the lightest shard; a file larger than the target is a
    shard of its own.
    """
    owner_of = {s.code: c.code for c in register.controllers for s in c.stations}
    by_owner: dict[str, list[SourceFile]] = {}
    for file in files:
        by_owner.setdefault(owner_of[file.station], []).append(file)
    parts = [
        (number, owner, tuple(sorted(part, key=lambda f: f.path)))
        for owner, owned in by_owner.items()
        for number, part in enumerate(_shards(owned, target_bytes), 1)
    ]
    # Shards of one owner write one after the other, so neighbours belong to different owners.
    return tuple(Shard(f"{owner}-{number}", owner, part) for number, owner, part in sorted(parts))


def _shards(files: list[SourceFile], target_bytes: int) -> list[list[SourceFile]]:
    """Balance whole files; a part of a file is a shard of its own, as its file has one name."""
    whole = [f for f in files if f.part is None]
    return [*_balance(whole, target_bytes), *([f] for f in files if f.part is not None)]


def _balance(files: list[SourceFile], target_bytes: int) -> list[list[SourceFile]]:
    total = sum(f.size for f in files)
    bins: list[list[SourceFile]] = [[] for _ in range(max(1, -(-total // target_bytes)))]
    weights = [0] * len(bins)
    for file in sorted(files, key=lambda f: (-f.size, f.path)):
        lightest = weights.index(min(weights))
        bins[lightest].append(file)
        weights[lightest] += file.size
    return [part for part in bins if part]


def set_aside(
    store: Store,
    files: Iterable[SourceFile],
    run: str,
    business_date: date,
    policy: Policy,
    now: datetime,
) -> None:
    """Record files whose own name holds somebody's number: they are not opened.

    A path travels in task records, which are stored in clear; such a file waits until its owner
    has renamed it.
    """
    for file in files:
        params = {"file": file.label, "station": file.station}
        problem = {"key": "landing.name_holds_number", "params": params, "exit_code": 20}
        values = {
            "station": file.station,
            "file": file.identity,
            "policy": policy.digest_of_waiting(file.station),
            "label": file.label,
            "run": run,
            "day": business_date,
            "problem": json.dumps(problem),
        }
        with store.begin() as connection:
            if connection.execute(text(_SET_ASIDE), values).rowcount:
                facts = {"files": [file.identity], "set_aside": 1, "policy": policy.digest}
                journal.append(connection, "plan", run, now, facts)


_SET_ASIDE = (
    "INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,"
    " business_date, state, problem, facts) SELECT controller_id, id, :file, :policy, :label, :run,"
    " :day, 'set_aside', CAST(:problem AS jsonb), '{}' FROM station WHERE code = :station"
    " ON CONFLICT DO NOTHING"
)
