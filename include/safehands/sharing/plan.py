"""The table of one disclosure: agreed fields, people with a basis, own tokens, class size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands import consent
from safehands.errors import GateClosed
from safehands.installation import Installation
from safehands.keys.domain import DomainKey
from safehands.masking import mask_name, mask_phone
from safehands.notices import load_consent_book
from safehands.risk import group, suppress_to_k
from safehands.risk.classes import keep_rows, one_row_per_person
from safehands.risk.level import LEAST_CLASS, LevelRisk, assess_level
from safehands.sharing.abroad import check_abroad
from safehands.sharing.agreements import Agreement, ShareBook, in_force
from safehands.sharing.marks import marked
from safehands.store.register import Owner
from safehands.vault.access import officer_ring
from safehands.vault.contacts import contacts

__all__ = ["Plan", "Request", "plan", "stopped"]

PERSON = "_person"


@dataclass(frozen=True)
class Request:
    """What is asked for: agreement, owner, purpose, and the days that parcels arrived in."""

    agreement: str
    owner: str
    purpose: str
    since: date
    until: date


@dataclass(frozen=True)
class Plan:
    """One file, ready to be given. ``repr`` shows no row.

    ``without_basis``: people with rows in the time asked for who stay out. ``suppressed``: rows and
    cells that the class size took. ``smallest``: people in the smallest class that is left, and
    ``overall_risk`` R of GB/T 42460 (both ``None`` for a file that says who it is about).
    ``abroad``: people of the year that left, 0 inside the mainland.
    """

    request: Request
    agreement: Agreement
    basis: int
    people: tuple[UUID, ...] = field(repr=False)
    table: pa.Table = field(repr=False)
    least: int
    without_basis: int
    unreachable: int
    suppressed: int
    blanked: int
    overall_risk: float | None
    smallest: int | None
    abroad: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)


def plan(
    connection: Connection,
    inst: Installation,
    book: ShareBook,
    request: Request,
    owner: Owner,
    domain: DomainKey,
    day: date,
) -> Plan:
    """Build the file of ``request`` as the officer bound to ``owner``; nothing is written.

    Raises ``GateClosed`` without an agreement in force for that purpose, while an incident stopped
    disclosures, for a file nobody is left in, and for one that may not leave the mainland.
    """
    agreement = in_force(book, request.agreement, owner.code, day)
    if request.purpose not in agreement.purposes:
        raise GateClosed("sharing.purpose", agreement=request.agreement, purpose=request.purpose)
    if stopped(connection):
        raise GateClosed("sharing.stopped", owner=owner.code)
    rows = connection.execute(text(_ROWS[agreement.dataset]), _times(request)).mappings().all()
    lawful = _lawful(connection, inst, request.purpose, day)
    kept = [row for row in rows if row["subject_id"] in lawful]
    out = {row["subject_id"] for row in rows} - lawful.keys()
    records = _records(connection, inst, owner, agreement, kept)
    reached = [row for row in kept if _reachable(agreement, records, row["subject_id"])]
    table, suppressed, blanked, level = _enough(book, agreement, reached, day)
    people = [UUID(who) for who in table.column(PERSON).to_pylist()]
    if not people:
        raise GateClosed("sharing.nobody", agreement=request.agreement)
    return Plan(
        request,
        agreement,
        inst.policy.purposes[request.purpose].basis,
        tuple(people),
        _shaped(agreement, table, people, records, domain),
        0 if agreement.model == "identified" else LEAST_CLASS[agreement.model],
        len(out),
        len(kept) - len(reached),
        suppressed,
        blanked,
        None if level is None else level.overall,
        None if level is None else round(1 / level.highest),
        check_abroad(connection, book, request.agreement, agreement, day, set(people)),
    )


def stopped(connection: Connection) -> bool:
    """Say whether an incident of the bound owner stopped disclosures and none released them."""
    return connection.execute(text(_STOPPED)).scalar() == "stop_disclosures"


def _lawful(connection: Connection, inst: Installation, purpose: str, day: date) -> dict[UUID, int]:
    book = load_consent_book(inst.settings.policy, inst.policy)
    return consent.basis(connection, inst.policy, book, purpose, day)


def _records(
    connection: Connection,
    inst: Installation,
    owner: Owner,
    agreement: Agreement,
    rows: Sequence[Any],
) -> dict[UUID, dict[str, Any]]:
    if not {"name_masked", "phone_masked", "phone"} & set(agreement.fields):
        return {}
    ring = officer_ring(connection, inst.provider, owner)
    return contacts(connection, ring, sorted({row["subject_id"] for row in rows}))


def _reachable(agreement: Agreement, records: dict[UUID, dict[str, Any]], who: UUID) -> bool:
    """A full phone that policy has masked by now cannot be given."""
    return "phone" not in agreement.fields or "*" not in str(records[who]["phone"])


def _enough(
    book: ShareBook, agreement: Agreement, rows: Sequence[Any], day: date
) -> tuple[pa.Table, int, int, LevelRisk | None]:
    """Return the rows that stay, how many rows and cells went, and the risk of what stays.

    The risk counts people, each once in every class that leads to them.
    """
    quasi = book.quasi(agreement)
    columns: dict[str, Any] = {PERSON: [str(row["subject_id"]) for row in rows]}
    plain = [n for n in agreement.fields if rows and n in rows[0]]
    columns |= {name: [row[name] for row in rows] for name in plain}
    table = pa.table(columns)
    if agreement.model == "identified" or not rows:
        return table, 0, 0, None
    least = LEAST_CLASS[agreement.model]
    # The coarsest knowledge is given up first: what the file is about stays longest.
    done = suppress_to_k(table, quasi, least, local=tuple(reversed(quasi[1:])), person=PERSON)
    if not done.table.num_rows:
        return done.table, done.rows, 0, None
    once, _ = one_row_per_person(done.table, quasi, PERSON)
    threats = book.threats.at(day, agreement.threats).probabilities()
    people = group(keep_rows(done.table, once), quasi)
    risk = assess_level(people, agreement.model, **threats)
    return done.table, done.rows, sum(done.cells.values()), risk


def _shaped(
    agreement: Agreement,
    table: pa.Table,
    people: Sequence[UUID],
    records: dict[UUID, dict[str, Any]],
    domain: DomainKey,
) -> pa.Table:
    """Return the columns in the agreed order; people's codes and masked forms are put in here."""
    made: dict[str, Any] = {}
    for name in agreement.fields:
        if name == "ref":
            made[name] = [str(token) for token in domain.tokens(people)]
        elif name == "name_masked":
            made[name] = [marked(_masked_name(records[who]["name"]), domain) for who in people]
        elif name == "phone_masked":
            made[name] = [marked(_masked_phone(records[who]["phone"]), domain) for who in people]
        elif name == "phone":
            made[name] = [records[who]["phone"] for who in people]
        else:
            made[name] = table.column(name)
    return pa.table(made)


def _masked_name(name: str) -> str:
    return name if "*" in name else mask_name(name)


def _masked_phone(phone: str) -> str:
    return phone if "*" in phone else mask_phone(phone)


def _times(request: Request) -> dict[str, date]:
    return {"since": request.since, "until": request.until}


_ROWS = {
    "parcels": (
        "SELECT p.subject_id, p.district,"
        " to_char(p.arrived_at AT TIME ZONE 'Asia/Shanghai', 'IYYY-\"W\"IW') AS arrived_week,"
        " p.carrier, p.weight_band, p.status FROM parcel p"
        " JOIN subject s ON s.controller_id = p.controller_id AND s.subject_id = p.subject_id"
        " WHERE p.arrived_at >= CAST(:since AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'"
        " AND p.arrived_at < (CAST(:until AS date) + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'"
        " ORDER BY p.subject_id, p.arrived_at, p.waybill"
    ),
    "people": (
        "SELECT s.subject_id, p.notify_channel, p.delivery_choice FROM subject s"
        " LEFT JOIN preference p USING (controller_id, subject_id)"
        " WHERE s.last_seen >= CAST(:since AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'"
        " AND s.first_seen < (CAST(:until AS date) + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'"
        " ORDER BY s.subject_id"
    ),
}
_STOPPED = (
    "SELECT e.name FROM incident_event e JOIN incident i ON i.id = e.incident_id"
    " WHERE NOT i.drill AND e.kind = 'done' AND e.name IN ('stop_disclosures',"
    " 'resume_disclosures') ORDER BY e.id DESC LIMIT 1"
)
