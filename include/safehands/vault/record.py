"""What a person's sealed record holds, and which value stands after a correction.

A record is a JSON object: ``address``, ``name``, ``phone``, and after a correction ``history``, one
object per corrected field and time, oldest first::

    {"field": "name", "at": microseconds since 1970, "by": staff id, "was": …, "hash": …}

The history lies inside the sealed record, so that re-wrapping, erasure, backup and hand-over treat
it as the person's own data without knowing of it. ``hash`` is SHA-256 of what the value was: when
the record is masked, ``was`` is masked too, and the source's old value is still recognised. It is
no protection (a name can be guessed); the sealing around it is.

Which value stands (PIPL 8, 46): a source's value replaces a corrected one only when it was seen
after the correction, is none of the values that were corrected away, and is not masked. So what a
station's software still exports wrongly every night does not come back, and a real change does.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from safehands.masking import mask_name, mask_phone

__all__ = [
    "FIELDS",
    "FULL",
    "KIND",
    "MASKED",
    "Record",
    "as_bytes",
    "corrected",
    "history",
    "masked",
    "masked_name",
    "opened",
    "settled",
    "was_called",
]

KIND = "person"
"""The record kind that the ciphertext is bound to."""

FULL, MASKED = 0, 1
"""How much of the person is sealed: everything, or masked and without an address."""

FIELDS = ("name", "phone", "address")

Record = dict[str, Any]


def opened(plain: bytes) -> Record:
    """Return the record of a decrypted plaintext."""
    record: Record = json.loads(plain)
    return record


def as_bytes(record: Record) -> bytes:
    """Return the plaintext of a record: canonical JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def masked(record: Record) -> Record:
    """Return the record as it is kept once the full contact is no longer needed."""
    kept: Record = {
        "address": "",
        "name": masked_name(record["name"]),
        "phone": record["phone"] if "*" in record["phone"] else mask_phone(record["phone"]),
    }
    if "history" in record:
        kept["history"] = [_masked_entry(entry) for entry in record["history"]]
    return kept


def corrected(record: Record, field: str, value: str, at: int, by: str) -> Record:
    """Return the record with ``field`` set to ``value`` and what it was added to its history.

    ``at``: microseconds since 1970 (UTC).
    """
    before = record[field]
    entry = {"at": at, "by": by, "field": field, "hash": _hash(before), "was": before}
    return {**record, field: value, "history": [*record.get("history", []), entry]}


def history(record: Record) -> list[tuple[str, int, str]]:
    """Return field, time (microseconds since 1970) and staff id of each correction."""
    return [(e["field"], e["at"], e["by"]) for e in record.get("history", [])]


def settled(record: Record, field: str, shown: str, at: int) -> str:
    """Return the value of ``field`` that stands when a source shows ``shown`` at ``at``.

    ``at``: microseconds since 1970 (UTC); an empty ``shown`` says nothing.
    """
    entries = [e for e in record.get("history", []) if e["field"] == field]
    if not shown:
        return str(record[field])
    if not entries:
        return shown
    older = at <= max(e["at"] for e in entries)
    taken_back = _hash(shown) in {e["hash"] for e in entries}
    return str(record[field]) if older or taken_back or "*" in shown else shown


def was_called(record: Record, shown: str) -> bool:
    """Say whether the person is, or was before a correction, called ``shown``."""
    names = {"", shown, mask_name(shown)}
    if record["name"] in names:
        return True
    entries = [e for e in record.get("history", []) if e["field"] == "name"]
    return any(e["hash"] == _hash(shown) for e in entries)


def masked_name(name: str) -> str:
    """Return the name masked; one that a source gave masked stays as it is."""
    return name if "*" in name else mask_name(name)


def _masked_entry(entry: Record) -> Record:
    was = masked_name(entry["was"]) if entry["field"] == "name" else ""
    return {**entry, "was": was}


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:32]
