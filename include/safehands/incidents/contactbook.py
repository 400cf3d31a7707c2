"""The contact book of the incident plan: a sheet to fill in, checked, and kept as policy.

The whole sheet is the book: what does not stand in it is told nobody. Entries are institutions and
their duty lines; the file lies beside the other policy and is reviewed like it (快递暂行条例 36;
CSL 27: who is told is part of the plan).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

import yaml

from safehands import journal
from safehands.datasets import safe_name
from safehands.errors import BadInput
from safehands.incidents.book import CONTACTS, Contact, IncidentBook
from safehands.installation import Installation
from safehands.organisation.files import Words
from safehands.organisation.sheet import heading, read_date, sheet_lines, write_lines
from safehands.store.register import owners
from safehands.vault.access import OFFICER, check_staff

__all__ = ["COLUMNS", "keep_contacts", "read_contacts", "write_contacts"]

COLUMNS: dict[str, tuple[str, str]] = {
    "kind": ("类别", "kind"),
    "label": ("说明", "label"),
    "owner": ("经营者（空为全部）", "owner (empty: all)"),
    "name_zh": ("名称", "name"),
    "name_en": ("英文名称", "name in English"),
    "reach": ("值班电话或地址", "duty line or address"),
    "checked": ("核对日期", "confirmed on"),
}
"""Columns of the sheet: Chinese and English heading. ``label`` is for people and not read."""

_HEAD = (
    "# The contact book of the incident plan: institutions and their duty lines, no customer.\n"
    "# Written by `safehands incident contacts import`; reviewed like any other policy.\n"
)


def write_contacts(path: Path, book: IncidentBook, lang: str) -> None:
    """Write a sheet with what the book holds and one line for each kind that it lacks.

    CSV, or XLSX by the name's end. Raises ``BadInput`` when the file exists or can't be written.
    """
    lines = [[names[0 if lang == "zh" else 1] for names in COLUMNS.values()]]
    for kind, words in book.contact_kinds.items():
        known = [one for one in book.contacts if one.kind == kind]
        for one in known:
            named = [one.name.zh, one.name.en, one.reach, one.checked.isoformat()]
            lines.append([kind, words.say(lang), one.owner, *named])
        if not known:
            lines.append([kind, words.say(lang), "", "", "", "", ""])
    write_lines(path, lines)


def read_contacts(
    path: Path, book: IncidentBook, known: Collection[str], today: date
) -> tuple[Contact, ...]:
    """Return the filled lines of the sheet, each checked; ``known`` are the owners' codes.

    Raises ``BadInput`` naming file, line and column for the first line that is not right: nothing
    is taken from a sheet with a mistake in it. No cell is quoted.
    """
    lines = list(sheet_lines(path))
    head = heading(path, lines[0], COLUMNS) if lines else {}
    if not {"kind", "name_zh", "reach", "checked"} <= head.keys():
        raise BadInput("contacts.no_heading", file=safe_name(path.name))
    found = []
    for number, line in enumerate(lines[1:], start=2):
        cells = {name: line[i].strip() for name, i in head.items() if i < len(line)}
        if any(cells.get(name) for name in ("name_zh", "reach", "checked")):
            found.append(_contact(path, book, known, today, number, cells))
    return tuple(found)


def keep_contacts(inst: Installation, contacts: tuple[Contact, ...], by: str) -> str:
    """Replace the book in the policy folder, say so in every owner's trail; return its digest.

    Raises ``BadInput`` when the policy folder can't be written, ``AccessRefused`` for no staff id.
    """
    check_staff(by)
    listed = [one.model_dump(mode="json") for one in contacts]
    body = yaml.safe_dump({"version": 1, "contacts": listed}, allow_unicode=True, sort_keys=False)
    content = (_HEAD + body).encode()
    _replace(inst.settings.policy / CONTACTS, content)
    digest, now = hashlib.sha256(content).hexdigest(), inst.clock()
    for owner in owners(inst.store).values():
        facts = {"controller": owner.code, "contacts": len(contacts), "digest": digest, "by": by}
        with inst.store.begin(OFFICER, owner.id) as connection:
            journal.append(connection, "contacts", f"contacts-{digest[:12]}", now, facts)
    return digest


def _contact(
    path: Path,
    book: IncidentBook,
    known: Collection[str],
    today: date,
    number: int,
    cells: Mapping[str, str],
) -> Contact:
    def wrong(key: str, column: str) -> BadInput:
        zh, en = COLUMNS[column]
        return BadInput(key, file=safe_name(path.name), row=number, column=f"{zh}/{en}")

    kind = _kind(book, cells.get("kind", ""))
    if kind is None:
        raise wrong("organisation.no_such_kind", "kind")
    owner, name, reach = (cells.get(column, "") for column in ("owner", "name_zh", "reach"))
    if owner and owner not in known:
        raise wrong("contacts.no_such_owner", "owner")
    for column, cell in (("name_zh", name), ("reach", reach)):
        if not 2 <= len(cell) <= 120:
            raise wrong("contacts.empty", column)
    checked = read_date(cells.get("checked", ""))
    if checked is None:
        raise wrong("organisation.no_date", "checked")
    if checked > today:
        raise wrong("contacts.in_future", "checked")
    words = Words(zh=name, en=cells.get("name_en", "") or name)
    return Contact(kind=kind, owner=owner, name=words, reach=reach, checked=checked)


def _kind(book: IncidentBook, given: str) -> str | None:
    for name, words in book.contact_kinds.items():
        if given.casefold() in {name, words.zh, words.en.casefold()}:
            return name
    return None


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        raise BadInput("contacts.unwritable", folder=str(path.parent)) from None
