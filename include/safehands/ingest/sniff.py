"""Which dialect a text file is written in: delimiter, quote and escape, found by trying them.

A dialect is good when the records it gives are alike in width and its cells look like something:
numbers, dates, words (after van den Burg, Nazabal, Sutton, "Wrangling messy CSV files by detecting
row and type patterns", Data Mining and Knowledge Discovery 33, 2019). RFC 4180 is the normal form;
what differs from it is rewritten into it before it is parsed (see ``rewrite``).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from dataclasses import replace

from safehands.ingest.dialect import Dialect, split_records
from safehands.ingest.rewrite import normal_form, target

__all__ = ["detect"]

_USUAL = (",", "\t", ";", "|")
_RARE = ("\x01", "\x1f", "\x1e", "^", "~", "¦", "§", "，", "、", "；", "｜", ":", "/", " ")
_LINES = 120
_MODAL = 0.7
_HALF, _MOSTLY = 0.5, 0.9
_STRONG = 0.95


def detect(text: str, careful: bool = True) -> Dialect:
    """Return the dialect of the beginning of a file.

    ``careful``: a quote that is opened and not closed is a fault, never a character of a comma
    separated file.
    """
    hinted = _hint(text)
    quotes = [quote for quote in ('"', "'") if _quoted(text, quote)] or ['"']
    found = [Dialect(hinted)] if hinted else [Dialect(d) for d in _USUAL]
    best = _best(text, found, quotes)
    if best is None:
        rare = [Dialect(d) for d in _RARE if d in text]
        best = _best(text, rare, quotes, _STRONG)
    if best is None:
        return Dialect("", '"' if '"' in quotes else quotes[0])
    return _unquoted(text, _escaped(text, best), careful)


_HINT = re.compile(r"\ufeff?sep=(.)[\r\n]+", re.IGNORECASE)


def _hint(text: str) -> str:
    found = _HINT.match(text)
    return found.group(1) if found else ""


def _quoted(text: str, quote: str) -> bool:
    pattern = rf"(?:^|[,;|\t\n\r]){quote}[^{quote}\n]*{quote}(?:$|[,;|\t\r\n])"
    return len(re.findall(pattern, text[:65536])) >= (1 if quote == '"' else 3)


def _best(
    text: str, dialects: list[Dialect], quotes: list[str], share: float = _MODAL
) -> Dialect | None:
    tried = [
        replace(dialect, quote=quote, spaced=spaced)
        for quote in quotes
        for dialect in dialects
        if dialect.delimiter in text
        for spaced in ((False, True) if _spaced(text, dialect.delimiter, quote) else (False,))
    ]
    scored = [(*_score(text, dialect, share), -i) for i, dialect in enumerate(tried)]
    ranked = sorted(zip(scored, tried, strict=True), key=lambda pair: pair[0], reverse=True)
    return ranked[0][1] if ranked and ranked[0][0][0] > 0 else None


def _spaced(text: str, delimiter: str, quote: str) -> bool:
    """Say whether quotes stand behind a delimiter and blanks, or blanks in runs delimit."""
    if delimiter == " ":
        return "  " in text
    mark, sign = re.escape(delimiter), re.escape(quote)
    pattern = rf"{mark}[ ]+{sign}[^{sign}]*{sign}\s*(?:{mark}|[\r\n]|$)"
    return re.search(pattern, text[:65536]) is not None


def _score(text: str, dialect: Dialect, share: float) -> tuple[float, float]:
    """Return how well a dialect fits, 0 for not at all, and the width of its records."""
    rows = (
        _rows(normal_form(text, dialect), target_of(dialect))
        if dialect.spaced
        else _rows(text, dialect)
    )
    widths = Counter(map(len, rows))
    if not rows or max(widths) < 2:
        return 0.0, 0.0
    # Title rows and footers have one cell; they speak neither for nor against a delimiter.
    body = Counter({w: n for w, n in widths.items() if w > 1})
    width = max(body, key=lambda w: (body[w], w))
    # A header may be one cell short, and records may end with a delimiter.
    near = body[width] + max(body[width - 1], body[width + 1])
    alone = widths.get(1, 0)
    total = body.total() + max(0, alone - 8)
    settled = [len(row) == width for row in rows[len(rows) // 2 :]]
    plain = len(rows[0]) == width or sum(settled) >= _MOSTLY * len(settled)
    wanted = _HALF if plain and share < _STRONG else share
    if near < wanted * total or body[width] < _HALF * total or alone > max(8, body.total()):
        return 0.0, 0.0
    if _is_prose(dialect, rows, width):
        return 0.0, 0.0
    pattern = sum(n * (w - 1) / w for w, n in body.items()) / (len(body) * len(rows))
    cells = [cell for row in rows if len(row) == width for cell in row]
    typed = sum(map(_looks_typed, cells)) / len(cells)
    return pattern * (typed + 1e-3), float(width)


def _rows(text: str, dialect: Dialect) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for cells in split_records(text, dialect):
        if any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
            found.append(cells)
        if len(found) > _LINES:
            break
    # The text is cut anywhere: its last record may be half.
    return found[:-1] if len(found) > 2 and not text.endswith(("\n", "\r")) else found


def _is_prose(dialect: Dialect, rows: list[tuple[str, ...]], width: int) -> bool:
    """Say whether the delimiter is punctuation: ``Boston, MA`` below a header without any."""
    if dialect.delimiter not in {",", ";", ":", "/", " ", "，", "、", "；"} or len(rows[0]) > 1:
        return False
    if dialect.delimiter in {",", ";", ":"}:
        inner = [c for row in rows[1:] if len(row) == width for c in row[1:]]
        spaced = bool(inner) and all(cell.startswith(" ") for cell in inner)
        numbers = [row for row in rows[1:] if len(row) == 2 and all(map(str.isdigit, row))]
        return spaced or (len(numbers) == len(rows) - 1 and len(rows) > 2)
    return True


_TYPED = re.compile(
    r"""\s*(?:
    |[-+]?[$€£¥￥]?\s?\d{1,3}(?:[,\s']\d{3})*(?:\.\d+)?\s?[%€]?
    |[-+]?[$€£¥￥]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?\s?[%€]?
    |[-+]?\.\d+
    |\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?(?:[T\s]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[-+]\d{2}:?\d{2})?)?
    |\d{1,2}:\d{2}(?::\d{2})?
    |https?://\S+|[\w.+-]+@[\w-]+\.[\w.-]+
    |(?:n/?a|nan|null|none|true|false|yes|no|-+)
    |[^\W\d_](?:[\w.'’&()-]|[ ](?=\S))*
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)


def _looks_typed(cell: str) -> bool:
    return len(cell) < 200 and _TYPED.fullmatch(cell) is not None


def _escaped(text: str, best: Dialect) -> Dialect:
    """Return the dialect with escapes as they are used in ``text``."""
    quote, delimiter = re.escape(best.quote or '"'), re.escape(best.delimiter)
    escaped = re.search(rf"\\{quote}", text)
    doubled = re.search(rf"[^\\{delimiter}\s{quote}]{quote}{quote}", text)
    if (
        escaped
        and not doubled
        and _alike(text, replace(best, backslash=True)) >= _alike(text, best)
    ):
        best = replace(best, backslash=True)
    return best


def _alike(text: str, dialect: Dialect) -> float:
    """Return the share of records that have the commonest width."""
    body = text if dialect.plain else normal_form(text, dialect)
    widths = Counter(map(len, _rows(body, target_of(dialect))))
    return max(widths.values()) / widths.total() if widths else 0.0


def target_of(dialect: Dialect) -> Dialect:
    """Return the dialect of the normal form of a text."""
    return Dialect(target(dialect), dialect.quote)


def _unquoted(text: str, best: Dialect, careful: bool) -> Dialect:
    """Return the dialect without quotes where only that makes the records alike."""
    if not best.quote or best.quote not in text or best.backslash or best.spaced:
        return best
    if careful and best.delimiter == ",":
        return best
    bare = replace(best, quote="")
    if _well_formed(text, best) or _alike(text, bare) < 1.0:
        return best
    swallows = any(
        "\n" in cell and best.delimiter in cell for row in _rows(text, best) for cell in row
    )
    return bare if swallows or _alike(text, best) < 1.0 else best


def _well_formed(text: str, dialect: Dialect) -> bool:
    """Say whether every quote that opens a cell closes it, and nothing follows it there."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.parsed,
        quotechar=dialect.quote,
        strict=True,
    )
    try:
        deque(reader, maxlen=0)
    except csv.Error as error:
        # The text is the beginning of a file: it may end within a cell.
        return "unexpected end" in str(error) and not text.endswith(("\n", "\r"))
    return True
