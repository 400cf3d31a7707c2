"""The file a gateway sends from: one line per person, sealed to the gateway's key in memory.

It is the one place of a hand-over that opens numbers, and hands them to nobody else: the plain
text is never on a disk. ``ref`` is what the delivery log names a person by; it leads from a line
to a person only together with this hand-over's listing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.handover.classify import reference
from safehands.keys import KeyRing
from safehands.keys.age import encrypt
from safehands.vault.record import FULL, KIND, opened

__all__ = ["Sealed", "send_file"]


@dataclass(frozen=True)
class Sealed:
    """A file that only the gateway opens, and how many people it is to reach."""

    data: bytes
    lines: int


def send_file(
    connection: Connection,
    ring: KeyRing,
    handover: UUID,
    subjects: Collection[UUID],
    message: str,
    key: str,
) -> Sealed:
    """Return the file (age) and how many lines it has; masked contacts cannot be written to.

    Columns ``ref``, ``phone``, ``text``. Raises ``KeyProblem`` when a record does not open.
    """
    values = {"who": list(subjects), "full": FULL}
    rows = connection.execute(text(_RECORDS), values).all()
    owners = [row[0].bytes for row in rows]
    salts = [secret[:16] for secret in ring.unwrap_salts(owners, [bytes(row[1]) for row in rows])]
    plain = ring.unseal(KIND, owners, salts, [bytes(row[2]) for row in rows])
    sheet = io.StringIO()
    lines = csv.writer(sheet)
    lines.writerow(("ref", "phone", "text"))
    written = 0
    for row, record in zip(rows, plain, strict=True):
        phone = opened(record)["phone"]
        if "*" not in phone:
            lines.writerow((reference(handover, row[0]), phone, message))
            written += 1
    return Sealed(encrypt(sheet.getvalue().encode(), [key]), written)


_RECORDS = (
    "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE subject_id = ANY (:who)"
    " AND detail = :full ORDER BY subject_id"
)
