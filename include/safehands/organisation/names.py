"""Names of responsible persons: staff data, sealed apart from everything that reports show.

The key is one per owner and day of recording and lies in the key provider, not in the database.
Destroying it forgets the names recorded that day and leaves the evidence. Not promised: that a
name survives the loss of the key folder; the evidence does.
"""

from __future__ import annotations

import json
from datetime import date

from sqlalchemy import text

from safehands.installation import Installation
from safehands.keys import DayBox
from safehands.keys.provider import KeyProvider

__all__ = ["KIND", "forget", "reveal", "seal"]

KIND = "staff"


def seal(provider: KeyProvider, owner: str, day: date, responsible: str, note: str = "") -> bytes:
    """Return name and note under the owner's key of ``day``; empty for nothing to hide."""
    if not responsible and not note:
        return b""
    plain = json.dumps({"responsible": responsible, "note": note}, ensure_ascii=False)
    # Padded, so that the length of a name is not on show.
    padded = plain.encode().ljust(-(-len(plain.encode()) // 64) * 64)
    return DayBox(provider, KIND, owner, day.isoformat()).seal([padded])[0]


def reveal(provider: KeyProvider, owner: str, day: date, sealed: bytes) -> dict[str, str]:
    """Return ``responsible`` and ``note``; both empty when the key was destroyed.

    Raises ``KeyProblem`` for changed bytes.
    """
    if not sealed:
        return {"responsible": "", "note": ""}
    if not provider.has(f"day/{KIND}/{owner}/{day.isoformat()}"):
        # Opening a box makes its key when there is none, which would hide that it was destroyed.
        return {"responsible": "", "note": ""}
    box = DayBox(provider, KIND, owner, day.isoformat())
    found: dict[str, str] = json.loads(box.unseal([bytes(sealed)])[0])
    return found


def forget(inst: Installation, before: date) -> int:
    """Destroy the keys of names behind evidence and findings that ended before ``before``.

    Return how many. A name goes with the last piece of evidence recorded on its day.
    """
    with inst.store.begin("safehands_auditor") as connection:
        rows = connection.execute(text(_NEEDED), {"before": before})
        needed = {f"day/{KIND}/{row.code}/{row.day.isoformat()}" for row in rows}
    due = [
        name
        for name in inst.provider.names(f"day/{KIND}")
        if name not in needed and date.fromisoformat(name.rsplit("/", 1)[1]) < before
    ]
    return sum(inst.provider.destroy(name) for name in due)


_NEEDED = (
    "SELECT c.code, e.recorded AS day FROM control_evidence e"
    " JOIN controller c ON c.id = e.controller_id WHERE e.valid_until >= :before"
    " UNION SELECT c.code, f.opened FROM finding f JOIN controller c ON c.id = f.controller_id"
    " WHERE coalesce(f.closed, 'infinity') >= :before"
    # Who judged is kept with an assessment: open ones, and those signed since.
    " UNION SELECT c.code, n.day FROM (SELECT pipia_id, controller_id, day FROM pipia_answer"
    " UNION SELECT pipia_id, controller_id, day FROM pipia_event) n"
    " JOIN controller c ON c.id = n.controller_id LEFT JOIN pipia_event s"
    " ON s.pipia_id = n.pipia_id AND s.kind = 'signed'"
    " WHERE coalesce(s.day, 'infinity') >= :before"
)
