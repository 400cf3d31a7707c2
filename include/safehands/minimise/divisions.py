"""Addresses to official districts (GB/T 2260 codes), by columns.

A regular expression takes province, city and district off the front of each address; only the
distinct combinations, a few thousand at most, are then looked up one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["UNKNOWN", "Gazetteer"]

UNKNOWN = 0
"""The code of an address whose district was not recognised."""

_ENDING = "(?:特别行政区|维吾尔自治区|壮族自治区|回族自治区|自治区|省|市)?"
_REST = (
    r"[\s　]*"
    r"(?:市辖区|省直辖县级行政区划|自治区直辖县级行政区划)?"
    r"(?P<city>[^市区县旗\s]{1,10}?(?:自治州|地区|市|州|盟))?[\s　]*"
    r"(?P<district>[^市区县旗\s]{1,12}?(?:自治县|自治旗|新区|区|县|市|旗))"
)
_PART = ("province", "city", "district")


class Gazetteer:
    """Looks up districts. Made from policy's rows of (code, province, city, district)."""

    def __init__(self, rows: Iterable[tuple[int, str, str, str]]) -> None:
        self._exact: dict[tuple[str, str], int] = {}
        self._alone: dict[str, int] = {}
        shorts: set[str] = set()
        for code, province, city, district in rows:
            short = re.sub(f"{_ENDING}$", "", province)
            shorts.add(short)
            self._exact[(city, district)] = code
            self._exact.setdefault((short, district), code)
            # A district name that exists in several cities says nothing alone.
            self._alone[district] = UNKNOWN if district in self._alone else code
        names = "|".join(sorted(shorts))
        self._front = rf"^[\s　]*(?:中国)?(?:(?P<province>{names}){_ENDING})?{_REST}"

    def codes(self, addresses: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Return one district code per address; missing or unrecognised ones are ``UNKNOWN``."""
        column: Any = (
            pa.chunked_array([addresses]) if isinstance(addresses, pa.Array) else addresses
        )
        encoded = column.combine_chunks().dictionary_encode()
        if len(encoded.dictionary) == 0:
            return np.zeros(len(encoded), dtype=np.int32)
        known = self._distinct(encoded.dictionary)
        index = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.int32] = np.append(known, np.int32(UNKNOWN))[index]
        return found

    def _distinct(self, addresses: pa.Array) -> npt.NDArray[np.int32]:
        parts: Any = pc.extract_regex(addresses, pattern=self._front)
        fields = [pc.struct_field(parts, name) for name in _PART]
        joined = pc.binary_join_element_wise(*fields, "|", null_handling="replace")
        combined = joined.dictionary_encode()
        looked_up = [self._look_up(text) for text in combined.dictionary.to_pylist()]
        index = combined.indices.fill_null(0).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.int32] = np.array(looked_up, dtype=np.int32)[index]
        return found

    def _look_up(self, joined: str) -> int:
        province, city, district = joined.split("|")
        for above in (city, province):
            code = self._exact.get((above, district))
            if above and code is not None:
                return code
        return self._alone.get(district, UNKNOWN)
