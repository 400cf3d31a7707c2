"""Answers from a file: a station's own sheet, or what a survey platform exports.

CSV or XLSX. Whole or not at all: lines that cannot be understood stop the file, each named with its
place and what is wrong, and never with a cell. The same file again changes nothing.

Whoever a line calls under fourteen without a guardian's evidence does not consent by it: no yes is
recorded, and the person is restricted until the purge deletes them (PIPL 31).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.notices import ConsentBook, Notice, load_consent_book, versions
from safehands.organisation.sheet import digest_of, sheet_lines
from safehands.store import lock
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, Access, find_owner, officer_ring
from safehands.vault.restrict import restrict_within

__all__ = ["Asked", "Read", "import_sheet"]

_MOBILE = 1
_SHOWN = 20
"""So many wrong lines are named; of more only the number is told."""


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
    """What came of a file. ``unknown``: lines with a number that led to nobody here at that time.

    ``minors``: people restricted because no guardian consented.
    """

    recorded: int
    unknown: int
    stopped: int
    again: bool = False
    minors: int = 0


@dataclass(frozen=True)
class _Line:
    number: int
    phone: str
    kind: Kind
    at: datetime
    evidence: str
    guardian: str
    purpose: str
    minor: bool

    @property
    def void(self) -> bool:
        """Say whether it is a child's own yes."""
        return self.minor and not self.guardian and self.kind == "granted"


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
        people = _people(connection, ring, lines)
        notices = versions(connection, owner.id)
        known = [line for line in lines if line.number in people]
        pairs = [(line, _answer(line, people[line.number], asked)) for line in known]
        _check(inst, book, notices, pairs, path, now)
        given = [answer for line, answer in pairs if not line.void]
        stopped = record(
            connection, inst.policy, book, owner, notices, given, by, now, source=digest
        )
        young = {answer.subject for line, answer in pairs if line.minor and not line.guardian}
        _restrict(connection, inst, owner, young, by, now)
    return Read(len(given), len(lines) - len(known), stopped, minors=len(young))


def _check(
    inst: Installation,
    book: ConsentBook,
    notices: list[Notice],
    pairs: Sequence[tuple[_Line, Answer]],
    path: Path,
    now: datetime,
) -> None:
    wrong = []
    for line, answer in pairs:
        try:
            check(inst.policy, book, notices, answer, now)
        except AccessRefused as refused:
            why = " / ".join(refused.say(lang) for lang in LANGUAGES)
            wrong.append((line.number, why))
    _stop(path, wrong)


def _stop(path: Path, wrong: Sequence[tuple[int, str]]) -> None:
    """Raise ``BadInput`` naming the wrong lines, if there are any."""
    if not wrong:
        return
    shown = [_both("consent.row", row=row, why=why) for row, why in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        shown.append(_both("consent.more", count=len(wrong) - _SHOWN))
    raise BadInput(
        "consent.lines", file=safe_name(path.name), count=len(wrong), lines=" ".join(shown)
    )


def _both(key: str, **params: str | int) -> str:
    return " / ".join(say(key, lang, **params) for lang in LANGUAGES)


def _restrict(
    connection: Connection,
    inst: Installation,
    owner: Owner,
    young: set[UUID],
    by: str,
    now: datetime,
) -> None:
    """Restrict children without a guardian's consent until policy's last day for them."""
    days = inst.policy.elsewhere["minors"].keep_days or 0
    until = now.astimezone(SHANGHAI).date() + timedelta(days=days)
    access = Access(owner.code, by, "rights")
    for who in sorted(young):
        restrict_within(
            connection, inst.policy, owner, access, now, subject=who, reason="minor", until=until
        )


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


def _people(connection: Connection, ring: KeyRing, lines: Sequence[_Line]) -> dict[int, UUID]:
    """Return line number → who had the number when the line was said, restricted ones aside.

    A number is re-issued: what its former holder said is nothing that the present one said.
    """
    distinct = sorted({line.phone for line in lines})
    tokens = [UUID(bytes=token) for token in ring.lookups("mobile", distinct).tolist()]
    token_of = dict(zip(distinct, tokens, strict=True))
    holders: dict[UUID, list[tuple[datetime | None, UUID]]] = {}
    for token, who, since, generation in connection.execute(text(_HOLDERS), {"lookups": tokens}):
        holders.setdefault(token, []).append((since if generation else None, who))
    found = {}
    for line in lines:
        end = line.at.astimezone(SHANGHAI).date() + timedelta(days=1)
        for since, who in holders.get(token_of[line.phone], ()):
            if since is None or since.astimezone(SHANGHAI).date() < end:
                found[line.number] = who
                break
    return found


def _read(path: Path, book: ConsentBook, asked: Asked) -> list[_Line]:
    lines = list(sheet_lines(path))
    head = _heading(lines[0], book) if lines else {}
    for needed in ("phone", "answer", "at"):
        if needed not in head:
            names = " / ".join(book.columns[needed])
            raise BadInput(
                "consent.no_column", file=safe_name(path.name), column=needed, names=names
            )
    found, wrong = [], []
    for number, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line):
            cells = {name: line[i].strip() for name, i in head.items() if i < len(line)}
            read = _line(path, number, cells, book, asked)
            if isinstance(read, _Line):
                found.append(read)
            else:
                why = ", ".join(_both(f"consent.wrong.{column}") for column in read)
                wrong.append((number, why))
    _stop(path, wrong)
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
) -> _Line | list[str]:
    """Return the line, or the columns that cannot be understood."""
    phone = read_phone(cells.get("phone"))
    mobile = phone.value if phone.kind == _MOBILE else None
    kind = _kind(cells.get("answer", ""), book)
    at = _moment(cells.get("at", ""))
    minor = _minor(cells.get("minor", ""), book)
    if mobile is None or kind is None or at is None or minor is None:
        read = {"phone": mobile, "answer": kind, "at": at, "minor": minor}
        return [column for column, value in read.items() if value is None]
    purpose = cells.get("purpose") or asked.purpose
    evidence = cells.get("evidence") or f"{safe_name(path.name)[:40]}#{number}"
    return _Line(number, mobile, kind, at, evidence, cells.get("guardian", ""), purpose, minor)


def _minor(cell: str, book: ConsentBook) -> bool | None:
    word = _plain(cell)
    if word in {_plain(one) for one in book.minor_words["under"]}:
        return True
    return False if not word or word in {_plain(w) for w in book.minor_words["over"]} else None


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
    "SELECT lookup, subject_id, first_seen, generation FROM subject WHERE lookup = ANY (:lookups)"
    " ORDER BY lookup, generation DESC"
)
