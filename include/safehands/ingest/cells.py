"""Cells to canonical values, a column at a time. Each rule of quarantine is decided here.

Every function takes one Arrow column of text and gives back values and faults. The common form is
recognised by one regular expression over the whole column; only what does not match is looked at
again, and Python sees distinct odd values, never rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.moments import moments
from safehands.ingest.normalise.measures import kilograms, yuan
from safehands.ingest.normalise.names import SELF_TITLES, canonical_name
from safehands.ingest.normalise.scrub import Scrubber
from safehands.ingest.normalise.words import look_up
from safehands.ingest.phones import read_phone
from safehands.policy import CodeList, FieldRule

__all__ = ["Cells", "arrow_type", "convert", "faults", "join_parts"]


@dataclass(frozen=True)
class Cells:
    """A converted column. ``extra`` holds further canonical columns (``phone_kind``).

    ``faults``: rule → boolean column of the rows that break it; ``unknown``: cells whose word is in
    no code list.
    """

    values: pa.Array
    extra: Mapping[str, pa.Array] = field(default_factory=dict)
    faults: Mapping[str, pa.Array] = field(default_factory=dict)
    unknown: int = 0


def arrow_type(rule: FieldRule) -> pa.DataType:
    """Return the Arrow type of a canonical column."""
    return _TYPES.get(rule.type, pa.string())


_TYPES: dict[str, pa.DataType] = {
    "time": pa.timestamp("us", "UTC"),
    "weight": pa.float64(),
    "money": pa.float64(),
    "code": pa.int16(),
    "flag": pa.int8(),
    "count": pa.int64(),
}


def convert(
    column: pa.Array,
    rule: FieldRule,
    codes: CodeList | None,
    words: Mapping[str, str],
    date1904: bool,
    scrubber: Scrubber | None = None,
) -> Cells:
    """Convert one column as its field's rule says; ``words`` are meanings given in the header.

    The word ``""`` is the unit of a number without one. Free text goes through ``scrubber``.
    """
    if rule.type == "time":
        return _time(column, date1904)
    column = column.cast(pa.string())
    if codes is not None:
        return _codes(column, codes, words, arrow_type(rule), unknown_is_zero=rule.type == "code")
    if rule.type in _MEASURES:
        return _measures(column, _MEASURES[rule.type], words.get("", ""))
    if rule.treatment == "tags" and scrubber is not None:
        return Cells(_each_distinct(column, lambda texts: scrubber.texts(_text(texts).values)[0]))
    return _CONVERTERS[rule.type](column)


def _patched(column: pa.Array, common: str, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Apply ``change`` to the cells that do not match ``common``."""
    odd = pc.invert(pc.fill_null(pc.match_substring_regex(column, common), True))
    if not pc.any(odd).as_py():
        return column
    return pc.replace_with_mask(column, odd, change(column.filter(odd)))


def _distinct(column: pa.Array, read: Callable[[str], Any]) -> tuple[list[Any], pa.Array]:
    """Return ``read`` of each distinct text, and for each row the index into that list."""
    encoded = column.dictionary_encode()
    return [read(text) for text in encoded.dictionary.to_pylist()], encoded.indices


def _each_distinct(column: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Apply ``change`` to distinct texts: people come again, and long patterns are slow."""
    encoded = column.dictionary_encode()
    changed = change(encoded.dictionary)
    return column if changed is encoded.dictionary else changed.take(encoded.indices)


_SPACES = r"[\s\x{00a0}\x{200b}\x{3000}\x{feff}]"
_TEXT = r"^[!-&(-<>-~\x{4e00}-\x{9fff}]([ -~\x{4e00}-\x{9fff}]*[!-~\x{4e00}-\x{9fff}])?$"


def _tidy(column: pa.Array) -> pa.Array:
    """NFKC, trimmed, without the apostrophe and ``="…"`` that spreadsheets mark text with."""
    plain = pc.utf8_normalize(column, form="NFKC")
    plain = pc.replace_substring_regex(plain, f"^{_SPACES}*['`]?{_SPACES}*", "")
    plain = pc.replace_substring_regex(plain, f"{_SPACES}+$", "")
    plain = pc.replace_substring_regex(plain, r'^="([^"]*)"$', r"\1")
    return _null_if(plain, pc.equal(plain, ""))


def _null_if(column: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.if_else(mask, pa.scalar(None, column.type), column)


def _text(column: pa.Array) -> Cells:
    return Cells(_patched(column, _TEXT, _tidy))


def _address(column: pa.Array) -> Cells:
    def change(odd: pa.Array) -> pa.Array:
        return pc.replace_substring_regex(_tidy(odd), r"\s+", " ")

    common = r"^[!-&(-<>-~\x{4e00}-\x{9fff}]+$"
    return Cells(_each_distinct(column, lambda texts: _patched(texts, common, change)))


def _name(column: pa.Array) -> Cells:
    odd = pc.fill_null(pc.match_substring_regex(column, _ODD_NAME), False)
    if not pc.any(odd).as_py():
        return Cells(column)
    found, indices = _distinct(column.filter(odd), canonical_name)
    return Cells(pc.replace_with_mask(column, odd, pa.array(found, pa.string()).take(indices)))


# Anything but Chinese characters, or Chinese characters with something behind the name.
_ODD_NAME = rf"[^\x{{4e00}}-\x{{9fff}}]|^$|(?:{SELF_TITLES}|收|启)$"


_NOTHING = r"(?i)^(null|nan|none|n/a|\\n|无|/|-+)$"
_SCIENTIFIC = r"(?i)^\d([.]\d+)?e\+?\d+$"


def _waybill(column: pa.Array) -> Cells:
    tidy = _patched(column, r"^[A-Z0-9]+$", _odd_waybills)
    lost = pc.match_substring_regex(tidy, r"^\d([.]\d+)?E\+\d+$")
    return Cells(tidy, faults=faults(waybill_lost_digits=lost))


def _odd_waybills(odd: pa.Array) -> pa.Array:
    tidy = pc.utf8_upper(pc.replace_substring_regex(_tidy(odd), r"\s+", ""))
    tidy = pc.replace_substring_regex(tidy, r"^(\d{6,})\.0+$", r"\1")
    return _null_if(tidy, pc.match_substring_regex(tidy, _NOTHING))


def faults(**masks: pa.Array) -> dict[str, pa.Array]:
    """Return the rules that any row breaks, with their masks; null counts as unbroken."""
    filled = {rule: pc.fill_null(mask, False) for rule, mask in masks.items()}
    return {rule: mask for rule, mask in filled.items() if pc.any(mask).as_py()}


_MOBILE = r"^1[3-9]\d{9}$"
_DRESSED = r"^[\s'\"=]*(?:(?:\+|00)?86)?[-\s]*(1[3-9]\d)[-\s]?(\d{4})[-\s]?(\d{4})(?:\.0+)?[\s\"]*$"


def _phone(column: pa.Array) -> Cells:
    common = pc.match_substring_regex(column, _MOBILE)
    odd = pc.invert(pc.fill_null(common, True))
    kinds = pc.fill_null(common, False).cast(pa.int8())
    if not pc.any(odd).as_py():
        return Cells(column, {"phone_kind": kinds})
    # Most odd cells are whole mobiles in a dress; the others are looked at one by one.
    bare = pc.replace_substring_regex(column.filter(odd), _DRESSED, r"\1\2\3")
    mobile = pc.match_substring_regex(bare, _MOBILE)
    column = pc.replace_with_mask(column, odd, bare)
    kinds = pc.replace_with_mask(kinds, odd, mobile.cast(pa.int8()))
    odd = pc.replace_with_mask(odd, odd, pc.invert(mobile))
    if not pc.any(odd).as_py():
        return Cells(column, {"phone_kind": kinds})
    return _odd_phones(column, kinds, odd)


def _odd_phones(bare: pa.Array, kinds: pa.Array, odd: pa.Array) -> Cells:
    found, indices = _distinct(bare.filter(odd), read_phone)

    def spread(values: list[Any], kind: pa.DataType, base: pa.Array) -> pa.Array:
        return pc.replace_with_mask(base, odd, pa.array(values, kind).take(indices))

    no = pa.repeat(pa.scalar(False), len(bare))
    masks = {
        rule: spread([phone.fault == rule for phone in found], pa.bool_(), no)
        for rule in ("phone_lost_digits", "phone_unreadable")
    }
    return Cells(
        spread([phone.value for phone in found], pa.string(), bare),
        {"phone_kind": spread([phone.kind for phone in found], pa.int8(), kinds)},
        faults(**masks),
    )


def _time(column: pa.Array, date1904: bool) -> Cells:
    if not pa.types.is_timestamp(column.type):
        column = column.cast(pa.string())
    values, wrong = moments(column, date1904, lambda odd: _patched(odd, r"^\d[ -~]*\d$", _tidy))
    return Cells(values, faults=faults(time_unreadable=wrong))


def _measures(column: pa.Array, read: Callable[[str], float | None], unit: str) -> Cells:
    plain = pc.match_substring_regex(column, r"^\d{1,12}(\.\d{1,12})?$")
    values = _null_if(column, pc.invert(pc.fill_null(plain, False))).cast(pa.float64())
    if unit:
        values = pc.multiply(values, read(f"1{unit}") or 1.0)
    odd = pc.invert(pc.fill_null(plain, True))
    if not pc.any(odd).as_py():
        return Cells(values)
    tidy = _tidy(column.filter(odd))
    tidy = _null_if(tidy, pc.match_substring_regex(tidy, _NOTHING))
    found, indices = _distinct(tidy, lambda text: None if text is None else read(text))
    read_values = pa.array(found, pa.float64()).take(indices)
    wrong = pc.and_(pc.is_null(read_values), pc.is_valid(tidy))
    no = pa.repeat(pa.scalar(False), len(column))
    unreadable = faults(number_unreadable=pc.replace_with_mask(no, odd, wrong))
    return Cells(pc.replace_with_mask(values, odd, read_values), faults=unreadable)


_MEASURES: dict[str, Callable[[str], float | None]] = {"weight": kilograms, "money": yuan}


def _codes(
    column: pa.Array,
    codes: CodeList,
    words: Mapping[str, str],
    kind: pa.DataType,
    unknown_is_zero: bool,
) -> Cells:
    known = codes.by_word

    def read(text: str | None) -> int | None:
        word = _word(text or "")
        return look_up(_word(words.get(word, word)), known)

    found, indices = _distinct(column, read)
    values = pa.array(found, kind).take(indices)
    blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    unknown = pc.sum(pc.and_(pc.is_null(values), pc.invert(pc.fill_null(blank, True)))).as_py() or 0
    return Cells(pc.fill_null(values, 0) if unknown_is_zero else values, unknown=unknown)


def _word(text: str) -> str:
    word = unicodedata.normalize("NFKC", text).strip(" \t\r\n'\"\u3000").casefold()
    return word[:-2] if re.fullmatch(r"\d+\.0", word) else word


def join_parts(address: pa.Array | None, parts: list[pa.Array]) -> pa.Array:
    """Put province, city and district in front of the address, unless it already begins so."""
    tidy = [_text(part.cast(pa.string())).values for part in parts]
    prefix = tidy[0]
    for part in tidy[1:]:
        # Municipalities repeat themselves: province 上海市, city 上海市.
        repeated = pc.fill_null(pc.equal(prefix, part), False)
        addition = pc.if_else(repeated, "", pc.fill_null(part, ""))
        prefix = pc.binary_join_element_wise(pc.fill_null(prefix, ""), addition, "")
    prefix = pc.fill_null(prefix, "")
    if address is None:
        return _null_if(prefix, pc.equal(prefix, ""))
    plain = _text(address.cast(pa.string())).values
    return _prefixed(plain, prefix, pc.fill_null(tidy[0], ""))


def _prefixed(address: pa.Array, prefix: pa.Array, first: pa.Array) -> pa.Array:
    begins = pa.repeat(pa.scalar(False), len(address))
    for word in pc.unique(first).to_pylist():
        if word:
            same = pc.and_(pc.equal(first, word), pc.starts_with(address, word))
            begins = pc.or_(begins, pc.fill_null(same, False))
    joined = pc.binary_join_element_wise(prefix, pc.fill_null(address, ""), "")
    whole = pc.if_else(begins, address, joined)
    return _null_if(whole, pc.equal(whole, ""))


_CONVERTERS: dict[str, Callable[[pa.Array], Cells]] = {
    "waybill": _waybill,
    "phone": _phone,
    "name": _name,
    "address": _address,
    "text": _text,
}
