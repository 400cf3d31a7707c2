"""A file of requests as one run, e.g. the answers to a notice campaign.

CSV or XLSX with a number and a kind per line. The whole file is understood before anything is
registered; the same file again finds its requests. Changes of the record are carried out in the
same run when the officer grants them all; packages are made one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from safehands.datasets import safe_name
from safehands.errors import BadInput, SafehandsError
from safehands.ingest.phones import read_phone
from safehands.installation import Installation
from safehands.organisation.sheet import sheet_lines
from safehands.rights.book import RightsBook
from safehands.rights.carry import Given, carry_out, waiting_of
from safehands.rights.decide import decide
from safehands.rights.identity import confirm
from safehands.rights.requests import find, register
from safehands.vault.access import OFFICER, find_owner, officer_ring

__all__ = ["Bulk", "Run", "bulk"]

_MOBILE = 1
_PHONE = ("手机号", "手机", "电话", "phone", "mobile")
_KIND = ("请求", "类型", "请求类型", "kind", "request")
_TOGETHER = ("delete", "restrict", "object", "withdraw")


@dataclass(frozen=True)
class Run:
    """How a file of requests is handled. ``how``, ``evidence``: how identity was checked."""

    how: str
    evidence: str
    grant: bool
    purpose: str = ""


@dataclass(frozen=True)
class Bulk:
    """What came of it; ``failed`` counts requests that stayed open, ``unknown`` nobody's lines."""

    registered: int
    repeated: int
    unknown: int
    done: int
    failed: int


def bulk(
    inst: Installation,
    book: RightsBook,
    controller: str,
    path: Path,
    run: Run,
    by: str,
    random: Callable[[int], bytes],
    folder: Path,
    tell: Callable[[int, int], None],
) -> Bulk:
    """Register the requests in ``path`` and, if ``run.grant``, carry out those that can be.

    ``tell(done, all)`` is called after each. Raises ``BadInput`` naming the line that can't be
    understood; then nothing was registered. One that fails does not hold up the others.
    """
    lines = _read(path, book)
    people = _people(inst, controller, [phone for phone, _ in lines])
    counts = {"registered": 0, "repeated": 0, "done": 0, "failed": 0}
    known = [(people[phone], kind) for phone, kind in lines if phone in people]
    gone = {subject for subject, kind in known if run.grant and kind == "delete"}
    # Rows that wait are opened once for all of them.
    waiting = waiting_of(inst, find_owner(inst.store, controller), gone) if gone else {}
    for place, (subject, kind) in enumerate(known, 1):
        purpose = run.purpose if kind == "withdraw" else ""
        now = inst.clock()
        request, fresh = register(
            inst.store,
            book,
            controller,
            kind,
            subject,
            by,
            now,
            random(4),
            channel="bulk",
            evidence=run.evidence,
            purpose=purpose,
        )
        counts["registered" if fresh else "repeated"] += 1
        if run.grant and kind in _TOGETHER:
            given = Given(random(16), folder, waiting=waiting)
            counts["done" if _done(inst, book, request, run, by, given) else "failed"] += 1
        tell(place, len(known))
    return Bulk(unknown=len(lines) - len(known), **counts)


def _done(
    inst: Installation, book: RightsBook, request: str, run: Run, by: str, given: Given
) -> bool:
    try:
        if find(inst.store, request).state == "registered":
            confirm(inst, book, request, run.how, run.evidence, by)
        decide(inst, book, request, by, inst.clock(), grant=True)
        carry_out(inst, request, by, inst.clock(), given)
    except SafehandsError:
        # It stays open under its id, with its clock; the list shows it.
        return False
    return True


def _read(path: Path, book: RightsBook) -> list[tuple[str, str]]:
    lines = list(sheet_lines(path))
    head = [_plain(cell) for cell in lines[0]] if lines else []
    places = []
    for names in (_PHONE, _KIND):
        at = [head.index(_plain(name)) for name in names if _plain(name) in head]
        if not at:
            raise BadInput(
                "consent.no_column",
                file=safe_name(path.name),
                column=names[-1],
                names=" / ".join(names),
            )
        places.append(at[0])
    words = {name: kind for kind, rule in book.kinds.items() for name in _names(kind, rule.label)}
    found = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [line[at].strip() if at < len(line) else "" for at in places]
        if not any(cells):
            continue
        phone, kind = read_phone(cells[0]), words.get(_plain(cells[1]))
        column = "phone" if phone.kind != _MOBILE or phone.value is None else "kind"
        if column == "phone" or kind is None:
            raise BadInput("consent.bad_cell", file=safe_name(path.name), row=number, column=column)
        found.append((str(phone.value), kind))
    return list(dict.fromkeys(found))


def _names(kind: str, label: object) -> list[str]:
    words = [kind, getattr(label, "zh", ""), getattr(label, "en", "")]
    return [_plain(part) for word in words for part in word.replace("、", ",").split(",")]


def _people(inst: Installation, controller: str, phones: list[str]) -> dict[str, UUID]:
    owner = find_owner(inst.store, controller)
    distinct = sorted(set(phones))
    with inst.store.begin(OFFICER, owner.id) as connection:
        ring = officer_ring(connection, inst.store.provider, owner)
        tokens = [UUID(bytes=one) for one in ring.lookups("mobile", distinct).tolist()]
        rows = connection.execute(text(_HOLDERS), {"lookups": tokens}).all()
    holders = {row[0]: row[1] for row in rows}
    return {
        phone: holders[token]
        for phone, token in zip(distinct, tokens, strict=True)
        if token in holders
    }


def _plain(word: str) -> str:
    return "".join(word.split()).casefold()


_HOLDERS = (
    "SELECT DISTINCT ON (lookup) lookup, subject_id FROM subject WHERE lookup = ANY (:lookups)"
    " ORDER BY lookup, last_seen DESC, generation DESC, subject_id"
)
