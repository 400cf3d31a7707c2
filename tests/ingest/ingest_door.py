"""A landing folder of one station for the tests of ingest, and small files in every format."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import openpyxl  # type: ignore[import-untyped]

from safehands.artifacts import read_artifact
from safehands.datasets import Handoff, Problem, Shard
from safehands.ingest import ingest, inventory
from safehands.keys import RunKey
from safehands.night import Night
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.stations import load_register

HEADER = ["运单号", "收件人", "收件人手机号", "入库时间", "重量(kg)", "状态", "备注"]
ROW = ["SF1000000001", "王小明", "13800138000", "2026-11-23 08:01:02", "1.5", "待取", "易碎"]
NAME, PHONE = "王小明", "13800138000"


def rows(count: int) -> list[list[str]]:
    """Good parcel rows under ``HEADER``, all different."""
    return [
        [f"SF{1000000000 + i}", *ROW[1:2], f"138{10000000 + i}", *ROW[3:]] for i in range(count)
    ]


def csv_text(table: list[list[str]], delimiter: str = ",", end: str = "\r\n") -> str:
    """A table as plain CSV, without quoting."""
    return "".join(delimiter.join(row) + end for row in table)


@dataclass
class Door:
    """A landing folder and its night."""

    night: Night

    @property
    def folder(self) -> Path:
        return self.night.settings.landing / "station"

    def put(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def shard(self) -> Shard:
        landing = self.night.settings.landing
        register = load_register(landing, tuple(self.night.policy.datasets))
        return Shard("s1", "owner", tuple(inventory(landing, register)))

    def run(self) -> Handoff:
        return ingest(self.shard(), self.night)

    def read(self, handoff: Handoff, dataset: str = "parcels") -> list[dict[str, Any]]:
        table = read_artifact(handoff.artifacts[dataset], self.night.key)
        found: list[dict[str, Any]] = table.to_pylist()
        return found

    def one(
        self, name: str, content: bytes | str, dataset: str = "parcels"
    ) -> list[dict[str, Any]]:
        """Ingest one file that must be read without a problem, and return its rows."""
        self.put(name, content)
        handoff = self.run()
        assert not handoff.problems, [p.key for p in handoff.problems.values()]
        return self.read(handoff, dataset)

    def refused(self, name: str, content: bytes | str) -> Problem:
        """Ingest one file that must be set aside whole, and return why."""
        self.put(name, content)
        handoff = self.run()
        assert list(handoff.problems) == [f"station/{name}"]
        assert not handoff.artifacts
        return handoff.problems[f"station/{name}"]


def make_door(folder: Path, policy: Policy) -> Door:
    landing = folder / "landing"
    (landing / "station").mkdir(parents=True)
    settings = Settings.read({}, landing=str(landing), home=str(folder / "home"))
    return Door(Night("night", date(2026, 11, 23), settings, policy, RunKey("t", os.urandom(32))))


def xlsx(
    *sheets: tuple[str, list[list[Any]]], hidden: tuple[str, ...] = (), mac: bool = False
) -> bytes:
    """A workbook; ``mac``: its dates count from 1904."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    if mac:
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    for name, table in sheets:
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name in hidden else "visible"
        for row in table:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def ods(table: list[list[str]]) -> bytes:
    """A spreadsheet in OpenDocument format (ISO/IEC 26300)."""
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(c)}</text:p>'
            "</table:table-cell>"
            for c in row
        )
        + "</table:table-row>"
        for row in table
    )
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0"?><office:document-content xmlns:office="{office}office:1.0" '
        f'xmlns:table="{office}table:1.0" xmlns:text="{office}text:1.0" office:version="1.2">'
        f'<office:body><office:spreadsheet><table:table table:name="A">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    manifest = (
        f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{office}manifest:1.0">'
        '<manifest:file-entry manifest:full-path="/" '
        'manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
        "</manifest:manifest>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", manifest)
    return out.getvalue()


def xls(table: list[list[str | float]], damage: bytes = b"") -> bytes:
    """A BIFF8 workbook with one sheet ([MS-XLS]) in a compound file ([MS-CFB])."""
    sheet = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    for r, row in enumerate(table):
        for c, cell in enumerate(row):
            sheet += _cell(r, c, cell)
    sheet += damage + _record(0x000A, b"")
    head = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    bound = struct.pack("<IBB", len(head) + 4 + 8 + 1 + 4, 0, 0) + b"\x01\x00A"
    book = head + _record(0x0085, bound) + _record(0x000A, b"") + sheet
    return _compound(book.ljust(4096, b"\0"))


def _cell(row: int, column: int, cell: str | float) -> bytes:
    place = struct.pack("<HHH", row, column, 0)
    if isinstance(cell, float):
        return _record(0x0203, place + struct.pack("<d", cell))
    return _record(0x0204, place + struct.pack("<HB", len(cell), 1) + cell.encode("utf-16-le"))


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _compound(stream: bytes) -> bytes:
    sectors = -(-len(stream) // 512)
    free, end = 0xFFFFFFFF, 0xFFFFFFFE
    chain = [0xFFFFFFFD, end, *range(3, sectors + 2), end]
    fat = struct.pack("<128I", *chain, *[free] * (128 - len(chain)))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0)
    head += struct.pack("<109I", 0, *[free] * 108)
    folder = _entry("Root Entry", 5, end, 0, child=1) + _entry("Workbook", 2, 2, len(stream))
    return head + fat + folder.ljust(512, b"\0") + stream.ljust(sectors * 512, b"\0")


def _entry(name: str, kind: int, start: int, size: int, child: int = 0xFFFFFFFF) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    entry = text.ljust(64, b"\0") + struct.pack("<HBB", len(text), kind, 1)
    entry += struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, child) + bytes(36)
    return entry + struct.pack("<IQ", start, size)
