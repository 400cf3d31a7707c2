"""Whose copy a leaked file is: codes of a recipient's own domain carry that domain's mark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from safehands.installation import Installation
from safehands.keys.domain import open_domain

__all__ = ["trace"]

_CODE = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def trace(inst: Installation, text: str, owners: Iterable[str]) -> dict[str, int]:
    """Return ``owner/agreement`` → how many codes in ``text`` that recipient's domain made.

    Works on any part of a copy in which one code is left, in any order and with any columns. Files
    that were agreed without codes cannot be traced this way.
    """
    found = {UUID(code) for code in _CODE.findall(text)}
    counts: dict[str, int] = {}
    for owner in owners:
        for name in inst.provider.names(f"share/{owner}"):
            code = name.removeprefix(f"share/{owner}/")
            domain = open_domain(inst.provider, owner, code, make=False)
            made = sum(domain.made(one) for one in found)
            if made:
                counts[f"{owner}/{code}"] = made
    return counts
