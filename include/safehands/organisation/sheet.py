"""The sheet of evidence: a template to fill in, and a reader that refuses what it can't be sure of.

CSV (UTF-8, with or without a mark, or GB 18030) or XLSX, one line per piece of evidence or
declaration. A line without a date is one that nobody filled in yet and is passed over. No column
holds free text: what is worth saying stands in the document whose digest is recorded.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

from openpyxl import Workbook  # type: ignore[import-untyped]
from python_calamine import CalamineWorkbook

from safehands.datasets import safe_name
from safehands.errors import BadInput
from safehands.organisation.catalogue import Organisation
from safehands.organisation.register import Row

__all__ = [
    "COLUMNS",
    "digest_of",
    "heading",
    "read_date",
    "read_sheet",
    "sheet_lines",
    "write_lines",
    "write_template",
]

COLUMNS: dict[str, tuple[str, str]] = {
    "owner": ("经营者", "owner"),
    "kind": ("类型", "kind"),
    "label": ("名称", "label"),
    "date": ("日期", "date"),
    "valid_until": ("有效期至", "valid until"),
    "number": ("数值", "number"),
    "duty": ("岗位", "duty"),
    "responsible": ("责任人", "responsible"),
    "file": ("文件", "file"),
}
"""Columns of the sheet: Chinese and English heading. ``label`` is for people and not read."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_YES, _NO = ("是", "有", "yes", "true", "y"), ("否", "无", "no", "false", "n")
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")


def write_template(path: Path, organisation: Organisation, owners: list[str], lang: str) -> None:
    """Write an empty sheet with one line per owner and kind: CSV, or XLSX by the name's end.

    Raises ``BadInput`` when the file exists or can't be written: a filled sheet is not lost.
    """
    place = 0 if lang == "zh" else 1
    lines = [[names[place] for names in COLUMNS.values()]]
    for owner in owners:
        for name in (*organisation.kinds, *organisation.declarations):
            label = organisation.label(name, lang)
            lines.append([owner, name, label, "", "", "", "owner", "", ""])
    write_lines(path, lines)


def write_lines(path: Path, lines: list[list[str]]) -> None:
    """Write a new sheet: CSV, or XLSX by the name's end.

    Raises ``BadInput`` when the file exists or can't be written: a filled sheet is not lost.
    """
    if path.exists():
        raise BadInput("organisation.exists", file=safe_name(path.name))
    try:
        path.write_bytes(_xlsx(lines) if path.suffix.lower() == ".xlsx" else _csv(lines))
    except OSError:
        raise BadInput("organisation.unwritable", file=safe_name(path.name)) from None


def read_sheet(path: Path, organisation: Organisation, today: date) -> list[Row]:
    """Return the filled lines of ``path``, each checked; files are digested beside the sheet.

    Raises ``BadInput`` naming file, line, column and what to do, for the first line that is not
    right: nothing is taken from a sheet with a mistake in it. No cell is quoted.
    """
    lines = list(sheet_lines(path))
    head = heading(path, lines[0], COLUMNS) if lines else {}
    if not {"kind", "date"} <= head.keys():
        raise BadInput("organisation.no_heading", file=safe_name(path.name))
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = {name: line[i].strip() for name, i in head.items() if i < len(line)}
        if cells.get("date") or cells.get("number"):
            rows.append(_Line(path, organisation, today, number, cells).row())
    return rows


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a document as hex. Raises ``OSError`` when it can't be read."""
    with path.open("rb") as document:
        return hashlib.file_digest(document, "sha256").hexdigest()


class _Line:
    """One line of the sheet in the reading."""

    def __init__(
        self,
        path: Path,
        organisation: Organisation,
        today: date,
        number: int,
        cells: Mapping[str, str],
    ) -> None:
        self.path, self.organisation, self.today = path, organisation, today
        self.number, self.cells = number, cells

    def row(self) -> Row:
        kind = self._kind()
        evidence = self.organisation.kinds.get(kind)
        days = (evidence or self.organisation.declarations[kind]).valid_days
        held = self._date("date")
        if held > self.today:
            raise self._wrong("organisation.in_future", "date")
        until = self._date("valid_until") if self.cells.get("valid_until") else None
        until = until or held + timedelta(days=days)
        if until < held:
            raise self._wrong("organisation.ends_before", "valid_until")
        return Row(
            owner=self.cells.get("owner", ""),
            entry="evidence" if evidence else "declaration",
            kind=kind,
            held_on=held,
            valid_until=until,
            number=0.0 if evidence else self._number(kind),
            duty=self._duty(),
            responsible=self.cells.get("responsible", ""),
            file_digest=self._digest(needed=bool(evidence and evidence.file)),
        )

    def _kind(self) -> str:
        given = self.cells.get("kind", "")
        for name in (*self.organisation.kinds, *self.organisation.declarations):
            labels = {self.organisation.label(name, lang) for lang in ("zh", "en")}
            if given in {name, *labels}:
                return name
        raise self._wrong("organisation.no_such_kind", "kind")

    def _date(self, column: str) -> date:
        found = read_date(self.cells.get(column, ""))
        if found is None:
            raise self._wrong("organisation.no_date", column)
        return found

    def _number(self, kind: str) -> float:
        given = self.cells.get("number", "").casefold().replace(",", "")
        if self.organisation.declarations[kind].unit == "yes_no":
            if given in (*_YES, "1", "1.0"):
                return 1.0
            if given in (*_NO, "0", "0.0"):
                return 0.0
            raise self._wrong("organisation.no_yes_no", "number")
        if not re.fullmatch(r"\d{1,12}(\.\d+)?", given):
            raise self._wrong("organisation.no_number", "number")
        return float(given)

    def _duty(self) -> str:
        given = self.cells.get("duty", "") or "owner"
        for name, words in self.organisation.duties.items():
            if given in {name, words.zh, words.en}:
                return name
        raise self._wrong("organisation.no_such_duty", "duty")

    def _digest(self, *, needed: bool) -> str:
        given = self.cells.get("file", "")
        if _DIGEST.fullmatch(given):
            return given
        if not given:
            if needed:
                raise self._wrong("organisation.file_needed", "file")
            return ""
        try:
            return digest_of(self.path.parent / given)
        except OSError:
            raise self._wrong("organisation.no_file", "file") from None

    def _wrong(self, key: str, column: str) -> BadInput:
        zh, en = COLUMNS[column]
        return BadInput(key, file=safe_name(self.path.name), row=self.number, column=f"{zh}/{en}")


def read_date(cell: str) -> date | None:
    """Return the day in a cell, in one of the usual ways to write it; ``None`` for none."""
    for form in _DATES:
        try:
            return datetime.strptime(cell[:11].strip(), form).date()  # noqa: DTZ007
        except ValueError:
            continue
    return None


def heading(path: Path, cells: list[str], columns: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """Return the place of each known column. Raises ``BadInput`` when one stands twice."""
    found: dict[str, int] = {}
    for place, cell in enumerate(cells):
        for name, words in columns.items():
            if cell.strip().casefold() in {word.casefold() for word in (name, *words)}:
                if name in found:
                    raise BadInput("organisation.no_heading", file=safe_name(path.name))
                found[name] = place
    return found


def sheet_lines(path: Path) -> Iterator[list[str]]:
    """Yield the cells of CSV (UTF-8 or GB 18030) or XLSX as text. Raises ``BadInput``."""
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".xlsx":
            yield from _workbook(content)
        else:
            yield from csv.reader(io.StringIO(_decoded(content)))
    except OSError:
        raise BadInput("organisation.unreadable", file=safe_name(path.name)) from None
    except Exception as problem:
        # Readers of workbooks raise kinds of their own, whose texts may quote cells.
        if isinstance(problem, BadInput):
            raise
        raise BadInput("organisation.unreadable", file=safe_name(path.name)) from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")


def _workbook(content: bytes) -> Iterator[list[str]]:
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    for line in sheet.to_python(skip_empty_area=False):
        yield [_shown(cell) for cell in line]


def _shown(cell: object) -> str:
    if isinstance(cell, date):
        return cell.isoformat()[:10]
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _csv(lines: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    # The mark tells spreadsheet programs that this is UTF-8.
    return out.getvalue().encode("utf-8-sig")


def _xlsx(lines: list[list[str]]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for line in lines:
        sheet.append(line)
    sheet.freeze_panes = "A2"
    for column, width in zip("ABCDEFGHI", (14, 26, 36, 12, 12, 10, 12, 14, 30), strict=True):
        sheet.column_dimensions[column].width = width
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
