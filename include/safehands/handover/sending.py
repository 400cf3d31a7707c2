"""The file a gateway sends from: one line per person, sealed to the gateway's key in memory.

It is the one place of a hand-over that opens numbers, and hands them to nobody else: the plain
text is never on a disk. ``ref`` is what the delivery log names a person by; it leads from a line
to a person only together with this hand-over's listing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.handover.classify import reference
from safehands.installation import Installation
from safehands.keys import KeyRing
from safehands.keys.age import encrypt
from safehands.organisation.register import entries
from safehands.pipia import current
from safehands.store.register import Owner
from safehands.vault.record import FULL, KIND, opened

__all__ = ["Sealed", "in_force", "send_file"]


@dataclass(frozen=True)
class Sealed:
    """A file that only the gateway opens, and how many people it is to reach."""

    data: bytes
    lines: int


def in_force(inst: Installation, owner: Owner, agreement: str, day: date) -> bool:
    """Say whether the gateway may have a file: its agreement registered, its assessment signed.

    ``agreement``: SHA-256 of the document; the evidence of the kind ``processor_agreement`` with
    this digest has to count on ``day``, and an impact assessment for ``entrusting`` with the first
    16 digits as its scope has to be in force (PIPL 21, 55; 网络数据安全管理条例 12).
    """
    registered = any(
        one.owner == owner.code
        and one.kind == "processor_agreement"
        and one.file_digest == agreement
        and one.valid_on(day)
        for one in entries(inst, day)
    )
    with inst.store.begin(controller=owner.id) as connection:
        assessed = current(connection, owner.id, "entrusting", day, agreement[:16])
    return bool(agreement) and registered and assessed is not None and assessed.acceptable


def send_file(
    connection: Connection,
    ring: KeyRing,
    handover: UUID,
    messages: Mapping[UUID, str],
    key: str,
) -> Sealed:
    """Return the file (age) and how many lines it has; masked contacts cannot be written to.

       ``messages``: what each person is told.
    Columns ``ref``, ``phone``,
       ``text``. Raises ``KeyProblem`` when a record does not open.
    """
    values = {"who": list(messages), "full": FULL}
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
            lines.writerow((reference(handover, row[0]), phone, messages[row[0]]))
            written += 1
    return Sealed(encrypt(sheet.getvalue().encode(), [key]), written)


_RECORDS = (
    "SELECT subject_id, wrapped_salt, sealed FROM subject WHERE subject_id = ANY (:who)"
    " AND detail = :full ORDER BY subject_id"
)
