"""Where the table begins and what it is: header row, dataset, and which column is which field."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from safehands.errors import ContradictoryHeader, UnknownHeader
from safehands.ingest.kinds import agrees, surely
from safehands.ingest.tables import Line, letter
from safehands.policy import Dataset, Policy

__all__ = ["PARTS", "Found", "announced", "clean_header", "find"]

PARTS = ("province", "city", "district")
"""Columns of a split address, in the order in which they stand in front of it."""


@dataclass(frozen=True)
class Found:
    """A table in a sheet. ``columns``: kept field → positions; ``parts``: address part → position.

    ``words``: field → what its header says the codes mean. ``dropped`` are declared fields that
    are not read; ``undeclared`` are positions of columns that policy does not know.
    """

    dataset: str
    header: int
    width: int
    columns: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, int]
    words: Mapping[str, Mapping[str, str]]
    dropped: tuple[str, ...]
    undeclared: tuple[int, ...]

    @property
    def wanted(self) -> list[int]:
        """Positions to read: those of kept fields, and the first, where totals are labelled."""
        kept = {i for positions in self.columns.values() for i in positions}
        return sorted({0, *kept, *self.parts.values()})

    @property
    def undeclared_letters(self) -> list[str]:
        """Column letters only: an unknown header may itself be a person's data."""
        return [letter(position) for position in self.undeclared]


@dataclass(frozen=True)
class _Guess:
    dataset: str
    header: int
    fields: Mapping[int, str]
    missing: tuple[str, ...]

    @property
    def rank(self) -> tuple[bool, int, int]:
        return (not self.missing, len(set(self.fields.values())), -self.header)


def find(head: Sequence[Line], policy: Policy, file: str, sheet: str) -> Found:
    """Find the table in the first records of a sheet.

    Raises ``UnknownHeader`` when no row within the allowed title rows has all required columns of
    a dataset, and ``ContradictoryHeader`` when a column's cells cannot be what its header says.
    """
    guesses = list(_guesses(head, policy))
    best = max(guesses, key=lambda guess: guess.rank, default=None)
    if best is None or not best.fields:
        raise UnknownHeader("ingest.no_header", file=file, sheet=sheet)
    if best.missing:
        raise _unknown(best, head, policy, file, sheet)
    found = _found(best, head, policy)
    _check_cells(found, head, policy.datasets[best.dataset], file, sheet)
    return found


def _guesses(head: Sequence[Line], policy: Policy) -> Iterator[_Guess]:
    filled = [i for i, line in enumerate(head) if any(cell.strip() for cell in line.cells)]
    for header in filled[: policy.sources.max_title_rows + 1]:
        for name in policy.datasets:
            yield _guess(head, header, name, policy)


def _guess(head: Sequence[Line], header: int, name: str, policy: Policy) -> _Guess:
    cells = [clean_header(cell) for cell in head[header].cells]
    plain = _index(policy.sources.aliases.get(name, {}))
    fields = {i: plain[cell] for i, cell in enumerate(cells) if cell in plain}
    fields.update(_believed(cells, fields, head[header + 1 :], name, policy))
    dataset, known = policy.datasets[name], set(fields.values())
    missing = tuple(f for f in dataset.required if f not in known)
    if dataset.any_of and known.isdisjoint(dataset.any_of):
        missing += ("|".join(dataset.any_of),)
    return _Guess(name, header, fields, missing)


def _index(aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {clean_header(word): field for field, words in aliases.items() for word in words}


def _believed(
    cells: Sequence[str], plain: Mapping[int, str], body: Sequence[Line], name: str, policy: Policy
) -> dict[int, str]:
    """Return the ambiguous columns whose cells are clear, for fields that no plain header names."""
    words = {clean_header(w): f for w, f in policy.sources.ambiguous.get(name, {}).items()}
    found: dict[int, str] = {}
    for position, cell in enumerate(cells):
        field = words.get(cell)
        if field is None or position in plain or field in plain.values():
            continue
        rule = policy.datasets[name].fields[field]
        codes = policy.codes[rule.codes] if rule.codes else None
        if surely(rule, codes, _sample(body, position)):
            found[position] = field
    return found


def _unknown(
    best: _Guess, head: Sequence[Line], policy: Policy, file: str, sheet: str
) -> UnknownHeader:
    dataset = policy.datasets[best.dataset]
    labels = [
        " / ".join(f"{name} ({dataset.fields[name].label.zh})" for name in missing.split("|"))
        for missing in best.missing
    ]
    return UnknownHeader(
        "ingest.unknown_header",
        file=file,
        sheet=sheet,
        row=head[best.header].row,
        dataset=best.dataset,
        missing=", ".join(labels),
    )


def _found(best: _Guess, head: Sequence[Line], policy: Policy) -> Found:
    rules, header = policy.datasets[best.dataset].fields, head[best.header]
    kept: dict[str, tuple[int, ...]] = {}
    for position, field in sorted(best.fields.items()):
        if field not in PARTS and rules[field].treatment != "drop":
            kept[field] = (*kept.get(field, ()), position)
    parts = {f: i for i, f in sorted(best.fields.items(), reverse=True) if f in PARTS}
    dropped = sorted({f for f in best.fields.values() if f not in PARTS and f not in kept})
    width = _width(header, head[best.header + 1 :])
    unknown = [i for i in range(width) if i not in best.fields and _used(head[best.header :], i)]
    words = {f: w for f, at in kept.items() if (w := _enumeration(header.cells[at[0]]))}
    return Found(
        best.dataset, best.header, width, kept, parts, words, tuple(dropped), tuple(unknown)
    )


def _width(header: Line, body: Sequence[Line]) -> int:
    """Return the number of cells of a record; blank cells at its end may be on one side only."""
    named = len(header.cells)
    widths = Counter(len(line.cells) for line in body if len(line.cells) > 1)
    usual = max(widths, key=lambda w: widths[w], default=named)
    long = [line.cells[named:] for line in body if len(line.cells) == usual]
    rest = header.cells[usual:] if usual < named else [c for cells in long for c in cells]
    return named if any(cell.strip() for cell in rest) else usual


def _used(lines: Sequence[Line], position: int) -> bool:
    return any(line.cells[position].strip() for line in lines if position < len(line.cells))


def _sample(body: Sequence[Line], position: int) -> list[str]:
    return [line.cells[position] for line in body if position < len(line.cells)]


def _check_cells(
    found: Found, head: Sequence[Line], dataset: Dataset, file: str, sheet: str
) -> None:
    body = [line for line in head[found.header + 1 :] if len(line.cells) == found.width]
    for field, positions in found.columns.items():
        for position in positions:
            if not agrees(dataset.fields[field], _sample(body, position)):
                raise ContradictoryHeader(
                    "ingest.header_and_cells",
                    file=file,
                    sheet=sheet,
                    row=head[found.header].row,
                    column=letter(position),
                    field=f"{field} ({dataset.fields[field].label.zh})",
                )


_WRAPPING = re.compile(r"[\s'\"‘’“”`*＊:：\u200b\ufeff_]+")
_SUFFIX = re.compile(
    r"[(\[【](?:必填|必填项|选填|可选|非必填|唯一标识|可为空|\d+\D.*)[)\]】]$|,可为空$"
)
_ENUM = re.compile(r"(\d+)\s*[:=-]?\s*([^\d\s,;、()]+)")


def clean_header(cell: str) -> str:
    """Return a header as it is compared: NFKC, case-folded, without quotes, spaces and suffixes."""
    text = _WRAPPING.sub("", unicodedata.normalize("NFKC", cell))
    while (shorter := _SUFFIX.sub("", text)) != text:
        text = shorter
    return text.casefold()


def _enumeration(cell: str) -> dict[str, str]:
    """Return what the codes mean where the header says it: ``状态(0下单 1接单)``."""
    text = unicodedata.normalize("NFKC", cell)
    inner = re.search(r"\((\d+\D.*)\)\s*$", text)
    return dict(_ENUM.findall(inner.group(1))) if inner else {}


_COUNT = re.compile(r"(?<!第)(?:共计?|总计|合计)\s*[:：]?\s*([\d,]+)\s*[条件行]")


def announced(titles: Sequence[Line]) -> int | None:
    """Return the number of records that a title row announces (``共 20 条``), if one does."""
    for line in titles:
        for cell in line.cells:
            if found := _COUNT.search(unicodedata.normalize("NFKC", cell)):
                return int(found.group(1).replace(",", ""))
    return None
