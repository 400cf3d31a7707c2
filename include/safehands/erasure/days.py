"""Day keys: the end of a station's quarantine and landing archive, in every copy.

Rows in quarantine and archived exports are sealed under a key of one station and one day, which
lies in the key provider alone. Destroying it ends them in every copy of the database, the archive
and the backups.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from safehands import daykeys, journal
from safehands.errors import PolicyError
from safehands.keys import KeyProvider
from safehands.store import Store
from safehands.store.register import Owner, owners

__all__ = ["KINDS", "destroy_station_days", "remove_unreadable"]

KINDS = ("quarantine", "minors", "archive")
_SUFFIX = ".sealed"


def destroy_station_days(
    store: Store, archive: Path, station: str, run: str, now: datetime
) -> dict[str, int]:
    """Destroy all day keys of ``station``: its quarantine and landing archive end here.

    Meant for its cut-over to another owner (and for a station that closes). ``archive`` is the
    folder of the landing archive. Counts: ``quarantine_keys``, ``minors_keys``, ``archive_keys``,
    ``rows`` removed from quarantine, ``files`` removed from the archive. A second call finds
    nothing to do; one that was killed is finished by the next, and its keys are recorded once.

    Raises ``PolicyError`` for an unknown station.
    """
    owner = _owner_of(store, station)
    names = [name for kind in KINDS for name in store.provider.names(f"day/{kind}/{station}")]
    with store.begin(controller=owner.id) as connection:
        counts = dict.fromkeys((f"{kind}_keys" for kind in KINDS), 0)
        counts |= daykeys.by_kind(daykeys.announce(connection, names))
        counts["rows"] = connection.execute(text(_ROWS), {"station": station}).rowcount
        if any(counts.values()):
            facts = {"controller": owner.code, "station": station, **counts}
            journal.append(connection, "day_keys", run, now, facts)
    daykeys.finish(store)
    counts["files"] = remove_unreadable(store.provider, archive, station)
    return counts


def remove_unreadable(provider: KeyProvider, archive: Path, station: str = "*") -> int:
    """Remove archived exports whose day key is gone: nobody can read them. Return how many."""
    removed = 0
    for path in sorted(archive.glob(f"{station}/*/*{_SUFFIX}")):
        day, place = path.parent.name, path.parent.parent.name
        if not provider.has(f"day/archive/{place}/{day}"):
            path.unlink()
            removed += 1
    return removed


def _owner_of(store: Store, station: str) -> Owner:
    for owner in owners(store).values():
        if station in owner.stations:
            return owner
    raise PolicyError("erasure.unknown_station", station=station)


_ROWS = (
    "DELETE FROM quarantine q USING batch b, station s WHERE b.id = q.batch_id"
    " AND s.id = b.station_id AND s.code = :station"
)
