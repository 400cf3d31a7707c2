"""The slips of parcels that wait for one person: number, shelf, code.

Like a record, a slip is opened as the officer, for a purpose, and after the ledger has it.
"""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from safehands.policy import Policy
from safehands.store import Store
from safehands.vault.access import OFFICER, Access, check_access, find_owner, note, officer_ring

__all__ = ["slips"]

_FIELDS = ("waybill", "shelf", "code")


def slips(
    store: Store, policy: Policy, access: Access, now: datetime, subject: UUID
) -> dict[UUID, dict[str, str]]:
    """Return waybill token → what the slip says, of the parcels that wait for ``subject``.

    Raises ``AccessRefused`` for an unknown purpose or owner, ``KeyProblem`` when keys don't fit.
    """
    check_access(policy, access)
    owner = find_owner(store, access.controller)
    with store.begin(OFFICER, owner.id) as connection:
        rows = connection.execute(text(_SLIPS), {"who": subject}).all()
        if not rows:
            return {}
        ring = officer_ring(connection, store.provider, owner)
        (secret,) = ring.unwrap_salts([subject.bytes], [rows[0][2]])
        tokens = [row[0].bytes for row in rows]
        plain = ring.unseal("custody", tokens, [secret[:16]] * len(rows), [row[1] for row in rows])
        note(connection, owner, subject, "reveal", access, _FIELDS, now, found_by="slips")
        found = [json.loads(one) for one in plain]
    return {row[0]: slip for row, slip in zip(rows, found, strict=True)}


_SLIPS = (
    "SELECT c.waybill, c.sealed, s.wrapped_salt FROM custody c JOIN subject s"
    " USING (controller_id, subject_id) WHERE c.subject_id = :who ORDER BY c.arrived_at"
)
