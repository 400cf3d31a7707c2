"""Which batches still say how their file is to be read: those of the policy in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from safehands.policy import Policy

__all__ = ["Batch", "current_batches"]


@dataclass(frozen=True)
class Batch:
    """One source file, loaded or set aside. ``problem``: why it is set aside, else None."""

    station: str
    file: str
    loaded: bool
    problem: Any


def current_batches(connection: Connection, policy: Policy) -> list[Batch]:
    """Return the batches made under what ``policy`` says of their files today, oldest first.

    A file is known while its batch is among them, and is read again when it no longer is: after a
    change of the policy that holds for all, or when its station confirmed what its columns are.
    """
    values = {"base": policy.base, "stations": sorted({m.station for m in policy.mappings})}
    rows = connection.execute(text(_BATCHES), values)
    return [
        Batch(station, file, state == "loaded", problem)
        for station, file, state, problem, digest, headers in rows
        if digest == _today(policy, station, state, headers)
    ]


def _today(policy: Policy, station: str, state: str, headers: list[str] | None) -> str:
    if state == "loaded":
        return policy.digest_for(station, headers or ())
    return policy.digest_of_waiting(station)


# Headers are looked at only where a station confirmed some: a year of nights has many batches.
_BATCHES = (
    "SELECT s.code, b.file_digest, b.state, b.problem, b.policy_digest,"
    " CASE WHEN s.code = ANY(:stations)"
    " THEN jsonb_path_query_array(b.facts, '$.sheets[*].header') END"
    " FROM batch b JOIN station s ON s.id = b.station_id"
    " WHERE b.policy_digest = :base OR s.code = ANY(:stations) ORDER BY b.id"
)
