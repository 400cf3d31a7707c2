"""The step ``ingest``: source files of a shard → canonical tables, quarantine, problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from safehands.artifacts import write_artifact
from safehands.datasets import Artifact, Handoff, Problem, Shard, SourceFile, safe_name
from safehands.errors import BadInput, EmptyFile, TruncatedFile, UnknownHeader, WrongEncoding
from safehands.ingest.ages import RULE, children
from safehands.ingest.cells import Cells, arrow_type, convert, faults, join_parts
from safehands.ingest.databases import open_database
from safehands.ingest.find import (
    PARTS,
    RECIPIENT,
    Found,
    announced,
    find,
    header_fingerprint,
)
from safehands.ingest.limits import Limits
from safehands.ingest.normalise.combined import split_recipients
from safehands.ingest.normalise.scrub import scrubber_of
from safehands.ingest.readers import attempts
from safehands.ingest.rows import Rows, contradiction, without_totals
from safehands.ingest.tables import Batch, Opened, RawTable
from safehands.night import Night
from safehands.policy import Policy
from safehands.stations import load_register

__all__ = ["QUARANTINE", "FileReader", "Read", "canonical_schema", "gathered", "ingest"]

QUARANTINE = pa.schema(
    [
        ("_file", pa.int32()),
        ("_sheet", pa.string()),
        ("_row", pa.int32()),
        ("dataset", pa.string()),
        ("rule", pa.string()),
        ("column", pa.string()),
        ("payload", pa.string()),
    ]
)
"""Rows set aside. ``payload``: JSON object of field → raw cell; empty where cells can't be told
apart (``row_width``, ``row_unreadable``), so that an undeclared value never gets in."""


def ingest(shard: Shard, night: Night) -> Handoff:
    """Read a shard's files into one encrypted artifact per dataset and one of quarantined rows.

    A file that cannot be read right is named in ``problems`` and leaves no row anywhere. For the
    others, rows read = rows out + quarantined + skipped (totals rows); blank rows are not counted.
    ``details["files"][path]`` has the numbers of each file. No cell is in the returned record.
    """
    problems: dict[str, Problem] = {}
    read: dict[str, Read] = {}
    for index, file in enumerate(shard.files):
        try:
            read[file.path] = _read_file(file, index, night)
        except BadInput as problem:
            problems[file.path] = Problem(problem.key, problem.params, problem.exit_code)
    return gathered(shard, night, read, problems)


def gathered(
    shard: Shard, night: Night, read: Mapping[str, Read], problems: dict[str, Problem]
) -> Handoff:
    """Write what was read of a shard's files, by path, into artifacts; see ``ingest``."""
    tables: dict[str, list[pa.RecordBatch]] = {}
    files: dict[str, dict[str, Any]] = {}
    reasons: Counter[str] = Counter()
    for file in shard.files:
        if file.path in read:
            found = read[file.path]
            files[file.path] = found.details(file.station)
            reasons.update(found.reasons)
            for name, batches in found.tables.items():
                tables.setdefault(name, []).extend(batches)
    return Handoff(
        run=night.run,
        step="ingest",
        shard=shard,
        artifacts=_write(tables, shard, night),
        counts=_totals(files, problems),
        reasons=dict(sorted(reasons.items())),
        problems=problems,
        details={"files": files},
    )


def _totals(
    files: Mapping[str, Mapping[str, Any]], problems: Mapping[str, Problem]
) -> dict[str, int]:
    totals = {
        count: sum(numbers[name] for numbers in files.values())
        for count, name in (
            ("in", "read"),
            ("out", "out"),
            ("quarantined", "quarantined"),
            ("skipped", "skipped"),
        )
    }
    return {**totals, "files": len(files) + len(problems), "refused": len(problems)}


def _write(
    tables: dict[str, list[pa.RecordBatch]], shard: Shard, night: Night
) -> dict[str, Artifact]:
    written = {}
    for name in sorted(tables):
        table = pa.Table.from_batches(tables.pop(name))
        if table.num_rows:
            label = f"{shard.key}-ingest-{name}"
            written[name] = write_artifact(table, night.work, label, night.key)
    return written


def canonical_schema(dataset: str, policy: Policy) -> pa.Schema:
    """Return the Arrow schema of a dataset's canonical table."""
    fields = [("_file", pa.int32()), ("_sheet", pa.string()), ("_row", pa.int32())]
    for name, rule in policy.datasets[dataset].fields.items():
        if rule.treatment != "drop":
            fields.append((name, arrow_type(rule)))
            if name == "receiver_phone":
                fields.append(("phone_kind", pa.int8()))
    return pa.schema(fields)


@dataclass
class Read:
    """What was read of one file."""

    tables: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    sheets: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def details(self, station: str) -> dict[str, Any]:
        """Return the numbers of the file: JSON, without any cell."""
        out = sum(self.rows.values())
        quarantined = sum(self.reasons.values())
        first = self.sheets[0] if self.sheets else {}
        return {
            "station": station,
            "rows": dict(self.rows),
            "read": self.numbers["read"],
            "out": out,
            "quarantined": quarantined,
            "skipped": self.numbers["skipped"],
            "reasons": dict(sorted(self.reasons.items())),
            "undeclared": sum(len(sheet["undeclared"]) for sheet in self.sheets),
            "dropped": sorted({name for sheet in self.sheets for name in sheet["dropped"]}),
            "unknown_codes": dict(self.unknown),
            "sheet": first.get("sheet", ""),
            "header_row": first.get("header_row", 0),
            "sheets": self.sheets,
            **self.facts,
        }


def _read_file(file: SourceFile, index: int, night: Night) -> Read:
    refused: BadInput | None = None
    for opener in _ways(file, night):
        try:
            return FileReader(file, index, night, opener()).read()
        except (WrongEncoding, UnknownHeader) as problem:
            # What a later encoding says is missing tells more than that an earlier one was wrong.
            refused = problem if isinstance(refused, WrongEncoding | None) else refused
    raise refused or EmptyFile("ingest.empty", file=file.label)


def _ways(file: SourceFile, night: Night) -> Iterator[Callable[[], Opened]]:
    settings, limits = night.settings, Limits.of(night.settings)
    if file.window is None:
        yield from attempts(settings.landing, file, limits)
        return
    register = load_register(settings.landing, tuple(night.policy.datasets))
    yield partial(open_database, file, register, settings.secret, limits)


class FileReader:
    """Reads one opened file; its state is the result so far."""

    def __init__(self, file: SourceFile, index: int, night: Night, opened: Opened) -> None:
        self._file, self._index, self._policy = file, index, night.policy
        self._opened, self._day = opened, night.business_date
        self._result = Read()

    def read(self) -> Read:
        """Read all tables; raises ``BadInput`` (see ``errors``) for the file as a whole."""
        found = self._tables()
        for table, place in found:
            self._read_table(table, place)
        if not self._result.numbers["read"]:
            raise EmptyFile("ingest.no_rows", file=self._file.label)
        self._result.facts = {
            "encoding": self._opened.encoding,
            "hidden_sheets": self._opened.hidden,
            "unread_sheets": len(self._opened.tables) - len(found),
        }
        return self._result

    def _tables(self) -> list[tuple[RawTable, Found]]:
        found: list[tuple[RawTable, Found]] = []
        unknown: list[UnknownHeader] = []
        for table in self._opened.tables:
            try:
                found.append((table, self._find(table)))
            except UnknownHeader as problem:
                unknown.append(problem)
        if found:
            return found
        # The sheet that came closest to a table says best what is missing.
        unknown.sort(key=lambda problem: problem.key == "ingest.no_header")
        raise unknown[0] if unknown else EmptyFile("ingest.empty", file=self._file.label)

    def _find(self, table: RawTable) -> Found:
        sheet = _shown(table.sheet)
        return find(table.head, self._policy, self._file.label, sheet, self._file.station)

    def _read_table(self, table: RawTable, found: Found) -> None:
        rows = Rows(self._index, table.sheet, found.dataset)
        for batch in table.batches(found.header, found.width, found.wanted):
            self._take(without_totals(batch, rows), found, rows)
        self._set_aside_odd(table, rows)
        self._check_announced(table, found, rows)
        self._note(table, found, rows)

    def _take(self, batch: Batch, found: Found, rows: Rows) -> None:
        rows.read += len(batch.rows)
        raw = self._raw(batch, found)
        cells: dict[str, Cells] = {}
        for name, column in raw.items():
            if name == RECIPIENT:
                cells[name] = Cells(column, faults=faults(recipient_unreadable=pc.is_valid(column)))
                continue
            cells[name] = self._convert(name, column, found)
            self._result.unknown.update({name: cells[name].unknown} if cells[name].unknown else {})
        ages = {kind: batch.columns[place] for kind, place in found.ages.items()}
        young = children(ages, self._policy.codes["flag"], self._day)
        if young is not None:
            cells[RULE] = Cells(pa.nulls(len(batch.rows)), faults={RULE: young})
        good = rows.quarantine(batch, raw, cells, self._result.reasons)
        self._result.tables.setdefault(found.dataset, []).append(
            self._canonical(batch, cells, good, found, rows)
        )

    def _convert(self, name: str, column: pa.Array, found: Found) -> Cells:
        rule = self._policy.datasets[found.dataset].fields[name]
        codes = self._policy.codes[rule.codes] if rule.codes else None
        words = found.words.get(name, {})
        free = scrubber_of(self._policy.divisions) if rule.treatment == "tags" else None
        return convert(column, rule, codes, words, self._opened.date1904, free)

    def _raw(self, batch: Batch, found: Found) -> dict[str, pa.Array]:
        raw: dict[str, pa.Array] = {}
        for name, positions in found.columns.items():
            raw[name] = batch.columns[positions[0]]
            for other in positions[1:]:
                raw[name] = self._merged(name, raw[name], batch, other, found)
        if found.recipient is not None:
            held = split_recipients(batch.columns[found.recipient], raw)
            kept = self._policy.datasets[found.dataset].fields
            raw = held | {n: c for n, c in raw.items() if n not in held}
            raw = {n: c for n, c in raw.items() if n == RECIPIENT or kept[n].treatment != "drop"}
        parts = [batch.columns[found.parts[p]] for p in PARTS if p in found.parts]
        if parts:
            raw["receiver_address"] = join_parts(raw.get("receiver_address"), parts)
        return raw

    def _merged(
        self, name: str, column: pa.Array, batch: Batch, other: int, found: Found
    ) -> pa.Array:
        """Return two columns of one field as one; filled cells must say the same."""
        second = batch.columns[other]
        left, right = (self._convert(name, c, found).values for c in (column, second))
        differs = pc.indices_nonzero(pc.fill_null(pc.not_equal(left, right), False))
        if len(differs):
            row = batch.rows[differs[0].as_py()].as_py()
            raise contradiction(self._file.label, row, name, found)
        return pc.coalesce(column, second.cast(column.type))

    def _canonical(
        self, batch: Batch, cells: dict[str, Cells], good: pa.Array, found: Found, rows: Rows
    ) -> pa.RecordBatch:
        schema = canonical_schema(found.dataset, self._policy)
        count = len(batch.rows)
        columns = {name: cell.values for name, cell in cells.items()}
        for cell in cells.values():
            columns.update(cell.extra)
        columns.update(rows.reference(batch))
        filled = [columns.get(f.name, pa.nulls(count, f.type)) for f in schema]
        record = pa.record_batch(filled, schema=schema)
        kept = record if good is None else record.filter(good)
        self._result.rows[found.dataset] += kept.num_rows
        return kept

    def _set_aside_odd(self, table: RawTable, rows: Rows) -> None:
        for odd in table.odd:
            rows.read += 1
            if odd.rule == "totals":
                rows.skipped += 1
            else:
                rows.set_aside(odd.row, odd.rule)
                self._result.reasons[odd.rule] += 1
        batch = rows.batch(QUARANTINE)
        if batch.num_rows:
            self._result.tables.setdefault("quarantine", []).append(batch)

    def _check_announced(self, table: RawTable, found: Found, rows: Rows) -> None:
        if self._file.part is not None:
            return  # A part has some of the rows that its file announces.
        expected = announced(table.head[: max(found.header, 0)])
        records = rows.read - rows.skipped
        if expected is not None and expected != records:
            raise TruncatedFile(
                "ingest.fewer_rows",
                file=self._file.label,
                sheet=_shown(table.sheet),
                expected=expected,
                found=records,
            )

    def _note(self, table: RawTable, found: Found, rows: Rows) -> None:
        self._result.numbers.update(read=rows.read, skipped=rows.skipped)
        self._result.sheets.append(
            {
                "sheet": safe_name(table.sheet),
                "dataset": found.dataset,
                "header_row": found.header_row(table.head),
                "header": header_fingerprint(table.head, found.header),
                "read": rows.read,
                "skipped": rows.skipped,
                "undeclared": found.undeclared_letters,
                "dropped": list(found.dropped),
                "unusual_waybills": found.unusual_waybills(table.head),
            }
        )


def _shown(sheet: str) -> str:
    return safe_name(sheet) or "-"
