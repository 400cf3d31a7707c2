"""Refusals that outlast their people: who said no is not asked again once they are erased.

An erasure takes a person's answers with it, and the next parcel opens them as somebody new, who
would be asked again. The table ``suppression`` therefore keeps for each refused purpose a token of
the number, made from its tombstone token under the suppression key (neither ever rotates), with the
campaign and the day of the refusal. It leads to no row of the erased person anywhere.

Not promised: a number that was given to somebody else in the meantime is not told apart. Its new
holder is not asked either, until the pause of policy is over; their own answer always counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.store.register import Owner

__all__ = ["suppress", "suppressed", "suppression_tokens"]


def suppress(
    connection: Connection, owner: Owner, ring: KeyRing, graves: Mapping[UUID, Collection[bytes]]
) -> int:
    """Keep the refusals of people who are about to go; return how many tokens stand for them.

    ``graves``: subject → tombstone tokens (16 bytes) of their numbers. Only a last answer that is
    a no counts. Must run before the subjects are deleted, under the owner's lock.
    """
    refused = connection.execute(text(_REFUSED), {"who": list(graves)}).all()
    rows: list[dict[str, Any]] = [
        {
            "controller": owner.id,
            "token": UUID(bytes=token),
            "purpose": purpose,
            "campaign": campaign,
            "day": day,
        }
        for subject, purpose, campaign, day in refused
        for token in suppression_tokens(ring, sorted(graves[subject]))
    ]
    if rows:
        connection.execute(text(_KEEP), rows)
    return len(rows)


def suppressed(
    connection: Connection,
    ring: KeyRing,
    subjects: Iterable[UUID],
    purpose: str,
    campaign: str,
    since: date,
) -> set[UUID]:
    """Return those of ``subjects`` under whose number somebody refused before they were erased.

    A refusal counts in its own campaign, and for its purpose when it is later than ``since``.
    """
    values = {"purpose": purpose, "campaign": campaign, "since": since}
    kept = {row.bytes for row in connection.execute(text(_KEPT), values).scalars()}
    if not kept:
        return set()
    rows = connection.execute(text(_SECRETS), {"who": list(subjects)}).all()
    secrets = ring.unwrap_salts([row[0].bytes for row in rows], [row[1] for row in rows])
    tokens = suppression_tokens(ring, [secret[16:] for secret in secrets])
    return {row[0] for row, token in zip(rows, tokens, strict=True) if token in kept}


def suppression_tokens(ring: KeyRing, graves: list[bytes]) -> list[bytes]:
    """Return the suppression tokens of tombstone tokens, all of 16 bytes, in order."""
    if not graves:
        return []
    tokens: list[bytes] = ring.suppressions_of(np.array(graves, dtype="V16")).tolist()
    return tokens


_REFUSED = (
    "SELECT subject_id, purpose, campaign, (at AT TIME ZONE 'Asia/Shanghai')::date FROM"
    " (SELECT DISTINCT ON (subject_id, purpose) subject_id, purpose, campaign, kind, at"
    " FROM consent_event WHERE subject_id = ANY (:who)"
    " ORDER BY subject_id, purpose, at DESC, id DESC) last"
    " WHERE kind IN ('refused', 'withdrawn') ORDER BY subject_id, purpose"
)
_KEEP = (
    "INSERT INTO suppression AS s (controller_id, token, purpose, campaign, refused_on)"
    " VALUES (:controller, :token, :purpose, :campaign, :day)"
    " ON CONFLICT (controller_id, token, purpose) DO UPDATE SET campaign = excluded.campaign,"
    " refused_on = excluded.refused_on WHERE s.refused_on <= excluded.refused_on"
)
_KEPT = (
    "SELECT token FROM suppression WHERE (purpose = :purpose AND refused_on > :since)"
    " OR (campaign = :campaign AND :campaign <> '')"
)
_SECRETS = "SELECT subject_id, wrapped_salt FROM subject WHERE subject_id = ANY (:who)"
