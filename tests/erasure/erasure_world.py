"""A small store with people, erasures and backups: what the tests of erasure share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from minimised import SHANGHAI, World
from safehands import backup, erasure, journal
from safehands.datasets import Outcome
from safehands.keys import age
from safehands.ledger import VerifierKey
from safehands.night import Night
from safehands.store import Store

__all__ = ["Scene", "after", "scene_of"]


def after(day: date, hour: int = 2) -> datetime:
    """Return the hour after midnight at which the night of ``day`` works."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=SHANGHAI) + timedelta(days=1)


@dataclass
class Scene:
    """A world with a repository, and what a night does after its shards."""

    world: World

    @property
    def store(self) -> Store:
        return self.world.store

    @property
    def night(self) -> Night:
        return self.world.night

    @property
    def verifier(self) -> VerifierKey:
        return journal.signing_key(self.store.provider).verifier

    def on(self, day: date) -> Scene:
        """Return the scene on the night of another business date."""
        later = self.world.on(day)
        return Scene(replace(later, now=after(day)))

    def ask(self, phone: str, request: str = "R-1", owner: str = "A", **more: Any) -> bool:
        """Register a request about the holder of a number."""
        known = self.world.owner(owner)
        subjects, _ = erasure.find_subjects(self.store, known, phone, **more)
        return erasure.register(
            self.store, known, request, subjects, "withdrawn", self.world.now - timedelta(hours=1)
        )

    def apply(self) -> Outcome:
        return erasure.apply(self.night, self.store, self.world.now)

    def erase_alone(self) -> dict[str, int]:
        """Erase who asked for it, as by day, and leave the epoch to the night."""
        night, now = self.night, self.world.now
        owner = self.world.owner()
        day, policy = night.business_date, night.policy
        return erasure.erase_due(self.store, owner, policy, night.run, day, now)

    def backup(self) -> Outcome:
        return backup.backup(self.night, self.store, self.world.now)

    def prove(self) -> Outcome:
        return erasure.prove(self.night, self.store, self.world.now)

    def finish(self) -> Outcome:
        """Do what a night does after its shards, as far as erasures are concerned."""
        self.apply()
        self.backup()
        return self.prove()

    def request(self, request: str = "R-1") -> erasure.Request:
        everybody = [self.world.owner(code) for code in ("A", "B")]
        (found,) = erasure.list_requests(self.store, everybody, request)
        return found

    def epochs(self, owner: str = "A") -> list[str]:
        """Return the epoch keys of an owner that exist in any place."""
        return self.store.provider.names(f"epoch/{owner}")

    def subject(self, phone: str, owner: str = "A") -> UUID:
        known = self.world.owner(owner)
        (found,), _ = erasure.find_subjects(self.store, known, phone)
        return found

    def admin(self, statement: str, **values: Any) -> None:
        with self.store.admin().begin() as connection:
            connection.execute(text(statement), values)


def scene_of(world: World) -> Scene:
    """Give a world's installation a backup identity."""
    provider = world.store.provider
    recipients = provider.first / "backup-recipients.txt"
    recipients.write_text(age.make_identity(provider) + "\n", encoding="ascii")
    return Scene(world)
