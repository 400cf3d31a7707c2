"""Weights and sums of money as people write them, with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["kilograms", "yuan"]

_KILOGRAMS = {
    "": 1.0,
    "kg": 1.0,
    "kgs": 1.0,
    "公斤": 1.0,
    "千克": 1.0,
    "k": 1.0,
    "g": 0.001,
    "克": 0.001,
    "斤": 0.5,
    "市斤": 0.5,
    "两": 0.05,
    "吨": 1000.0,
    "t": 1000.0,
    "lb": 0.45359237,
    "lbs": 0.45359237,
}
"""Unit → kilograms. 斤 and 两 are the mainland's market units, the pound is exact (1959); 磅 is not
read: people mean 454 g or 500 g by it."""
_YUAN = {
    "": 1.0,
    "元": 1.0,
    "圆": 1.0,
    "块": 1.0,
    "块钱": 1.0,
    "元整": 1.0,
    "rmb": 1.0,
    "cny": 1.0,
    "角": 0.1,
    "毛": 0.1,
    "分": 0.01,
    "万": 10_000.0,
    "万元": 10_000.0,
}
_SIGNS = re.compile(r"(?i)^(?:共|合计)?\s*(?:[¥￥]|rmb|cny|人民币)?\s*")
_MEASURE = re.compile(r"([-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?|[-+]?\.\d+)\s*(\D*)", re.IGNORECASE)
_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
_MIXED = re.compile(r"(\d+)\s*(?:元|块)\s*(\d{1,2})\s*(?:角|毛)?(?:\s*(\d)\s*分)?")
_MIXED_WEIGHT = re.compile(
    r"(\d+(?:\.\d+)?)\s*斤\s*(\d)\s*两|(\d+)\s*(?:kg|公斤|千克)\s*(\d{1,3})\s*(?:g|克)"
)


def kilograms(text: str) -> float | None:
    """Return a weight in kilograms, or None where the text is no weight. No unit: kilograms."""
    mixed = _MIXED_WEIGHT.fullmatch(text.strip().casefold())
    if mixed:
        jin, liang, whole, grams = mixed.groups()
        return float(jin) / 2 + int(liang) / 20 if jin else int(whole) + int(grams) / 1000
    return _measure(text, _KILOGRAMS)


def yuan(text: str) -> float | None:
    """Return a sum in yuan, or None where the text is no sum of money."""
    plain = _SIGNS.sub("", text.strip())
    mixed = _MIXED.fullmatch(plain)
    if mixed and len(mixed.group(2)) == 1:
        return int(mixed.group(1)) + int(mixed.group(2)) / 10 + int(mixed.group(3) or 0) / 100
    return _measure(plain, _YUAN)


def _measure(text: str, units: Mapping[str, float]) -> float | None:
    found = _MEASURE.fullmatch(text.strip("¥￥ "))
    factor = units.get(found.group(2).strip().casefold()) if found else None
    if found is None or factor is None or not _well_grouped(found.group(1)):
        return None
    return float(found.group(1).replace(",", "")) * factor


def _well_grouped(digits: str) -> bool:
    # 1,234.5 is a number; 1,5 may be a decimal comma, and guessing would be off by ten.
    return "," not in digits or _GROUPED.fullmatch(digits) is not None
