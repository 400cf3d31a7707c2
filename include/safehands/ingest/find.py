"""Where the table begins and what it is: header row, dataset, and which column is which field."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from safehands.errors import ContradictoryHeader, UnknownHeader
from safehands.ingest.detect import contradicts, look, own_kinds, shown, words_of
from safehands.ingest.detect.column import Seen, share_of
from safehands.ingest.detect.digits import unusual
from safehands.ingest.detect.kinds import Words
from safehands.ingest.kinds import agrees, surely
from safehands.ingest.mapping import fingerprint, mapped, nameless_fingerprint, positions
from safehands.ingest.tables import Line, letter
from safehands.policy import FieldRule, Policy

__all__ = [
    "PARTS",
    "RECIPIENT",
    "Found",
    "announced",
    "candidates",
    "clean_header",
    "find",
    "header_fingerprint",
]

PARTS = ("province", "city", "district", "street")
"""Columns of a split address, in the order in which they stand in front of it."""

RECIPIENT = "recipient"
"""A column that holds a person's name, phone and address in one cell, and what it stands for."""
_HELD = frozenset(("receiver_name", "receiver_phone", "receiver_address"))


@dataclass(frozen=True)
class Found:
    """A table in a sheet. ``columns``: kept field → positions; ``parts``: address part → position.

    ``words``: field → what its header says the codes mean. ``dropped`` are declared fields that
    are not kept; ``undeclared`` are positions of columns that policy does not know. ``ages``: what
    a dropped column tells of a child → its position.
    """

    dataset: str
    header: int
    width: int
    columns: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, int]
    words: Mapping[str, Mapping[str, str]]
    dropped: tuple[str, ...]
    undeclared: tuple[int, ...]
    recipient: int | None = None
    ages: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> int:
        """Where the records begin in the head."""
        return self.header + 1

    def header_row(self, head: Sequence[Line]) -> int:
        """Return the row number of the header, 0 where there is none."""
        return head[self.header].row if self.header >= 0 else 0

    def unusual_waybills(self, head: Sequence[Line]) -> int:
        """Count the waybill numbers of the head that are no known carrier's: worth a warning."""
        places = self.columns.get("waybill_no", ())[:1]
        return sum(unusual(_sample(head[self.first :], position)) for position in places)

    @property
    def wanted(self) -> list[int]:
        """Positions to read: those of kept fields, and the first, where totals are labelled."""
        kept = {i for positions in self.columns.values() for i in positions}
        held = () if self.recipient is None else (self.recipient,)
        return sorted({0, *kept, *held, *self.parts.values(), *self.ages.values()})

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


def find(head: Sequence[Line], policy: Policy, file: str, sheet: str, station: str = "") -> Found:
    """Find the table in the first records of a sheet.

    What the owner of ``station`` confirmed for this header comes before any guess.

    Raises ``UnknownHeader`` when no row within the allowed title rows has all required columns of
    a dataset, and ``ContradictoryHeader`` when a column's cells cannot be what its header says.
    """
    best = _confirmed(head, policy, station) or max(
        _guesses(head, policy), key=lambda guess: guess.rank, default=None
    )
    if best is None or not best.fields:
        raise UnknownHeader("ingest.no_header", file=file, sheet=sheet)
    if best.missing:
        raise _unknown(best, head, policy, file, sheet)
    found = _found(best, head, policy)
    _check_cells(found, head, policy, file, sheet)
    return found


def _confirmed(head: Sequence[Line], policy: Policy, station: str) -> _Guess | None:
    if not policy.mappings:
        return None
    rows = candidates(head, policy)
    cleaned = [[clean_header(cell) for cell in head[i].cells] for i in rows]
    known = mapped(head, cleaned, policy, station)
    if known is None:
        return None
    source, at = known
    header = rows[at] if at >= 0 else -1
    width = max(len(line.cells) for line in head)
    fields = positions(source, width)
    return _Guess(source.dataset, header, fields, _missing(source.dataset, fields, policy))


def header_fingerprint(head: Sequence[Line], header: int) -> str:
    """Return what the header at position ``header`` of the head is found again by; -1: none."""
    if header < 0:
        return nameless_fingerprint(head)
    return fingerprint([clean_header(cell) for cell in head[header].cells])


def candidates(head: Sequence[Line], policy: Policy) -> list[int]:
    """Return the rows of the head that may be the header."""
    filled = [i for i, line in enumerate(head) if any(cell.strip() for cell in line.cells)]
    return filled[: policy.sources.max_title_rows + 1]


def _guesses(head: Sequence[Line], policy: Policy) -> Iterator[_Guess]:
    rows = candidates(head, policy)
    for header in rows:
        for name in policy.datasets:
            plain = _index(policy.sources.aliases.get(name, {}))
            cells = [clean_header(cell) for cell in head[header].cells]
            yield _guess(head, header, cells, plain, name, policy)
            if header - 1 in rows:
                cells = _stacked(head[header - 1], head[header], plain)
                yield _guess(head, header, cells, plain, name, policy)


def _stacked(upper: Line, lower: Line, plain: Mapping[str, str]) -> list[str]:
    """Return the names that two header rows give, the upper one with merged cells.

    A group such as 收件人 stands over its columns 姓名 and 电话; a name that is merged downwards
    has nothing below it.
    """
    names, group = [], ""
    for position, cell in enumerate(map(clean_header, lower.cells)):
        above = clean_header(upper.cells[position]) if position < len(upper.cells) else ""
        group = above or group
        names.append(group + cell if cell and group + cell in plain else cell or above)
    return names


def _guess(
    head: Sequence[Line],
    header: int,
    cells: Sequence[str],
    plain: Mapping[str, str],
    name: str,
    policy: Policy,
) -> _Guess:
    fields = {i: plain[cell] for i, cell in enumerate(cells) if cell in plain}
    fields.update(_believed(cells, fields, head[header + 1 :], name, policy))
    return _Guess(name, header, fields, _missing(name, fields, policy))


def _missing(name: str, fields: Mapping[int, str], policy: Policy) -> tuple[str, ...]:
    dataset, known = policy.datasets[name], set(fields.values())
    known |= _HELD if RECIPIENT in known else set()
    missing = tuple(f for f in dataset.required if f not in known)
    if dataset.any_of and known.isdisjoint(dataset.any_of):
        missing += ("|".join(dataset.any_of),)
    return missing


def _index(aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {_clean_alias(word): field for field, words in aliases.items() for word in words}


def _believed(
    cells: Sequence[str], plain: Mapping[int, str], body: Sequence[Line], name: str, policy: Policy
) -> dict[int, str]:
    """Return the ambiguous columns whose cells are clear, for fields that no plain header names."""
    words = {_clean_alias(w): f for w, f in policy.sources.ambiguous.get(name, {}).items()}
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
    rules = policy.datasets[best.dataset].fields
    header = head[best.header] if best.header >= 0 else Line(0, ())
    kept: dict[str, tuple[int, ...]] = {}
    for position, field in sorted(best.fields.items()):
        if field in rules and rules[field].treatment != "drop":
            kept[field] = (*kept.get(field, ()), position)
    first = {f: i for i, f in sorted(best.fields.items(), reverse=True)}
    parts = {f: i for f, i in first.items() if f in PARTS}
    dropped = sorted({f for f in best.fields.values() if f in rules and f not in kept})
    width = _width(header, head[best.header + 1 :])
    used = head[max(best.header, 0) :]
    unknown = [i for i in range(width) if i not in best.fields and _used(used, i)]
    named = {f: at[0] for f, at in kept.items() if at[0] < len(header.cells)}
    words = {f: w for f, at in named.items() if (w := _enumeration(header.cells[at]))}
    return Found(
        best.dataset,
        best.header,
        width,
        kept,
        parts,
        words,
        tuple(dropped),
        tuple(unknown),
        first.get(RECIPIENT),
        {str(rules[f].tells): i for f, i in first.items() if f in rules and rules[f].tells},
    )


def _width(header: Line, body: Sequence[Line]) -> int:
    """Return the number of cells of a record; blank cells at its end may be on one side only."""
    named = len(header.cells)
    widths = Counter(len(line.cells) for line in body if len(line.cells) > 1)
    usual = max(widths, key=lambda w: widths[w], default=named)
    if not named:
        return usual
    long = [line.cells[named:] for line in body if len(line.cells) == usual]
    rest = header.cells[usual:] if usual < named else [c for cells in long for c in cells]
    return named if any(cell.strip() for cell in rest) else usual


def _used(lines: Sequence[Line], position: int) -> bool:
    return any(line.cells[position].strip() for line in lines if position < len(line.cells))


def _sample(body: Sequence[Line], position: int) -> list[str]:
    return [line.cells[position] for line in body if position < len(line.cells)]


def _check_cells(found: Found, head: Sequence[Line], policy: Policy, file: str, sheet: str) -> None:
    rules = policy.datasets[found.dataset].fields
    words = words_of(policy.codes)
    body = [line for line in head[found.first :] if len(line.cells) == found.width]
    for field, places in found.columns.items():
        for position in places:
            seen = _disagreement(field, rules[field], _sample(body, position), words)
            if seen is not None:
                raise ContradictoryHeader(
                    "ingest.header_and_cells",
                    file=file,
                    sheet=sheet,
                    row=found.header_row(head),
                    column=letter(position),
                    field=f"{field} ({rules[field].label.zh})",
                    seen=shown(seen.patterns),
                )


def _disagreement(field: str, rule: FieldRule, sample: list[str], words: Words) -> Seen | None:
    """Return what the cells are where they are not what the header says."""
    own = own_kinds(field, rule)
    if own and share_of(sample, own, words) >= _AGREED:
        return None
    if not agrees(rule, sample):
        return look(sample, words)
    return contradicts(field, rule, sample, words)


_AGREED = 0.5


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


@lru_cache(maxsize=4096)
def _clean_alias(word: str) -> str:
    """Return a word of the policy as headers are compared; words of files are not remembered."""
    return clean_header(word)


def _enumeration(cell: str) -> dict[str, str]:
    """Return what codes mean, or bare numbers, where the header says it: ``状态(0待取 1已取)``.

    The word ``""`` is the unit of a number: ``重量(g)``.
    """
    text = unicodedata.normalize("NFKC", cell)
    inner = re.search(r"\((\d+\D.*)\)\s*$", text)
    unit = re.search(r"\(\s*(g|克|kg|公斤|千克|斤|市斤|lb|磅|元|角|分)\s*\)\s*$", text.casefold())
    meanings = dict(_ENUM.findall(inner.group(1))) if inner else {}
    return meanings | ({"": unit.group(1)} if unit else {})


_COUNT = re.compile(r"(?<!第)(?:共计?|总计|合计)\s*[:：]?\s*([\d,]+)\s*[条件行]")


def announced(titles: Sequence[Line]) -> int | None:
    """Return the number of records that a title row announces (``共 20 条``), if one does."""
    for line in titles:
        for cell in line.cells:
            if found := _COUNT.search(unicodedata.normalize("NFKC", cell)):
                return int(found.group(1).replace(",", ""))
    return None
