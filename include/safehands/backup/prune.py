"""Remove generations that policy no longer keeps, and the objects that only they needed.

Order of events, so that a kill at any moment leaves a repository that restores and verifies:

1. what was left unfinished is finished, as before a backup;
2. one transaction records what goes, and forgets its objects;
3. a signed note says so in the repository, then files go, then the note says that they are gone;
4. one transaction records that this prune is finished.

The age identity is not needed.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.plan import Plan, Seen, plan_prune
from safehands.backup.removal import finish_prunes
from safehands.backup.repository import Repository
from safehands.backup.upkeep import alone, clear_up, explained
from safehands.backuppolicy import BackupPolicy
from safehands.datasets import Outcome
from safehands.ledger import canonical_json
from safehands.store import Store, lock

__all__ = ["generations", "planned", "prune"]


def planned(store: Store, policy: BackupPolicy) -> Plan:
    """Return what ``prune`` would do, without doing it."""
    with store.begin() as connection:
        return plan_prune(generations(connection), policy.keep)


def prune(
    repository: Repository, store: Store, policy: BackupPolicy, run: str, now: datetime
) -> Outcome:
    """Remove what ``policy`` no longer keeps; ``run`` names who asked, for the ledger.

    Counts: ``kept``, ``removed`` (generations), ``files`` (all that went). A second call finds
    nothing to do and says ``already``. Raises ``BackupBroken`` for a repository that is not this
    store's, or that cannot be written.
    """
    with explained(repository), alone(store):
        clear_up(repository, store)
        with store.begin() as connection:
            lock(connection, "safehands.backup.commit")
            plan = plan_prune(generations(connection), policy.keep)
            if plan.gone:
                _decide(connection, plan, policy, run, now)
        files = finish_prunes(repository, store)
    counts = {"kept": len(plan.kept), "removed": len(plan.gone), "files": files}
    return Outcome(run, "prune", counts, already=not plan.gone)


def generations(connection: Connection) -> list[Seen]:
    """Return the generations that were not pruned, the oldest first."""
    return [_seen(row) for row in connection.execute(text(_SEEN)).mappings()]


def _seen(row: Any) -> Seen:
    day: date = row["business_date"]
    return Seen(
        manifest=str(row["manifest"]),
        digest=str(row["digest"]),
        number=int(row["number"]),
        day=day,
        lineage=int(row["lineage"]),
        proved=bool(row["proved"]),
    )


def _decide(
    connection: Connection, plan: Plan, policy: BackupPolicy, run: str, now: datetime
) -> None:
    facts = {
        "kept": len(plan.kept),
        "removed": [one.manifest for one in plan.gone],
        "policy": policy.digest,
    }
    values = {"now": now, "facts": canonical_json(facts).decode()}
    number = connection.execute(text(_PRUNE), values).scalar_one()
    mark = text("UPDATE backup SET prune_id = :id WHERE manifest = :manifest")
    connection.execute(mark, [{"id": number, "manifest": one.manifest} for one in plan.gone])
    # Nothing that is about to be written may refer to an object that is about to go.
    connection.execute(text(_FORGET_OBJECTS))
    journal.append(connection, "prune", run, now, {**facts, "number": number})


_SEEN = (
    "SELECT b.manifest, b.facts ->> 'manifest_digest' AS digest, b.business_date,"
    " (b.facts ->> 'number')::int AS number, (b.facts ->> 'lineage')::int AS lineage,"
    " EXISTS (SELECT FROM generation_proof p"
    " WHERE p.manifest_digest = b.facts ->> 'manifest_digest') AS proved"
    " FROM backup b WHERE b.prune_id IS NULL ORDER BY b.id"
)
_PRUNE = (
    "INSERT INTO prune (pruned_at, newest, facts) SELECT :now, facts ->> 'manifest_digest',"
    " CAST(:facts AS jsonb) FROM backup ORDER BY id DESC LIMIT 1 RETURNING id"
)
_FORGET_OBJECTS = (
    "DELETE FROM backup_object o WHERE NOT EXISTS (SELECT FROM backup_reference r"
    " JOIN backup b USING (manifest) WHERE b.prune_id IS NULL AND r.object = o.object)"
)
