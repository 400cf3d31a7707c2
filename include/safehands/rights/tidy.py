"""Files that answered a request do not lie here for ever: they go some days after it was done."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from safehands.installation import Installation
from safehands.rights.book import load_rights_book
from safehands.store.register import owners
from safehands.vault.access import OFFICER

__all__ = ["files_of", "remove_answers"]


def files_of(home: Path, request: str) -> tuple[Path, ...]:
    """Return where a request's files may lie: sealed package, passphrase, code."""
    return (
        home / "answers" / f"{request}.zip.age",
        home / "passphrases" / f"{request}.txt",
        home / "outgoing" / f"{request}.txt",
    )


def remove_answers(inst: Installation, now: datetime) -> int:
    """Remove the files of requests done more than ``answer_days`` ago; return how many.

    The same again removes nothing.
    """
    days = load_rights_book(inst.settings.policy).answer_days
    removed = 0
    for owner in owners(inst.store).values():
        with inst.store.begin(OFFICER, owner.id) as connection:
            values = {"before": now - timedelta(days=days)}
            old = list(connection.execute(text(_OLD), values).scalars())
        for path in (path for request in old for path in files_of(inst.settings.home, request)):
            if path.exists():
                path.unlink()
                removed += 1
    return removed


_OLD = "SELECT request FROM subject_request WHERE state = 'done' AND done_at < :before"
