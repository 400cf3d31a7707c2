"""A big text file read in parts gives the rows of the file read whole, with the same numbers."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_door import HEADER, Door, csv_text, rows

from safehands.datasets import Part, Shard, SourceFile, loaded_whole
from safehands.ingest import Limits, cut_big, cutting, ingest
from safehands.ingest.cutting import cut
from safehands.ingest.delimited import TextTable
from safehands.ingest.jsonlines import JsonTable
from safehands.ingest.source import Source
from safehands.landing import unloaded

_CELL = st.sampled_from(
    [
        "",
        "a",
        "12",
        "x,y",
        "two\nlines",
        "two\r\nlines",
        'say "hi"',
        '"',
        "\n",
        "张三",
        '""',
        ",",
        " ",
    ]
)
_TABLE = st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=3, max_size=60)


def source(path: Path) -> Source:
    return Source(path.name, path.name, "", lambda: path.open("rb"), path.stat().st_size, Limits())


def whole(table: TextTable | JsonTable, header: int = 0) -> list[tuple[object, ...]]:
    width = len(table.head[header].cells)
    return [
        (row, *cells)
        for batch in table.batches(header, width, range(width))
        for row, *cells in zip(
            batch.rows.to_pylist(),
            *(batch.columns[i].to_pylist() for i in range(width)),
            strict=True,
        )
    ]


def in_parts(made: Source, table: TextTable, encoding: str) -> list[tuple[object, ...]]:
    found = cut(made, encoding, table.dialect, 1, lambda: None)
    parts = [Part(n, len(found), *part) for n, part in enumerate(found, 1)]  # type: ignore[arg-type]
    assert [p.end for p in parts[:-1]] == [p.start for p in parts[1:]]
    assert parts[-1].end == made.size
    return [row for p in parts for row in whole(TextTable(replace(made, part=p), encoding))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    _TABLE,
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_parts_are_the_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    table: list[tuple[str, str, str]],
    encoding: str,
    end: str,
    stray: bool,
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows([["id", "na\nme", "note"], *table])
    # A quote inside a cell is a character; a record must not be cut behind it either.
    extra = f'1,5" pipe,x{end}2,a"b"c,"q{end}r"{end}' if stray else ""
    path = tmp_path / "a.csv"
    path.write_bytes((out.getvalue() + extra + f"z,z,z{end}").encode(encoding))
    made = source(path)
    read = TextTable(made, encoding.removesuffix("-sig"))
    if read.dialect.delimiter != "," or read.dialect.quote != '"':
        return  # What a handful of odd cells looks like is not asked here.
    monkeypatch.setattr(cutting, "BLOCK", 24)
    monkeypatch.setattr(cutting, "_LONGEST", 1 << 20)
    assert in_parts(made, read, encoding.removesuffix("-sig")) == whole(read)


def test_json_lines_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"a": {i}, "b": "x\\ny"}}\n' for i in range(100)))
    made = source(path)
    monkeypatch.setattr(cutting, "BLOCK", 64)
    found = cut(made, "utf-8", None, 200, lambda: None)
    parts = [Part(n, len(found), *part) for n, part in enumerate(found, 1)]  # type: ignore[arg-type]
    assert len(parts) > 5
    read = [row for p in parts for row in whole(JsonTable(replace(made, part=p), "utf-8"))]
    assert read == whole(JsonTable(made, "utf-8"))


def test_a_big_export_is_ingested_in_parts(door: Door) -> None:
    body = [[*row[:6], "长" * 200] for row in rows(30_000)]
    body[15_000] = ["too", "short"]
    door.put("a.csv", "台账（共 30000 条）\n" + csv_text([HEADER, *body]))
    [file] = door.shard().files
    parts = cut_big(door.night.settings.landing, [file], 5_000_000, Limits())
    assert len(parts) > 2
    assert {p.digest for p in parts} == {file.digest}
    found, aside = [], []
    for part in parts:
        handoff = ingest(Shard("s", "owner", (part,)), door.night)
        assert not handoff.problems
        found += [row["_row"] for row in door.read(handoff)]
        if "quarantine" in handoff.artifacts:
            aside += [row["_row"] for row in door.read(handoff, "quarantine")]
    assert aside == [15_003]
    assert found == [n for n in range(3, 30_003) if n != 15_003]


def test_a_part_that_changed_is_refused(door: Door) -> None:
    path = door.put("a.csv", csv_text([HEADER, *rows(150_000)]))
    [file] = door.shard().files
    parts = cut_big(door.night.settings.landing, [file], 4_000_000, Limits())
    path.write_bytes(path.read_bytes()[::-1].replace(b"0", b"1", 1)[::-1])
    handoffs = [ingest(Shard("s", "owner", (part,)), door.night) for part in parts]
    keys = [p.key for h in handoffs for p in h.problems.values()]
    assert keys == ["ingest.changed_while_reading"]


def test_small_files_and_workbooks_stay_whole() -> None:
    files = [SourceFile("S", "a.csv", 100, "d"), SourceFile("S", "b.xlsx", 10**9, "e")]
    assert cut_big(Path("/nowhere"), files, 1_000, Limits()) == files


def test_a_cut_file_is_loaded_when_all_its_parts_are() -> None:
    file = SourceFile("S", "a.csv", 100, "d")
    parts = [replace(file, part=Part(n, 2, 0, 1, 1, "x")) for n in (1, 2)]
    first, second = ((p.station, p.identity) for p in parts)
    assert unloaded([file], {first}) == [file]
    assert unloaded(parts, {first}) == parts[1:]
    assert unloaded([file], {first, second}) == []
    assert loaded_whole({first, second, ("S", "e")}) == {("S", "d"), ("S", "e")}
