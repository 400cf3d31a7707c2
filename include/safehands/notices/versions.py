"""Notices as published: numbered, with the day from which they hold, never changed afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.errors import PolicyError
from safehands.notices.compose import digest_of, missing
from safehands.store import Store, lock
from safehands.vault.access import OFFICER, check_staff, find_owner

__all__ = ["Notice", "current", "publish", "versions"]


@dataclass(frozen=True)
class Notice:
    """One published notice."""

    number: int
    valid_from: date
    digest: str
    document: dict[str, Any]
    published: datetime
    by: str

    def terms(self, purpose: str) -> str:
        """Return what it says of a purpose, as a digest; empty where it doesn't know it."""
        found = (one["terms"] for one in self.document["purposes"] if one["id"] == purpose)
        return str(next(found, ""))


def publish(
    store: Store, document: dict[str, Any], valid_from: date, by: str, now: datetime
) -> tuple[int, bool]:
    """Publish ``document``; return its number and whether it is new.

    The same document as the newest changes nothing. Raises ``PolicyError`` when a required item is
    missing (PIPL 17), ``AccessRefused`` for an unknown owner or a staff id that is none.
    """
    check_staff(by)
    owner = find_owner(store, document["controller"])
    if lacking := missing(document):
        raise PolicyError("notices.missing", items=", ".join(lacking))
    digest = digest_of(document)
    with store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.notices.{owner.id}")
        known = versions(connection, owner.id)
        if known and known[-1].digest == digest:
            return known[-1].number, False
        number = known[-1].number + 1 if known else 1
        values = {
            "controller": owner.id,
            "number": number,
            "valid_from": valid_from,
            "digest": digest,
            "document": json.dumps(document, ensure_ascii=False),
            "at": now,
            "by": by,
        }
        connection.execute(text(_PUBLISH), values)
        facts = {
            "controller": owner.code,
            "notice": number,
            "digest": digest,
            "valid_from": valid_from.isoformat(),
            "by": by,
        }
        journal.append(connection, "notice", f"notice-{owner.code}-{number}", now, facts)
    return number, True


def versions(connection: Connection, controller_id: int) -> list[Notice]:
    """Return the notices of an owner by number."""
    rows = connection.execute(text(_VERSIONS), {"controller": controller_id})
    return [Notice(*row) for row in rows]


def current(connection: Connection, controller_id: int, day: date) -> Notice | None:
    """Return the notice that holds on ``day``: the newest whose first day has come."""
    valid = [one for one in versions(connection, controller_id) if one.valid_from <= day]
    return valid[-1] if valid else None


_PUBLISH = (
    "INSERT INTO notice_version (controller_id, number, valid_from, digest, document,"
    " published_at, by_whom) VALUES (:controller, :number, :valid_from, :digest,"
    " CAST(:document AS jsonb), :at, :by)"
)
_VERSIONS = (
    "SELECT number, valid_from, digest, document, published_at, by_whom FROM notice_version"
    " WHERE controller_id = :controller ORDER BY number"
)
