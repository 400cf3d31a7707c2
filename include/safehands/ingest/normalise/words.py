"""Words of closed lists as stations write them: with a company's ending, with a note behind."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["look_up"]

_NOTE = re.compile(r"\s*[(\[【].*[)\]】]$|[\s:：,，-]+$")
_ENDING = re.compile(
    r"(?:快递|速递|速运|快运|物流|包裹|快件|标快|特快|标准|同城|国际|集团|科技|股份|有限公司|公司|express|logistics)+$"
)


def look_up(word: str, known: Mapping[str, int]) -> int | None:
    """Return the number of a case-folded word; its company's ending and a note behind may differ.

    ``顺丰速运有限公司`` and ``已签收(本人)`` are read as ``顺丰`` and ``已签收``.
    """
    found = known.get(word)
    if found is None and (plain := _NOTE.sub("", word)) != word:
        found = known.get(plain)
    if found is None and word:
        stem = _ENDING.sub("", _NOTE.sub("", word)).strip()
        found = known.get(stem) if stem else None
    return found
