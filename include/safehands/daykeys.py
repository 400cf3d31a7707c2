"""Day keys: under which one a waiting row lies, and how keys end.

They are destroyed through the outbox: recorded once, and destroyed however often it takes.

Which keys go is written in the transaction that records why; only then are they destroyed. A
process that is killed in between leaves them to the next one, which records nothing again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from safehands.datasets import MINOR
from safehands.keys import DayBox, KeyProvider
from safehands.store import Store

__all__ = ["announce", "box_to_open", "box_to_seal", "by_kind", "finish"]


def box_to_seal(provider: KeyProvider, rule: str, station: str, day: str) -> DayBox:
    """Return the box for rows that wait under ``rule``.

    Rows of children have a key of their own, because it ends earlier than the others (PIPL 31).
    """
    return DayBox(provider, "minors" if rule == MINOR else "quarantine", station, day)


def box_to_open(provider: KeyProvider, rule: str, station: str, day: str) -> DayBox | None:
    """Return the box in which such rows lie, None when its key was destroyed.

    Rows of children that were sealed before they had a key of their own lie in the common box.
    """
    own = box_to_seal(provider, rule, station, day)
    common = DayBox(provider, "quarantine", station, day)
    return next((box for box in (own, common) if provider.has(box.key_id)), None)


def announce(connection: Connection, names: Iterable[str]) -> list[str]:
    """Say that these day keys will be destroyed; return those of which nobody said so before."""
    waiting = connection.execute(text(_WAITING)).scalars().all()
    known = {name for payload in waiting for name in payload["names"]}
    fresh = sorted(set(names) - known)
    if fresh:
        connection.execute(text(_ANNOUNCE), {"payload": json.dumps({"names": fresh})})
    return fresh


def finish(store: Store) -> None:
    """Destroy what was announced. The announcements must be committed."""
    with store.begin() as connection:
        waiting = connection.execute(text(_PENDING)).all()
    for number, payload in waiting:
        for name in payload["names"]:
            store.provider.destroy(name)
        # A destruction that was killed halfway leaves a file of zeros.
        store.provider.tidy()
        with store.begin() as connection:
            done = text("UPDATE outbox SET done = true WHERE id = :id")
            connection.execute(done, {"id": number})


def by_kind(names: Sequence[str]) -> dict[str, int]:
    """Return how many keys of each kind these are, e.g. ``{"quarantine_keys": 3}``."""
    counts = Counter(name.split("/")[1] for name in names)
    return {f"{kind}_keys": counts[kind] for kind in sorted(counts)}


_PENDING = "SELECT id, payload FROM outbox WHERE kind = 'destroy_day_keys' AND NOT done ORDER BY id"
_WAITING = "SELECT payload FROM outbox WHERE kind = 'destroy_day_keys' AND NOT done"
_ANNOUNCE = (
    "INSERT INTO outbox (kind, payload) VALUES ('destroy_day_keys', CAST(:payload AS jsonb))"
)
