"""Give a file: encrypted for the recipient alone, with its data sheet, and in the register."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from safehands import gates, journal
from safehands.consent import basis
from safehands.errors import AccessRefused
from safehands.exports import neutral
from safehands.installation import Installation
from safehands.keys import age
from safehands.keys.domain import open_domain
from safehands.notices import load_consent_book
from safehands.organisation import owner_of
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.sharing.agreements import Agreement, ShareBook, digest_of
from safehands.sharing.gate import ask_gate
from safehands.sharing.marks import OTHER_STAR
from safehands.sharing.plan import Plan, Request, plan
from safehands.store import lock
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, check_open, check_staff

__all__ = ["Disclosed", "disclose", "sheet"]


@dataclass(frozen=True)
class Disclosed:
    """A file that was made: its number in the register, where it lies, how much is in it."""

    number: int
    file: Path
    people: int
    rows: int
    suppressed: int


def disclose(
    inst: Installation,
    book: ShareBook,
    request: Request,
    day: date,
    by: str,
    reason: str = "",
    once: str = "",
) -> Disclosed:
    """Plan the file and give it. Plan, register and ledger stand in one transaction.

    ``once``: what makes this giving one of its kind (a run's id); the same again gives nothing and
    returns what was given. Empty: every call gives.

    Raises what :func:`plan` raises, ``GateClosed`` naming what the gate of sharing stops on, and
    ``AccessRefused`` for more rows than policy's bulk limit
    without one of its reasons (反电信网络诈骗法 29), or for no staff id.
    """
    check_staff(by)
    if reason and reason not in book.reasons:
        raise AccessRefused("sharing.unknown_reason", known=", ".join(book.reasons))
    owner, now = owner_of(inst, request.owner), inst.clock()
    domain = open_domain(inst.provider, owner.code, request.agreement, make=True)
    with inst.store.begin(OFFICER, owner.id) as connection:
        check_open(connection, by)
        # The year's count of people abroad holds only while nobody else adds to it.
        lock(connection, f"safehands.disclose.{owner.id}")
        before = connection.execute(text(_ONCE), {"once": once}).first() if once else None
        if before is not None:
            file = _place(inst, before.id, request.agreement, book.agreements[request.agreement])
            return Disclosed(before.id, file, before.people, before.rows, before.suppressed)
        made = plan(connection, inst, book, request, owner, domain, day)
        if made.rows > book.bulk_rows and not reason:
            known = ", ".join(book.reasons)
            raise AccessRefused("sharing.bulk", rows=made.rows, most=book.bulk_rows, known=known)
        gates.require(ask_gate(connection, inst, made, owner, day))
        sealed = age.encrypt(_bytes(made, sheet(made, book, day)), [made.agreement.age])
        digest = hashlib.sha256(sealed).hexdigest()
        number = _register(connection, owner, made, digest, book, day, by, reason, now, once)
        file = _place(inst, number, request.agreement, made.agreement)
        partial = _write(file, sealed)
    os.replace(partial, file)
    _write_sheet(file, {**sheet(made, book, day), "number": number, "file_digest": digest})
    _figures(inst, owner, request, day, number)
    return Disclosed(number, file, len(set(made.people)), made.rows, made.suppressed)


def sheet(made: Plan, book: ShareBook, day: date) -> dict[str, Any]:
    """Return the data sheet: what the file is, for whom, and what may be done with it."""
    agreement, request = made.agreement, made.request
    return {
        "format": "safehands-disclosure/1",
        "agreement": request.agreement,
        "agreement_digest": digest_of(agreement),
        "recipient": agreement.recipient.model_dump(),
        "owner": request.owner,
        "purpose": request.purpose,
        "basis": made.basis,
        "model": agreement.model,
        "day": day.isoformat(),
        "since": request.since.isoformat(),
        "until": request.until.isoformat(),
        # Both stars hide a sign; which one does is the recipient's mark.
        "mask_signs": ["*", OTHER_STAR],
        "fields": {n: {"zh": book.fields[n].zh, "en": book.fields[n].en} for n in agreement.fields},
        "people": len(set(made.people)),
        "rows": made.rows,
        "without_basis_left_out": made.without_basis,
        "unreachable_left_out": made.unreachable,
        "least_class": made.least,
        "smallest_class": made.smallest,
        "rows_suppressed": made.suppressed,
        "cells_suppressed": made.blanked,
        "overall_risk": made.overall_risk,
        "people_abroad_this_year": made.abroad,
        "duties": agreement.duties.model_dump(),
        "destroy_by": agreement.until.isoformat(),
    }


def _bytes(made: Plan, facts: dict[str, Any]) -> bytes:
    """Return the file in clear: formula-safe CSV, or Parquet with the sheet in its metadata."""
    if made.agreement.format == "parquet":
        sink = pa.BufferOutputStream()
        told = {"safehands": json.dumps(facts, ensure_ascii=False)}
        pq.write_table(made.table.replace_schema_metadata(told), sink)
        return bytes(sink.getvalue().to_pybytes())
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(made.table.column_names)
    for row in zip(*(c.to_pylist() for c in made.table.columns), strict=True):
        writer.writerow([neutral(cell) for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _register(
    connection: Connection,
    owner: Owner,
    made: Plan,
    digest: str,
    book: ShareBook,
    day: date,
    by: str,
    reason: str,
    now: datetime,
    once: str,
) -> int:
    facts = {**sheet(made, book, day), "once": once}
    terms = digest_of(made.agreement)
    document = json.dumps(made.agreement.model_dump(mode="json"), ensure_ascii=False)
    values: dict[str, Any] = {
        "owner": owner.id,
        "code": made.request.agreement,
        "terms": terms,
        "document": document,
        "purpose": made.request.purpose,
        "basis": made.basis,
        "day": day,
        "at": now,
        "by": by,
        "reason": reason,
        "abroad": book.is_abroad(made.agreement),
        "people": len(set(made.people)),
        "rows": made.rows,
        "digest": digest,
        "facts": json.dumps(facts, ensure_ascii=False),
    }
    connection.execute(text(_AGREEMENT), values)
    number = int(connection.execute(text(_DISCLOSURE), values).scalar_one())
    _subjects(connection, owner, made, number, now)
    body = {
        "controller": owner.code,
        "disclosure": number,
        "agreement": made.request.agreement,
        "terms": terms,
        "purpose": made.request.purpose,
        "people": values["people"],
        "rows": made.rows,
        "suppressed": made.suppressed,
        "abroad": values["abroad"],
        "reason": reason,
        "by": by,
        "file": digest,
    }
    journal.append(connection, "disclosure", f"disclosure-{number}", now, body)
    if made.rows > book.bulk_rows:
        alert = {key: body[key] for key in ("controller", "disclosure", "rows", "reason", "by")}
        journal.append(connection, "bulk_export", f"disclosure-{number}", now, alert)
    return number


def _subjects(connection: Connection, owner: Owner, made: Plan, number: int, now: datetime) -> None:
    """Keep who was in it; the code as the recipient knows it only where it has one."""
    codes: dict[Any, Any] = dict.fromkeys(made.people)
    if "ref" in made.agreement.fields:
        codes = dict(zip(made.people, made.table.column("ref").to_pylist(), strict=True))
    values = {
        "number": number,
        "owner": owner.id,
        "at": now,
        "who": list(codes),
        "tokens": list(codes.values()),
    }
    connection.execute(text(_SUBJECTS), values)


def _place(inst: Installation, number: int, code: str, agreement: Agreement) -> Path:
    kind = agreement.format
    return inst.settings.home / "shares" / f"{number:06d}-{code}.{kind}.age"


def _write(file: Path, sealed: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(f".{file.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(sealed)
        out.flush()
        os.fsync(out.fileno())
    return partial


def _write_sheet(file: Path, facts: dict[str, Any]) -> None:
    told = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    path = file.with_name(f"{file.name}.json")
    os.replace(_write(path, told.encode()), path)


def _figures(inst: Installation, owner: Owner, request: Request, day: date, number: int) -> None:
    """Look again, after the fact: how many in the file have no basis on that day."""
    names = load_rulebook(inst.settings.policy).figures
    consents = load_consent_book(inst.settings.policy, inst.policy)
    with inst.store.begin(OFFICER, owner.id) as connection:
        lawful = basis(connection, inst.policy, consents, request.purpose, day)
        given = connection.execute(text(_GIVEN), {"number": number}).scalars()
        without = sum(subject not in lawful for subject in given)
    with inst.store.begin(controller=owner.id) as connection:
        record_figure(
            connection,
            names,
            owner,
            "supply.without_basis",
            without,
            day=day,
            run=f"disclosure-{number}",
            source="disclosure_subject",
        )


_GIVEN = "SELECT subject_id FROM disclosure_subject WHERE disclosure_id = :number"
_AGREEMENT = (
    "INSERT INTO agreement (controller_id, code, digest, document, recorded_at, by_whom)"
    " VALUES (:owner, :code, :terms, CAST(:document AS jsonb), :at, :by) ON CONFLICT DO NOTHING"
)
_DISCLOSURE = (
    "INSERT INTO disclosure (controller_id, agreement, agreement_digest, purpose, basis,"
    " business_date, made_at, by_whom, reason, abroad, people, rows, file_digest, facts)"
    " VALUES (:owner, :code, :terms, :purpose, :basis, :day, :at, :by, :reason, :abroad, :people,"
    " :rows, :digest, CAST(:facts AS jsonb)) RETURNING id"
)
_SUBJECTS = (
    "INSERT INTO disclosure_subject (disclosure_id, controller_id, subject_id, token, state,"
    " changed_at) SELECT :number, :owner, t.who, t.token, 'given', :at"
    " FROM unnest(CAST(:who AS uuid[]), CAST(:tokens AS uuid[])) AS t (who, token)"
)
_ONCE = (
    "SELECT id, people, rows, CAST(facts->>'rows_suppressed' AS int) AS suppressed"
    " FROM disclosure WHERE facts->>'once' = :once"
)
