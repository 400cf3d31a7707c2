"""Jobs of the kill host on a repository: back up, prune, restore, drill, and what is left then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from promise_points import Faults, Points
from sqlalchemy import text

from safehands import journal
from safehands.backup import (
    Repository,
    backup,
    load_backup_policy,
    open_repository,
    prune,
    verify_repository,
)
from safehands.backuppolicy import BackupPolicy
from safehands.keys import FileProvider, RunKey
from safehands.night import Night
from safehands.policy import Policy, load_policy
from safehands.restore import drill, restore
from safehands.settings import Settings
from safehands.store import Store

__all__ = ["repository"]

_KEEP = {"daily": 1, "weekly": 0, "monthly": 0, "at_most_days": 35}


class Scene:
    """One home with its store; ``target`` is the database that is restored into."""

    def __init__(self, settings: dict[str, str], target: str) -> None:
        self.settings = Settings.read({}, **settings)
        self.provider = FileProvider(self.settings.keys, self.settings.keys_second)
        self.store = Store(self.settings.database_url, self.provider)
        self.target = Store(target, self.provider) if target else None
        self.policy: Policy = load_policy(self.settings.policy)
        self.repository: Repository = open_repository(self.settings)

    def backup(self, now: datetime) -> None:
        day = now.date() - timedelta(days=1)
        night = Night("nightly-k", day, self.settings, self.policy, RunKey("t", b"k" * 32))
        backup(night, self.store, now)

    def prune(self, now: datetime) -> None:
        loaded = load_backup_policy(self.settings.policy).model_dump()
        rules = BackupPolicy.model_validate({**loaded, "keep": _KEEP})
        prune(self.repository, self.store, rules, "prune-k", now)

    def restore(self, now: datetime) -> None:
        assert self.target is not None
        verifier = journal.signing_key(self.provider).verifier
        restore(self.repository, self.target, verifier, now)

    def drill(self, now: datetime) -> None:
        day, reports = now.date(), self.settings.reports
        drill(self.store, self.repository, reports, day, now, lambda: 0.0)

    def state(self) -> dict[str, Any]:
        """Return what must be the same after any kill."""
        verifier = journal.signing_key(self.provider).verifier
        report = verify_repository(self.repository, self.provider, verifier)
        found = {
            "generations": report.generations,
            "leftovers": report.leftovers,
            "repository": self._repository(),
            "store": _rows(self.store),
            "certificates": sorted(p.name for p in self.settings.reports.rglob("*")),
            "keys": sum(p.is_file() for p in self.settings.keys.rglob("*")),
        }
        journal.sequence(self.store, datetime.now().astimezone())
        journal.verify(self.store, verifier)
        if self.target is not None:
            found["target"] = _rows(self.target, whole=True)
            journal.verify(self.target, verifier)
        return found

    def _repository(self) -> dict[str, int]:
        files = [p for p in self.settings.backups.rglob("*") if p.is_file()]
        counts: dict[str, int] = {}
        for path in files:
            place = path.parent.relative_to(self.settings.backups).as_posix()
            counts[place] = counts.get(place, 0) + 1
        return counts


def repository(
    what: str, settings: dict[str, str], target: str, at: str, die_at: int | None, how: str
) -> dict[str, Any]:
    """Do ``what`` once; return the points passed, an error's type, and the state after it."""
    points = Points(die_at) if how == "killed" else Faults(die_at, how)
    scene = Scene(settings, target)
    points.install()
    error = ""
    try:
        getattr(scene, what)(datetime.fromisoformat(at))
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is told
        error = f"{type(problem).__name__}: {problem}"
    points.close()
    # After a fault the state is somewhere between; the next run has to bring it in order.
    state = None if how != "killed" else scene.state()
    return {"points": points.seen, "error": error, "state": state}


def _rows(store: Store, whole: bool = False) -> dict[str, Any]:
    """Return the rows of each table: how many, or what they say."""
    with store.admin().connect() as connection:
        tables = [row[0] for row in connection.execute(text(_TABLES))]
        shown = "md5(coalesce(string_agg(t::text, ';' ORDER BY t::text), ''))" if whole else "1"
        return {
            table: list(
                connection.execute(
                    text(f"SELECT count(*), {shown} FROM {_SAID.get(table, table)} t")
                ).one()
            )
            if whole
            else connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
            for table in tables
            if table not in _BY_CHANCE
        }


# How many ids fall into a part decides nothing; checkpoints are signed once more after a kill.
_BY_CHANCE = {"alembic_version", "ledger_checkpoint"}
# A statement that was undone has used up a number: what notes say counts, not their numbers.
_SAID = {"change_note": "(SELECT consumer, place, controller, cut FROM change_note)"}
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
)
