"""Answers from a file: a station's own sheet, or what a survey platform exports.

CSV or XLSX. Whole or not at all: one line that cannot be understood stops the file, with its place
and what is wrong, and never with a cell. The same file again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, text

from safehands.consent.answers import Answer, Kind, check, record
from safehands.datasets import safe_name
from safehands.errors import AccessRefused, BadInput
from safehands.ingest.moments import moments
from safehands.ingest.phones import read_phone
from safehands.installation import Installation
from safehands.keys import KeyRing
from safehands.messages import LANGUAGES
from safehands.night import SHANGHAI
from safehands.notices import ConsentBook, Notice, load_consent_book, versions
from safehands.organisation.sheet import digest_of, sheet_lines
from safehands.store import lock
from safehands.vault.access import OFFICER, find_owner, officer_ring

__all__ = ["Asked", "Read", "import_sheet"]

_MOBILE = 1


@dataclass(frozen=True)
class Asked:
    """What holds for every line that does not say otherwise."""

    purpose: str
    channel: str
    notice: int | None
    campaign: str = ""
    separate: bool = False


@dataclass(frozen=True)
class Read:
    """What came of a file. ``unknown``: lines with a number that leads to nobody here."""

    recorded: int
    unknown: int
    stopped: int
    again: bool = False


@dataclass(frozen=True)
class _Line:
    number: int
    phone: str
    kind: Kind
    at: datetime
    evidence: str
    guardian: str
    purpose: str


def import_sheet(
    inst: Installation, owner_code: str, path: Path, asked: Asked, by: str, now: datetime
) -> Read:
    """Record the answers in ``path``.

    Raises ``BadInput`` naming file, line, column and what to do, and what ``record`` raises.
    """
    book = load_consent_book(inst.settings.policy, inst.policy)
    owner = find_owner(inst.store, owner_code)
    try:
        digest = digest_of(path)
    except OSError:
        raise BadInput("organisation.unreadable", file=safe_name(path.name)) from None
    lines = _read(path, book, asked)
    with inst.store.begin(OFFICER, owner.id) as connection:
        lock(connection, f"safehands.controller.{owner.id}")
        if connection.execute(text(_KNOWN), {"source": digest}).scalar():
            return Read(0, 0, 0, again=True)
        ring = officer_ring(connection, inst.store.provider, owner)
        people = _people(connection, ring, [line.phone for line in lines])
        notices = versions(connection, owner.id)
        given = [_answer(line, people[line.phone], asked) for line in lines if line.phone in people]
        known = [line for line in lines if line.phone in people]
        for line, answer in zip(known, given, strict=True):
            _check(inst, book, notices, answer, line, path, now)
        stopped = record(
            connection, inst.policy, book, owner, notices, given, by, now, source=digest
        )
    return Read(len(given), len(lines) - len(given), stopped)


def _check(
    inst: Installation,
    book: ConsentBook,
    notices: list[Notice],
    answer: Answer,
    line: _Line,
    path: Path,
    now: datetime,
) -> None:
    try:
        check(inst.policy, book, notices, answer, now)
    except AccessRefused as refused:
        raise BadInput(
            "consent.line",
            file=safe_name(path.name),
            row=line.number,
            why=" / ".join(refused.say(lang) for lang in LANGUAGES),
        ) from None


def _answer(line: _Line, subject: UUID, asked: Asked) -> Answer:
    return Answer(
        subject,
        line.kind,
        line.purpose,
        asked.channel,
        line.evidence,
        line.at,
        asked.notice,
        asked.separate,
        line.guardian,
        asked.campaign,
    )


def _people(connection: Connection, ring: KeyRing, phones: list[str]) -> dict[str, UUID]:
    """Return phone → the newest holder of the number, restricted ones aside."""
    distinct = sorted(set(phones))
    tokens = [UUID(bytes=token) for token in ring.lookups("mobile", distinct).tolist()]
    rows = connection.execute(text(_HOLDERS), {"lookups": tokens}).all()
    holders = {row[0]: row[1] for row in rows}
    return {
        phone: holders[token]
        for phone, token in zip(distinct, tokens, strict=True)
        if token in holders
    }


def _read(path: Path, book: ConsentBook, asked: Asked) -> list[_Line]:
    lines = list(sheet_lines(path))
    head = _heading(lines[0], book) if lines else {}
    for needed in ("phone", "answer", "at"):
        if needed not in head:
            names = " / ".join(book.columns[needed])
            raise BadInput(
                "consent.no_column", file=safe_name(path.name), column=needed, names=names
            )
    found = []
    for number, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line):
            cells = {name: line[i].strip() for name, i in head.items() if i < len(line)}
            found.append(_line(path, number, cells, book, asked))
    return found


def _heading(cells: list[str], book: ConsentBook) -> dict[str, int]:
    plain = [_plain(cell) for cell in cells]
    found: dict[str, int] = {}
    for name, words in book.columns.items():
        places = [plain.index(_plain(word)) for word in words if _plain(word) in plain]
        if places:
            found[name] = places[0]
    return found


def _line(
    path: Path, number: int, cells: Mapping[str, str], book: ConsentBook, asked: Asked
) -> _Line:
    def wrong(column: str) -> BadInput:
        return BadInput("consent.bad_cell", file=safe_name(path.name), row=number, column=column)

    phone = read_phone(cells.get("phone"))
    if phone.kind != _MOBILE or phone.value is None:
        raise wrong("phone")
    kind = _kind(cells.get("answer", ""), book)
    if kind is None:
        raise wrong("answer")
    at = _moment(cells.get("at", ""))
    if at is None:
        raise wrong("at")
    purpose = cells.get("purpose") or asked.purpose
    evidence = cells.get("evidence") or f"{safe_name(path.name)[:40]}#{number}"
    return _Line(number, phone.value, kind, at, evidence, cells.get("guardian", ""), purpose)


def _kind(cell: str, book: ConsentBook) -> Kind | None:
    for kind, words in book.words.items():
        if _plain(cell) in {_plain(word) for word in words}:
            return kind
    return None


def _moment(cell: str) -> datetime | None:
    try:
        day = date.fromisoformat(cell)
        return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    except ValueError:
        values, _ = moments(pa.array([cell]), date1904=False)
        found: datetime | None = values[0].as_py()
        return found


def _plain(word: str) -> str:
    return "".join(word.split()).casefold()


_KNOWN = "SELECT EXISTS (SELECT FROM consent_event WHERE source = :source)"
_HOLDERS = (
    "SELECT DISTINCT ON (lookup) lookup, subject_id FROM subject WHERE lookup = ANY (:lookups)"
    " ORDER BY lookup, last_seen DESC, generation DESC, subject_id"
)
