"""Claims: every effect happens once for one input under one policy.

A task may be killed after its body finished, retried while the old try still lives, or cleared by
hand. The claim is a row in the same transaction as the effect, so that a second try finds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

__all__ = ["Claim", "find", "input_digest", "make"]


@dataclass(frozen=True)
class Claim:
    """The identity of one effect."""

    step: str
    scope: str
    input_digest: str
    policy_digest: str


def input_digest(*parts: object) -> str:
    """Return the SHA-256 over the JSON of ``parts``, as hex."""
    canonical = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def find(connection: Connection, claim: Claim) -> dict[str, Any] | None:
    """Return the recorded result of an effect that has happened, else ``None``."""
    query = text(
        "SELECT result FROM effect WHERE step = :step AND scope = :scope"
        " AND input_digest = :input_digest AND policy_digest = :policy_digest"
    )
    row = connection.execute(query, claim.__dict__).first()
    return None if row is None else dict(row[0])


def make(connection: Connection, claim: Claim, result: Mapping[str, Any]) -> bool:
    """Record that the effect happens in this transaction.

    Return false when it has happened before: the caller then writes nothing.
    """
    insert = text(
        "INSERT INTO effect (step, scope, input_digest, policy_digest, result)"
        " VALUES (:step, :scope, :input_digest, :policy_digest, CAST(:result AS jsonb))"
        " ON CONFLICT DO NOTHING"
    )
    values = {**claim.__dict__, "result": json.dumps(result, sort_keys=True, default=str)}
    return connection.execute(insert, values).rowcount == 1
