"""A mark in masked forms: which star hides each digit says whose copy it is.

A masked name or number hides what it hides with ``*`` or with ``∗`` (U+2217), chosen by the
recipient's own key and by what stays visible of the cell. So every masked cell carries as many bits
as it has stars (six for a phone number), whatever rows and columns around it are gone, and nothing
more of the person is shown than before.

Not promised: that the mark survives somebody who writes all stars alike; then a code (``ref``) or
the register is left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from safehands.keys.domain import DomainKey

__all__ = ["OTHER_STAR", "is_proof", "marked", "masked_cells", "plain"]

OTHER_STAR = "∗"
_CELL = re.compile(rf"[^\s,;|\"'\t]*[*{OTHER_STAR}]{{2}}[^\s,;|\"'\t]*")
_CHANCE = 1e-6
"""So seldom does a copy that a recipient never had look as if it came from there."""


def marked(cell: str, domain: DomainKey) -> str:
    """Return a masked cell with the recipient's stars; a cell without stars as it is."""
    bits = domain.bits(plain(cell), cell.count("*"))
    out, place = [], 0
    for sign in cell:
        if sign == "*":
            out.append(OTHER_STAR if bits[place] else "*")
            place += 1
        else:
            out.append(sign)
    return "".join(out)


def plain(cell: str) -> str:
    """Return the cell with all stars alike."""
    return cell.replace(OTHER_STAR, "*")


def masked_cells(text: str) -> set[str]:
    """Return the distinct masked cells of a text, e.g. of a leaked CSV file."""
    return set(_CELL.findall(text))


def is_proof(cells: Iterable[str], domain: DomainKey) -> tuple[bool, int]:
    """Say whether the stars of ``cells`` can hardly be chance, and how many fit ``domain``.

    A cell of n stars fits by chance once in 2**n. The chance of so many fitting is bounded after
    Chernoff (sum of independent trials); five phone numbers that fit are proof.
    """
    fit, expected = 0, 0.0
    for cell in cells:
        stars = plain(cell).count("*")
        expected += 2.0**-stars
        fit += marked(plain(cell), domain) == cell
    if fit <= expected:
        return False, fit
    return fit * math.log(fit / expected) - fit + expected > -math.log(_CHANCE), fit
