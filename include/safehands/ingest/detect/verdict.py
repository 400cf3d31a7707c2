"""Do a column's header and its cells agree? What a field may look like, and what it can't be."""

from __future__ import annotations

from collections.abc import Sequence

from safehands.ingest.detect.column import Seen, look, share_of
from safehands.ingest.detect.kinds import PHONES, Words
from safehands.policy import FieldRule

__all__ = ["contradicts", "own_kinds"]

_ENOUGH, _MOST, _HALF = 5, 0.8, 0.5

_OWN: dict[str, tuple[str, ...]] = {
    "phone": PHONES,
    "waybill": ("waybill",),
    "name": ("name",),
    "address": ("address",),
    "time": ("time", "date_digits", "serial"),
    "weight": ("number", "count", "weight"),
    "money": ("number", "count", "money"),
    "count": ("count", "number"),
    "flag": ("flag", "count"),
}
_BY_FIELD: dict[str, tuple[str, ...]] = {
    "carrier": ("carrier",),
    "status": ("status",),
    "pickup_code": ("pickup_code", "shelf"),
    "shelf": ("shelf", "pickup_code"),
    "id_number": ("id_number",),
    "recipient": ("recipient",),
}
_CLEAR = {*PHONES, "id_number", "time", "address", "name", "carrier", "recipient", "waybill"}
"""Kinds that prove themselves: a column full of them is that, whatever its header says."""

_SURE = {*PHONES, "id_number", "recipient", "address"}
_TOLERATED: dict[str, frozenset[str]] = {
    "waybill": frozenset(_CLEAR - _SURE - {"name", "time", "carrier"}),
    # Brands, words and rooms off our lists look like names or numbers; they are no contradiction.
    "code": frozenset(_CLEAR - _SURE - {"time", "waybill"}),
    "flag": frozenset(_CLEAR - _SURE - {"time", "waybill"}),
    # People write whole recipients into remarks ("give it to …"); a bare number in each is another
    # column.
    "remark": frozenset(_CLEAR - {*PHONES, "id_number"}),
    "pickup_code": frozenset({"waybill"}),
    "shelf": frozenset({"waybill", "name"}),
}


def own_kinds(field: str, rule: FieldRule | None) -> tuple[str, ...]:
    """Return the kinds that cells of a field are expected to be; empty: any."""
    found = _BY_FIELD.get(field)
    if found is None and rule is not None:
        found = ("choice",) if rule.type == "code" else _OWN.get(rule.type)
    return found or ()


def contradicts(field: str, rule: FieldRule, sample: Sequence[str], words: Words) -> Seen | None:
    """Return what the cells are where they cannot be ``field``, or None where they can.

    A column contradicts its header when at least four fifths of at least five filled cells are of
    one other kind that proves itself. Unknown words, unusual numbers and blanks never do.
    """
    own = own_kinds(field, rule)
    if own and share_of(sample, own, words) >= _HALF:
        return None
    seen = look(sample, words)
    if seen.cells < _ENOUGH or seen.share < _MOST or seen.kind not in _CLEAR or seen.kind in own:
        return None
    tolerated = _TOLERATED.get(field) or _TOLERATED.get(rule.type) or frozenset()
    return None if seen.kind in tolerated else seen
