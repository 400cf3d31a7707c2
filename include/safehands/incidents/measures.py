"""What the program itself does to contain an incident, each measure once approved.

``stop_disclosures``    no file is planned while the event stands; ``resume_disclosures`` ends that
``revoke_access``       the staff ids in the scope are barred, logins from outside lose our roles
``restore_access``      the same people and logins back again
``rotate_keys``         a new data key; every record is sealed anew, a new backup lineage begins
``new_epoch``           lookups and salts anew; the next proved backup destroys the old epoch's key
``recall``              everything the recipients in the scope hold is asked back

Each may be done again after a kill: what is done already is found done. What a measure did is
returned as facts (ids of staff, logins and files, counts) and noted by the caller. Restoring a
backup and changing the root key are left to people: the one overwrites, the other asks for new
escrow shares handed out by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from safehands.erasure import turn_epoch
from safehands.errors import AccessRefused
from safehands.incidents.cases import Case
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.rotation import rotate_data
from safehands.sharing import load_share_book, recall, recall_everything
from safehands.store import ROLES
from safehands.store.register import Owner

__all__ = ["MEASURES", "Measure"]

Facts = dict[str, Any]
Measure = Callable[[Installation, Owner, Case, str], Facts]
_PEOPLE = "safehands_analyst"
"""The one role that nobody but people logs in as: it sees no vault, and loses its login too."""


def _event_alone(_inst: Installation, _owner: Owner, _found: Case, _by: str) -> Facts:
    """The event is the measure: whoever plans a disclosure looks for it."""
    return {}


def _revoke(inst: Installation, _owner: Owner, found: Case, _by: str) -> Facts:
    """Take our roles from every other login, end its sessions, and bar the staff of the scope."""
    with inst.store.admin().begin() as connection:
        rows = connection.execute(text(_MEMBERS), {"ours": list(ROLES)}).all()
        for role, login in rows:
            connection.execute(text(f"REVOKE {_quoted(role)} FROM {_quoted(login)} CASCADE"))
        connection.execute(text(f"ALTER ROLE {_PEOPLE} NOLOGIN"))
        outside = sorted({login for _, login in rows} | {_PEOPLE})
        ended = connection.execute(text(_END), {"logins": outside}).scalar_one()
    return {
        "staff": sorted(name.lower() for name in found.scope.staff),
        "logins": [f"{role} {login}" for role, login in rows],
        "sessions": int(ended),
    }


def _restore(inst: Installation, _owner: Owner, found: Case, _by: str) -> Facts:
    """Give back what this incident's last ``revoke_access`` took."""
    taken = [e for e in found.events if e.kind == "done" and e.name == "revoke_access"]
    if not taken:
        raise AccessRefused("incident.nothing_revoked", number=found.number)
    # Every revocation took something of its own; one that was repeated took nothing more.
    logins = sorted({one for event in taken for one in event.facts["logins"]})
    with inst.store.admin().begin() as connection:
        for one in logins:
            role, _, login = one.partition(" ")
            there = connection.execute(text(_THERE), {"login": login}).scalar()
            if role in ROLES and there:
                connection.execute(text(f"GRANT {_quoted(role)} TO {_quoted(login)}"))
        connection.execute(text(f"ALTER ROLE {_PEOPLE} LOGIN"))
    staff = sorted({name for event in taken for name in event.facts["staff"]})
    return {"staff": staff, "logins": logins}


def _rotate(inst: Installation, owner: Owner, _found: Case, _by: str) -> Facts:
    done = rotate_data(inst.store, owner, inst.clock())
    return {"data_key_version": done.new, "records": done.records}


def _epoch(inst: Installation, owner: Owner, found: Case, _by: str) -> Facts:
    now = inst.clock()
    run, day = f"incident-{found.number}", now.astimezone(SHANGHAI).date()
    done = turn_epoch(inst.store, owner, run, day, now, asked=True)
    if done is None:
        # One turned this night already, or the key before it waits for its proof: never three.
        raise AccessRefused("incident.epoch_not_now")
    return {"people": done["people"]}


def _recall(inst: Installation, owner: Owner, found: Case, by: str) -> Facts:
    book = load_share_book(inst.settings.policy, inst.policy)
    day = inst.clock().astimezone(SHANGHAI).date()
    codes = found.scope.agreements or tuple(book.agreements)
    asked = recall_everything(inst, owner, codes)
    files = [recall(inst, book, owner.code, code, day, by).name for code in asked]
    return {"agreements": asked, "files": files}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


MEASURES: dict[str, Measure] = {
    "stop_disclosures": _event_alone,
    "resume_disclosures": _event_alone,
    "revoke_access": _revoke,
    "restore_access": _restore,
    "rotate_keys": _rotate,
    "new_epoch": _epoch,
    "recall": _recall,
}

_MEMBERS = (
    "SELECT r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid"
    " JOIN pg_roles m ON m.oid = a.member WHERE r.rolname = ANY (:ours)"
    " AND m.rolname <> ALL (:ours) AND m.rolname <> current_user AND NOT m.rolsuper"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
_END = (
    "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = ANY (:logins) AND pid <> pg_backend_pid()) ended"
)
_THERE = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :login)"
