"""Files made to hurt whoever reads them, each as small as it can be."""

from __future__ import annotations

import io
import json
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ingest_door import HEADER, csv_text, ods, rows, xls, xlsx

__all__ = ["HOSTILE", "lying"]

_BOOK = xlsx(("A", [HEADER, *rows(4)]))
_SHEET = "xl/worksheets/sheet1.xml"


def packed(data: bytes, changes: dict[str, bytes], level: int = 9) -> bytes:
    """A copy of an archive with some parts replaced or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as new,
    ):
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, body in changes.items():
            new.writestr(name, body)
    return out.getvalue()


def sheet(cells: str) -> bytes:
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{name}"><sheetData>{cells}</sheetData></worksheet>'.encode()


def bomb(megabytes: int) -> bytes:
    """A sheet that unpacks to much: a thousandth of it is stored."""
    row = b'<row><c t="inlineStr"><is><t>' + b"x" * 1000 + b"</t></is></c></row>"
    body = row * (megabytes * 1000)
    return packed(_BOOK, {_SHEET: sheet("").replace(b"<sheetData>", b"<sheetData>" + body)})


def lying(data: bytes, name: str, size: int = 1000) -> bytes:
    """The archive with a false unpacked size of one part, in both of its places."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        true = archive.getinfo(name).file_size
    return data.replace(struct.pack("<I", true), struct.pack("<I", size))


def entities() -> bytes:
    lines = ['<!ENTITY a0 "lol">']
    lines += [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    head = f"<?xml version='1.0'?><!DOCTYPE x [{''.join(lines)}]>".encode()
    return packed(_BOOK, {_SHEET: head + sheet('<row><c t="str"><v>&a11;</v></c></row>')})


def far_apart() -> bytes:
    cells = (
        '<row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )
    return packed(_BOOK, {_SHEET: sheet(cells)})


def repeated() -> bytes:
    book = ods([["a"]])
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        content = archive.read("content.xml").decode()
    cell = '<table:table-cell table:number-columns-repeated="16384" office:value-type='
    wide = content.replace("<table:table-cell office:value-type=", cell)
    row = '<table:table-row table:number-rows-repeated="1048576">'
    wide = wide.replace("<table:table-row>", row)
    return packed(book, {"content.xml": wide.encode()})


def nested_xml() -> bytes:
    deep = "<row>" * 1_000_000
    return packed(_BOOK, {_SHEET: sheet(deep + "</row>" * 1_000_000)})


def deep_json() -> bytes:
    line = '{"a":' + "[" * 500_000 + "]" * 500_000 + "}\n"
    return (line * 2).encode()


def many_columns_json() -> bytes:
    return (json.dumps({f"k{i}": i for i in range(1_000_000)}) + "\n").encode()


def constant_parquet() -> bytes:
    """A thousand million equal values in a few kilobytes, in one row group."""
    out = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 10_000_000), ["x"])
    table = pa.table({"a": pa.chunked_array([column] * 100)})
    pq.write_table(table, out, row_group_size=1_000_000_000)
    return out.getvalue()


def wide_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({f"c{i}": pa.array([], pa.int8()) for i in range(20_000)}), out)
    return out.getvalue()


def inflated_page() -> bytes:
    """A column of one text of 400 MB, which zstd packs into a few kilobytes."""
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["x" * 400_000_000]}), out, compression="zstd")
    return out.getvalue()


def damaged_parquet(seed: int) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(5_000)), "b": [f"t{i}" for i in range(5_000)]}), out)
    data = bytearray(out.getvalue())
    chance = random.Random(seed)
    for _ in range(200):
        data[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
    return bytes(data)


def archive(*members: tuple[str, bytes], link: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if link:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            made.writestr(entry, body)
    return out.getvalue()


def overlapping() -> bytes:
    """Many members that share one packed body (after Fifield, "A better zip bomb", 2019)."""
    body = b"a,b\n" + b"1,2\n" * 2_500_000
    crc, packer = zlib.crc32(body), zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(body) + packer.flush()
    local = struct.pack(
        "<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(stream), len(body), 1, 0
    )
    local += b"a" + stream
    central = b""
    for i in range(900):
        name = f"{i:04}.csv".encode()
        central += (
            struct.pack(
                "<4sHHHHHHIIIHHHHHII",
                *(b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(stream), len(body), len(name)),
                *(0, 0, 0, 0, 0, 0),
            )
            + name
        )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 900, 900, len(central), len(local), 0)
    return local + central + end


def looped_xls() -> bytes:
    """A compound file whose chain of sectors leads back to its own beginning."""
    data = bytearray(xls([["x"] * 20] * 20))
    data[512 + 4 * 4 : 512 + 4 * 8] = struct.pack("<4I", 3, 4, 3, 4)
    return bytes(data)


_GOOD = csv_text([HEADER, *rows(4)]).encode()
HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip bomb": ("a.xlsx", lambda: bomb(700)),
    "zip bomb that lies": ("a.xlsx", lambda: lying(bomb(300), _SHEET)),
    "entities": ("a.xlsx", entities),
    "two cells far apart": ("a.xlsx", far_apart),
    "repeated cells": ("a.ods", repeated),
    "deep XML": ("a.xlsx", nested_xml),
    "deep JSON": ("a.jsonl", deep_json),
    "a million keys": ("a.jsonl", many_columns_json),
    "a million columns": ("a.csv", lambda: b"a," * 100_000 + b"a\n" + b"1," * 100_000 + b"1\n"),
    "a million columns in a line": ("a.csv", lambda: b"," * 1_000_000 + b"\n" * 3),
    "one endless line": ("a.csv", lambda: b"x" * 200_000_000),
    "one endless quote": ("a.csv", lambda: b'a,b\n1,"' + b"x\n" * 50_000_000),
    "nothing but quotes": ("a.csv", lambda: b"a,b\n" + b'"' * 50_000_001),
    "NUL bytes": ("a.csv", lambda: _GOOD.replace(b"SF", b"\0\0")),
    "wide Parquet": ("a.parquet", wide_parquet),
    "constant Parquet": ("a.parquet", constant_parquet),
    "one huge page": ("a.parquet", inflated_page),
    "damaged Parquet": ("a.parquet", lambda: damaged_parquet(1)),
    "path out of the archive": ("a.zip", lambda: archive(("../../a.csv", _GOOD))),
    "absolute path": ("a.zip", lambda: archive(("/etc/a.csv", _GOOD))),
    "Windows path": ("a.zip", lambda: archive(("C:\\a.csv", _GOOD))),
    "link in the archive": ("a.zip", lambda: archive(("a.csv", b"/etc/passwd"), link=True)),
    "archive in archive": ("a.zip", lambda: archive(("b.zip", archive(("a.csv", _GOOD))))),
    "too many members": ("a.zip", lambda: archive(*((f"{i}.csv", b"a") for i in range(1_100)))),
    "overlapping members": ("a.zip", overlapping),
    "looped sectors": ("a.xls", looped_xls),
}


def write(folder: Path, case: str) -> Path:
    """Write a case into ``folder``."""
    name, make = HOSTILE[case]
    path = folder / name
    path.write_bytes(make())
    return path
