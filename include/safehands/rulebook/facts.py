"""All facts of all owners on one day, gathered once; then rules are judged without the store."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text

from safehands.installation import Installation
from safehands.keys import RunKey
from safehands.night import Night
from safehands.organisation.catalogue import Organisation, load_organisation
from safehands.report.retention import overdue
from safehands.rulebook.from_places import place_measures
from safehands.rulebook.from_policy import policy_measures
from safehands.rulebook.from_register import register_measures
from safehands.rulebook.from_store import store_measures
from safehands.rulebook.judge import Facts, Measured, Occasion
from safehands.rulebook.load import load_rulebook
from safehands.rulebook.matrix import Matrices, load_matrices
from safehands.rulebook.model import RuleBook
from safehands.store.register import Owner, owners

__all__ = ["Books", "gather", "open_books"]


@dataclass(frozen=True)
class Books:
    """Everything that policy says for checks: the rule book, the organisation, the tables."""

    rules: RuleBook
    organisation: Organisation
    matrices: Matrices


def open_books(inst: Installation) -> Books:
    """Read the three from the installation's policy folder. Raises ``PolicyError``."""
    folder = inst.settings.policy
    return Books(load_rulebook(folder), load_organisation(folder), load_matrices(folder))


def gather(
    inst: Installation,
    books: Books,
    day: date,
    occasion: Occasion | None = None,
    *,
    in_night: bool = False,
) -> dict[str, Facts]:
    """Return each owner's facts on ``day``: numbers with run and source, never a value.

    ``in_night`` leaves out what the night's own report adds, so that a second look finds the same.
    Evidence tables are read as ``safehands_auditor``; only people are counted under the owner's
    own binding.
    """
    until = day - timedelta(days=1) if in_night else day
    values = {
        "day": day,
        "until": until,
        "soon": day + timedelta(days=books.organisation.remind_days),
    }
    with inst.store.begin("safehands_auditor") as connection:
        found: dict[str, Mapping[int | None, Measured]] = {
            **store_measures(connection, values),
            **register_measures(connection, day, occasion),
        }
    everywhere = _everywhere(inst, books, day, until)
    return {
        owner.code: {**everywhere, **_of(owner, found), **_own(inst, owner, found, day)}
        for owner in owners(inst.store).values()
    }


def _everywhere(inst: Installation, books: Books, day: date, until: date) -> dict[str, Measured]:
    """Facts that hold for every owner: policy, folders, the book itself."""
    numbers = policy_measures(inst.policy, books.organisation, books.matrices)
    late = len(books.rules.past_review(day))
    return {
        **{name: Measured(n, "", inst.policy.digest[:12]) for name, n in numbers.items()},
        **place_measures(inst.settings, until),
        "rulebook.past_review": Measured(late, "", books.rules.digest[:12]),
    }


def _of(owner: Owner, found: Mapping[str, Mapping[int | None, Measured]]) -> dict[str, Measured]:
    mine = {}
    for name, numbers in found.items():
        fact = numbers.get(owner.id, numbers.get(None))
        if fact is not None:
            mine[name] = fact
    return mine


def _own(
    inst: Installation,
    owner: Owner,
    found: Mapping[str, Mapping[int | None, Measured]],
    day: date,
) -> dict[str, Measured]:
    """Counts of one owner's rows, under its own binding."""
    with inst.store.begin(controller=owner.id) as connection:
        people, restricted = connection.execute(text(_PEOPLE)).one()
        reads = connection.execute(text(_READS), {"day": day}).scalar_one()
    facts = {
        "store.restricted_people": Measured(restricted, "", "restriction"),
        "store.held_reads": Measured(reads, "", "access_log"),
    }
    elsewhere = found.get("declared.people_elsewhere", {}).get(owner.id)
    if elsewhere is not None:
        total = people + restricted + elsewhere.number
        facts["store.people_total"] = Measured(total, "", f"subject; {elsewhere.source}")
    purge = found["store.purge_age"].get(owner.id)
    if purge is not None:
        last = day - timedelta(days=int(purge.number))
        facts["store.overdue_rows"] = Measured(_overdue(inst, owner, last), purge.run, "retention")
    return facts


def _overdue(inst: Installation, owner: Owner, day: date) -> int:
    """Rows past their time after the purge of ``day``, as the report counts them."""
    # Retention asks for a night; its key is for artifacts, of which there are none here.
    key = RunKey("rules", secrets.token_bytes(32))
    night = Night("rules", day, inst.settings, inst.policy, key)
    return overdue(night, inst.store, owner)


# People whose record is storage-only are hidden from the pipeline and stand in `restriction`.
_PEOPLE = "SELECT (SELECT count(*) FROM subject), (SELECT count(*) FROM restriction)"
_READS = (
    "SELECT count(*) FROM access_log a JOIN restriction r USING (controller_id, subject_id)"
    " WHERE a.action = 'reveal' AND a.at >= r.restricted_at"
    " AND (a.at AT TIME ZONE 'Asia/Shanghai')::date <= :day"
)
