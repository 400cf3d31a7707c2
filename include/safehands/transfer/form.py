"""The receipt form for a buyer without Safehands: counts and digests to confirm, and read back.

A workbook of one sheet without anything personal, beside the sealed one: the buyer writes the
counts that it found and signs. Read back, every count is compared with what was packaged. A delta's
form has its number, and one line more: of how many rows the buyer struck out of what it had.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from openpyxl import Workbook, load_workbook  # type: ignore[import-untyped]

from safehands.errors import HandoverRefused
from safehands.messages import LANGUAGES, say
from safehands.transfer.contents import GONE, TABLES

__all__ = ["Filled", "blank_form", "read_form", "sent"]

_SHEET = "收据 receipt"
_LARGEST = 1_000_000
"""Bytes; a form has one page."""


@dataclass(frozen=True)
class Filled:
    """A form that came back: SHA-256 of the file, whose hand-over and root it names, counts.

    ``number``: of the delta; 0 for the package.
    """

    digest: str
    handover: str
    root: str
    counts: dict[str, int]
    number: int = 0


def sent(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows per table that a manifest announces; of a delta, also those that are gone."""
    gone = {GONE: sum(manifest["gone"].values())} if "gone" in manifest else {}
    return {**{name: manifest["counts"][name] for name in TABLES}, **gone}


def blank_form(manifest: Mapping[str, Any]) -> bytes:
    """Return the form to fill in; column D is the buyer's."""
    book = Workbook()
    sheet = book.active
    sheet.title = _SHEET
    for lang in LANGUAGES:
        sheet.append([say("transfer.form.title", lang, seller=manifest["seller"])])
    sheet.append(["handover", manifest["handover"]])
    sheet.append(["root", manifest["root"]])
    if "number" in manifest:
        sheet.append(["delta", manifest["number"]])
        sheet.append([" / ".join(say("transfer.form.how", lang) for lang in LANGUAGES)])
    words = [" / ".join(say(f"transfer.form.{one}", lang) for lang in LANGUAGES) for one in _HEAD]
    sheet.append(words)
    for name, count in sent(manifest).items():
        sheet.append([name, count, manifest["digests"][name], None])
    sheet.append([" / ".join(say("transfer.form.sign", lang) for lang in LANGUAGES), None])
    sheet.column_dimensions["A"].width, sheet.column_dimensions["C"].width = 24, 70
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def read_form(path: Path) -> Filled:
    """Read a filled form. Raises ``HandoverRefused`` naming the line that is wrong."""
    if path.stat().st_size > _LARGEST:
        raise HandoverRefused("transfer.form_unreadable", line="-")
    data = path.read_bytes()
    try:
        sheet = load_workbook(io.BytesIO(data), read_only=True, data_only=True)[_SHEET]
        rows = {str(row[0]): row for row in sheet.iter_rows(max_col=4, values_only=True) if row[0]}
    except (BadZipFile, KeyError, ValueError, OSError):
        raise HandoverRefused("transfer.form_unreadable", line=_SHEET) from None
    number = rows.get("delta", (None, 0))[1]
    if not isinstance(number, int):
        raise HandoverRefused("transfer.form_unreadable", line="delta")
    counts = {name: _count(rows, name) for name in (*TABLES, *([GONE] if number else []))}
    named = {key: str(rows.get(key, (None, ""))[1] or "") for key in ("handover", "root")}
    digest = hashlib.sha256(data).hexdigest()
    return Filled(digest, named["handover"], named["root"], counts, number)


def _count(rows: Mapping[str, tuple[Any, ...]], name: str) -> int:
    given = rows.get(name, (None,) * 4)[3]
    if isinstance(given, bool) or not isinstance(given, int | float) or given != int(given):
        raise HandoverRefused("transfer.form_unreadable", line=name)
    return int(given)


_HEAD = ("table", "sent", "digest", "found")
