"""Carry out what was granted: a package for the person, or a change of the record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from safehands import consent, erasure, journal
from safehands.errors import AccessRefused
from safehands.installation import Installation
from safehands.night import SHANGHAI
from safehands.notices import current, load_consent_book, load_notice_book, versions
from safehands.rights.gather import gather, rows_aside
from safehands.rights.package import new_passphrase, pack, sealed
from safehands.rights.requests import Request, find, step
from safehands.store import lock
from safehands.store.register import Owner, owners
from safehands.vault.access import OFFICER, Access, check_open, check_staff, officer_ring
from safehands.vault.correct import correct
from safehands.vault.restrict import restrict

__all__ = ["Done", "Given", "carry_out", "waiting_of"]


@dataclass(frozen=True)
class Given:
    """What carrying out needs beside the request. ``repr`` shows no value.

    ``field`` and ``value``: what to correct. ``recipient``: the person's own age recipient;
    without one a passphrase is made from ``random`` (at least 14 bytes). ``folder``: where packages
    lie. ``waiting``: quarantined rows of each person, where many are deleted in one run.
    """

    random: bytes = field(repr=False)
    folder: Path
    recipient: str = ""
    field_name: str = ""
    value: str = field(default="", repr=False)
    waiting: Mapping[UUID, list[int]] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Done:
    """What was done. ``counts`` may be shown; ``file`` is the package, ``passphrase`` opens it."""

    counts: dict[str, int]
    file: Path | None = None
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True)
class _Job:
    inst: Installation
    owner: Owner
    request: Request
    subject: UUID
    by: str
    now: datetime
    given: Given

    @property
    def access(self) -> Access:
        return Access(self.owner.code, self.by, "rights")


def carry_out(inst: Installation, request: str, by: str, now: datetime, given: Given) -> Done:
    """Do what the request asks, record it and close the request.

    A request that is done already is not done again, and no second package is made.

    Raises ``AccessRefused`` unless the request was granted, and what the work itself refuses; the
    request then stays granted.
    """
    check_staff(by)
    found = find(inst.store, request)
    if found.state == "done":
        return Done({"already": 1})
    if found.state != "granted" or found.subject is None:
        raise AccessRefused("rights.wrong_state", request=request, state=found.state)
    owner = owners(inst.store)[found.controller]
    with inst.store.begin(OFFICER, owner.id) as connection:
        check_open(connection, by)
    job = _Job(inst, owner, found, found.subject, by, now, given)
    done = _WORK[found.kind](job)
    with inst.store.begin(OFFICER, owner.id) as connection:
        values = {"id": request, "at": now, "outcome": json.dumps(done.counts)}
        if connection.execute(text(_DONE), values).rowcount:
            step(connection, owner, request, "done", by, now, counts=done.counts)
    return done


def _package(job: _Job) -> Done:
    held = gather(job.inst, job.owner, job.subject, job.by, job.now)
    return _write(job, held)


def _explanation(job: _Job) -> Done:
    return _write(job, {})


def _write(job: _Job, held: Mapping[str, Any]) -> Done:
    given = job.given
    passphrase = "" if given.recipient else new_passphrase(given.random[4:])
    content = sealed(pack(_about(job), held), given.recipient, passphrase)
    given.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = given.folder / f"{job.request.request}.zip.age"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    counts = {name: 1 if isinstance(rows, dict) else len(rows) for name, rows in held.items()}
    return Done({**counts, "bytes": len(content)}, path, passphrase)


def _about(job: _Job) -> dict[str, Any]:
    policy, day = job.inst.policy, job.now.astimezone(SHANGHAI).date()
    book = load_notice_book(job.inst.settings.policy, policy)
    with job.inst.store.begin(OFFICER, job.owner.id) as connection:
        notice = current(connection, job.owner.id, day)
    contact = notice.document["contact"] if notice else ""
    return {
        "owner": job.owner.name,
        "contact": contact,
        "request": job.request.request,
        "day": day.isoformat(),
        "purposes": [
            {"zh": one.label.zh, "en": one.label.en, "article": one.article}
            for one in policy.purposes.values()
        ],
        "recipients": [{"zh": one.who.zh, "en": one.who.en} for one in book.recipients],
    }


def _correct(job: _Job) -> Done:
    given = job.given
    if not given.field_name:
        raise AccessRefused("rights.value_missing")
    changed = correct(
        job.inst.store,
        job.inst.policy,
        job.access,
        job.now,
        subject=job.subject,
        field=given.field_name,
        value=given.value,
    )
    return Done({"corrected": int(changed)})


def waiting_of(
    inst: Installation, owner: Owner, subjects: Collection[UUID]
) -> dict[UUID, list[int]]:
    """Return the numbers of the quarantined rows that are these people's."""
    with inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, inst.store.provider, owner)
        found = rows_aside(connection, inst, ring, subjects)
    return {subject: [row.id for row in rows] for subject, rows in found.items()}


def _delete(job: _Job) -> Done:
    """Erase now, rows that wait included; the night ends the epoch and proves it."""
    inst, request = job.inst, erasure.new_request_id(job.now, job.given.random)
    waiting = job.given.waiting
    if waiting is None:
        waiting = waiting_of(inst, job.owner, [job.subject])
    aside = waiting.get(job.subject, [])
    erasure.register(inst.store, job.owner, request, [job.subject], "withdrawn", job.now)
    day = job.now.astimezone(SHANGHAI).date()
    counts = erasure.erase_due(inst.store, job.owner, inst.policy, request, day, job.now, request)
    if aside and counts.get("erased"):
        with inst.store.begin(controller=job.owner.id) as connection:
            gone = connection.execute(text(_DISCARD), {"ids": aside}).rowcount
            facts = {"controller": job.owner.code, "action": "erased", "rows": gone, "by": job.by}
            journal.append(connection, "quarantine", job.request.request, job.now, facts)
        counts["quarantine"] = gone
    return Done(counts)


def _restrict(job: _Job) -> Done:
    restrict(
        job.inst.store,
        job.inst.policy,
        job.access,
        job.now,
        subject=job.subject,
        reason="request",
    )
    return Done({"restricted": 1})


def _withdraw(job: _Job) -> Done:
    inst = job.inst
    book = load_consent_book(inst.settings.policy, inst.policy)
    with inst.store.begin(OFFICER, job.owner.id) as connection:
        lock(connection, f"safehands.controller.{job.owner.id}")
        notices = versions(connection, job.owner.id)
        channel = job.request.channel if job.request.channel in book.channels else "counter"
        answer = consent.Answer(
            job.subject,
            "withdrawn",
            job.request.purpose,
            channel,
            job.request.request,
            job.now,
        )
        stopped = consent.record(
            connection, inst.policy, book, job.owner, notices, [answer], job.by, job.now
        )
    return Done({"withdrawn": 1, "stopped": stopped})


_WORK: dict[str, Callable[[_Job], Done]] = {
    "access": _package,
    "copy": _package,
    "explain": _explanation,
    "correct": _correct,
    "supplement": _correct,
    "delete": _delete,
    "restrict": _restrict,
    "object": _restrict,
    "withdraw": _withdraw,
}
_DISCARD = "DELETE FROM quarantine WHERE id = ANY (:ids)"
_DONE = (
    "UPDATE subject_request SET state = 'done', done_at = :at,"
    " outcome = CAST(:outcome AS jsonb) WHERE request = :id AND state = 'granted'"
)
